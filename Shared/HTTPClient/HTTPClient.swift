import EscapementModel
import Synchronization

/// Outgoing HTTP over libcurl: keep-alive, HTTP/1.1 and 2, verified TLS, answers decompressed.
///
/// One thread per client does all input and output, so make one client per kind of peer and keep it. Follows no
/// redirects, reads no proxy from the environment and no `.netrc`, and speaks `http` and `https` only.
package final class HTTPClient: Sendable {
    package let configuration: HTTPClientConfiguration
    private let engine: CurlEngine

    /// Starts the client's thread. Files that `configuration` names are read with each new connection.
    package init(configuration: HTTPClientConfiguration = HTTPClientConfiguration()) {
        self.configuration = configuration
        self.engine = CurlEngine(configuration)
        self.engine.startThread()
    }

    deinit { self.engine.stop() }

    /// Sends one request and waits for the complete answer, whatever its status.
    ///
    /// Cancelling the task ends the transfer at once.
    ///
    /// - Throws: `HTTPClientError`, for a request that got no answer. Never repeats anything by itself.
    package func send(_ request: HTTPRequest) async throws(HTTPClientError) -> HTTPResponse {
        try await self.send(request, receive: nil)
    }

    /// Sends one request and hands on the body of a successful answer as it arrives, for answers that last.
    ///
    /// `responseByteCountMax` does not apply to what is handed on. Any other status is answered as by `send`.
    ///
    /// - Parameter receive: called on the client's thread, so it must return soon; `false` ends the transfer.
    /// - Returns: the answer, without a body when it was handed on.
    /// - Throws: `HTTPClientError`; `.cancelled` when `receive` answered `false`.
    package func stream(
        _ request: HTTPRequest, receive: @escaping @Sendable ([UInt8]) -> Bool
    ) async throws(HTTPClientError) -> HTTPResponse {
        try await self.send(request, receive: receive)
    }

    private func send(
        _ request: HTTPRequest, receive: (@Sendable ([UInt8]) -> Bool)?
    ) async throws(HTTPClientError) -> HTTPResponse {
        var request = request
        try self.check(request)
        if let body = request.body, request.compressesBody, body.count >= Gzip.byteCountMin {
            request.body = Gzip.compress(body)
            request.headers["Content-Encoding"] = "gzip"
        }
        let engine = self.engine
        let started = Mutex(StartState.waiting)
        let prepared = request
        let result: Result<HTTPResponse, HTTPClientError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let transfer = CurlTransfer(prepared, receive: receive, continuation: continuation)
                let isCancelled = started.withLock { state in
                    if case .cancelled = state { return true }
                    state = .started(transfer)
                    return false
                }
                if isCancelled {
                    transfer.fail(.cancelled, "cancelled")
                } else {
                    engine.start(transfer)
                }
            }
        } onCancel: {
            let transfer = started.withLock { state -> CurlTransfer? in
                if case .started(let transfer) = state { return transfer }
                state = .cancelled
                return nil
            }
            if let transfer { engine.cancel(transfer) }
        }
        return try result.get()
    }

    /// Ends whatever is under way as cancelled, closes all connections, and returns when the thread is done.
    package func shutdown() async {
        self.engine.stop()
        await self.engine.waitUntilStopped()
    }

    /// Which came first: the start of the transfer or the cancellation of its task.
    private enum StartState: Sendable {
        case waiting
        case started(CurlTransfer)
        case cancelled
    }

    private func check(_ request: HTTPRequest) throws(HTTPClientError) {
        func refusal(_ code: HTTPClientError.Code, _ detail: String) -> HTTPClientError {
            HTTPClientError(code: code, method: request.method, url: request.url, detail: detail)
        }
        // libcurl would send a blank or a line break on as it is.
        guard request.url.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7f }) else {
            throw refusal(.other, "the URL holds a blank or a control character")
        }
        guard request.headers.areWellFormed else { throw refusal(.other, "a header field is malformed") }
        if let authorization = request.authorization ?? self.configuration.authorization {
            let fields = HTTPHeaders([HTTPHeaders.Field("Authorization", authorization.headerValue)])
            guard fields.areWellFormed else {
                throw refusal(.other, "the credentials hold a control character, such as a line break at the end")
            }
        }
        if let body = request.body, body.count > self.configuration.requestByteCountMax {
            throw refusal(.tooLarge, "the request exceeds \(self.configuration.requestByteCountMax) bytes")
        }
    }
}
