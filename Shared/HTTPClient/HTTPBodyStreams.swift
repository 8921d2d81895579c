import Synchronization

/// Where a request's body is written while it is sent. Used by one task.
package final class HTTPBodyWriter: Sendable {
    private struct State {
        var gzip: GzipStream?
        var byteCount = 0
    }

    private let pipe: BodyPipe
    private let byteCountMax: Int
    private let request: HTTPRequest
    private let state: Mutex<State>

    init(_ pipe: BodyPipe, _ request: HTTPRequest, byteCountMax: Int) {
        self.pipe = pipe
        self.byteCountMax = byteCountMax
        self.request = request
        self.state = Mutex(State(gzip: request.compressesBody ? GzipStream() : nil))
    }

    /// Sends `bytes`, compressed if the request says so; waits while the server takes nothing.
    ///
    /// - Throws: `HTTPClientError` when the body exceeds the client's bound (`tooLarge`) or the transfer failed;
    ///   `CancellationError` also when the answer came before the body was complete.
    package func write(_ bytes: [UInt8]) async throws {
        let piece = try self.state.withLock { state throws(HTTPClientError) -> [UInt8] in
            state.byteCount += bytes.count
            if state.byteCount > self.byteCountMax {
                throw HTTPClientError(
                    code: .tooLarge, method: self.request.method, url: self.request.url,
                    detail: "the request exceeds \(self.byteCountMax) bytes")
            }
            guard let gzip = state.gzip else { return bytes }
            gzip.add(bytes)
            return gzip.takeOutput()
        }
        try await self.pipe.write(piece)
    }

    /// What compression held back.
    func finish() async throws {
        try await self.pipe.write(self.state.withLock { $0.gzip?.finish() } ?? [])
        self.pipe.end()
    }
}

/// The body of a successful answer, as it arrives. Used by one task.
package struct HTTPBodyReader: Sendable {
    let pipe: BodyPipe

    /// The next bytes, decompressed; `nil` at the end. What is not read makes the server wait.
    ///
    /// - Throws: `HTTPClientError` when the answer breaks off; `CancellationError`.
    package func next() async throws -> [UInt8]? { try await self.pipe.read() }
}
