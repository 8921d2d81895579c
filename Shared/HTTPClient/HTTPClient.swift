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
        try await self.transfer(request).get()
    }

    /// Sends one request whose body `produce` writes while it is sent: for what would be large in one piece.
    ///
    /// At most a quarter of a megabyte waits; `produce` waits while the server takes nothing. The body is sent in
    /// chunks, since its size is not known; `requestByteCountMax` bounds it. An answer that comes before the body is
    /// complete counts, and ends `produce`.
    ///
    /// - Throws: what `produce` throws, after ending the transfer; otherwise as `send` without a producer.
    package func send(
        _ request: HTTPRequest, body produce: @escaping @Sendable (HTTPBodyWriter) async throws -> Void
    ) async throws -> HTTPResponse {
        precondition(request.body == nil, "a request with two bodies")
        let pipe = BodyPipe()
        let writer = HTTPBodyWriter(pipe, request, byteCountMax: self.configuration.requestByteCountMax)
        return try await self.transfer(request, upload: pipe) {
            try await produce(writer)
            try await writer.finish()
        }
    }

    /// Sends one request and hands the body of a successful answer to `consume` as it arrives, for answers that are
    /// large or last.
    ///
    /// At most a quarter of a megabyte waits (with HTTP/2, or compressed, libcurl itself may keep some more); the
    /// server waits while `consume` reads nothing. An answer with any other status is returned whole, and `consume`
    /// sees an empty body.
    ///
    /// - Returns: the answer, without a body when it was handed on.
    /// - Throws: what `consume` throws, after ending the transfer; otherwise as `send`. `cancelled` when `consume`
    ///   returns before the end, `tooLarge` for a body beyond `responseByteCountMax`.
    package func stream(
        _ request: HTTPRequest, to consume: @escaping @Sendable (HTTPBodyReader) async throws -> Void
    ) async throws -> HTTPResponse {
        let pipe = BodyPipe()
        return try await self.transfer(request, download: pipe) { try await consume(HTTPBodyReader(pipe: pipe)) }
    }

    /// A transfer with a task beside it at the other end of its pipe.
    private func transfer(
        _ request: HTTPRequest, upload: BodyPipe? = nil, download: BodyPipe? = nil,
        beside work: @escaping @Sendable () async throws -> Void
    ) async throws -> HTTPResponse {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await work()
                } catch {
                    (upload ?? download)?.close()
                    throw error
                }
                download?.close()
            }
            let result = await self.transfer(request, upload: upload, download: download)
            // Nothing more of the body is needed; what was received is read to its end.
            if upload != nil { group.cancelAll() }
            do {
                try await group.waitForAll()
            } catch {
                if upload != nil, case .success(let response) = result { return response }
                if error is CancellationError, case .failure(let cause) = result { throw cause }
                throw error
            }
            return try result.get()
        }
    }

    private func transfer(
        _ request: HTTPRequest, upload: BodyPipe? = nil, download: BodyPipe? = nil
    ) async -> Result<HTTPResponse, HTTPClientError> {
        var request = request
        do throws(HTTPClientError) {
            try self.check(request)
        } catch {
            upload?.finish(error)
            download?.finish(error)
            return .failure(error)
        }
        if upload != nil, request.compressesBody {
            request.headers["Content-Encoding"] = "gzip"
        } else if let body = request.body, request.compressesBody, body.count >= Gzip.byteCountMin {
            request.body = Gzip.compress(body)
            request.headers["Content-Encoding"] = "gzip"
        }
        let engine = self.engine
        let started = Mutex(StartState.waiting)
        let prepared = request
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let transfer = CurlTransfer(prepared, upload: upload, download: download, continuation: continuation)
                (upload ?? download)?.attach(
                    resume: { engine.resume(transfer) }, cancel: { engine.cancel(transfer) })
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
