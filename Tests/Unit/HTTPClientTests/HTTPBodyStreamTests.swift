import HTTPClient
import Synchronization
import Testing

/// Bodies that are made while they are sent, and read while they arrive.
@Suite struct HTTPBodyStreamTests {
    /// Far more than the buffers of a connection hold.
    private static let floodBytes = 64 * 1024 * 1024
    /// What may lie in the buffers of a connection, at both ends, and in a pipe.
    private static let bufferedBytesMax = 32 * 1024 * 1024

    private struct Refusal: Error {}

    @Test(arguments: [false, true])
    func `a body arrives as it was written, piece by piece`(compresses: Bool) async throws {
        let pieces = (0..<100_000).map { Array("line \($0)\n".utf8) }
        let whole = Array(pieces.joined())
        try await ScriptedServer.with([.echo]) { server in
            try await withClient { client in
                for _ in 0..<2 {
                    let answer = try await client.send(
                        HTTPRequest(.post, server.url, compressesBody: compresses)
                    ) { body in
                        try await body.write([])
                        for start in stride(from: 0, to: pieces.count, by: 1000) {
                            try await body.write(Array(pieces[start..<start + 1000].joined()))
                        }
                    }
                    #expect(answer.body == whole)
                }
            }
            #expect(server.connectionCount == 1)
            for request in server.received {
                #expect(request.headers["content-encoding"] == (compresses ? "gzip" : nil))
                #expect((request.body.count < whole.count) == compresses)
            }
        }
    }

    @Test func `a body without a byte is a body`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient { client in
                let answer = try await client.send(HTTPRequest(.put, server.url)) { _ in }
                #expect(answer.status == 200)
            }
            #expect(server.received.map(\.body) == [[]])
        }
    }

    @Test func `a server that reads nothing stops who writes`() async throws {
        try await ScriptedServer.with([.silence], answering: .never) { server in
            try await withClient(HTTPClientConfiguration(requestByteCountMax: Self.floodBytes)) { client in
                let written = Atomic(0)
                let piece = [UInt8](repeating: 1, count: 1024 * 1024)
                let error = await #expect(throws: HTTPClientError.self) {
                    try await client.send(HTTPRequest(.post, server.url, timeout: .seconds(2))) { body in
                        while true {
                            try await body.write(piece)
                            written.add(piece.count, ordering: .relaxed)
                        }
                    }
                }
                #expect(error?.code == .timeout)
                #expect(written.load(ordering: .relaxed) < Self.bufferedBytesMax)
            }
        }
    }

    @Test func `a written body has a bound`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient(HTTPClientConfiguration(requestByteCountMax: 1000)) { client in
                let error = await #expect(throws: HTTPClientError.self) {
                    try await client.send(HTTPRequest(.post, server.url)) { body in
                        for _ in 0..<11 { try await body.write([UInt8](repeating: 0, count: 100)) }
                    }
                }
                #expect(error?.code == .tooLarge)
            }
            #expect(server.received.isEmpty)
        }
    }

    @Test func `an answer that comes early ends the body and counts`() async throws {
        let answer = ScriptedServer.Answer.status(413, headers: ["Connection": "close"], body: Array("too large".utf8))
        try await ScriptedServer.with([answer], answering: .head) { server in
            try await withClient { client in
                let response = try await client.send(HTTPRequest(.post, server.url, timeout: .seconds(30))) { body in
                    while true { try await body.write([UInt8](repeating: 0, count: 1000)) }
                }
                #expect(response.status == 413)
                #expect(response.text == "too large")
            }
        }
    }

    @Test func `who writes can give up, and its error comes out`() async throws {
        try await ScriptedServer.with([.status(200)]) { server in
            try await withClient { client in
                await #expect(throws: Refusal.self) {
                    try await client.send(HTTPRequest(.post, server.url)) { body in
                        try await body.write([1, 2, 3])
                        throw Refusal()
                    }
                }
                let next = try await client.send(HTTPRequest(.get, server.url))
                #expect(next.status == 200)
            }
            #expect(server.received.map(\.line) == ["GET / HTTP/1.1"])
        }
    }

    @Test func `a large body goes out again when a kept connection turns out to be dead`() async throws {
        let body = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        try await ScriptedServer.with([.status(200), .hangUp, .status(201)]) { server in
            try await withClient { client in
                let first = try await client.send(HTTPRequest(.post, server.url, body: body))
                let second = try await client.send(HTTPRequest(.post, server.url, body: body))
                #expect([first.status, second.status] == [200, 201])
            }
            #expect(server.received.map { $0.body == body } == [true, true, true])
            #expect(server.received.allSatisfy { $0.headers["content-length"] == "300000" })
        }
    }

    @Test func `an answer is read while it arrives`() async throws {
        let piece = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        try await ScriptedServer.with([.flood(piece, count: 40)]) { server in
            try await withClient { client in
                for _ in 0..<2 {
                    let read = Mutex<[UInt8]>([])
                    let answer = try await client.stream(HTTPRequest(.get, server.url)) { body in
                        while let bytes = try await body.next() { read.withLock { $0 += bytes } }
                    }
                    #expect(answer.status == 200 && answer.body.isEmpty)
                    #expect(read.withLock { $0 } == Array((0..<40).map { _ in piece }.joined()))
                }
            }
            #expect(server.connectionCount == 1)
        }
    }

    @Test func `who reads nothing stops the server`() async throws {
        let piece = [UInt8](repeating: 7, count: 1024 * 1024)
        let flood = ScriptedServer.Answer.flood(piece, count: Self.floodBytes / piece.count)
        try await ScriptedServer.with([flood, .silence]) { server in
            try await withClient { client in
                let request = HTTPRequest(.get, server.url, responseByteCountMax: .max)
                _ = try await client.stream(request) { body in
                    var count = try await body.next()?.count ?? 0
                    // The server has all the time of another request that gets no answer.
                    await #expect(throws: HTTPClientError.self) {
                        try await client.send(HTTPRequest(.get, server.url, timeout: .seconds(1)))
                    }
                    #expect(server.floodedByteCount < Self.bufferedBytesMax)
                    while let bytes = try await body.next() { count += bytes.count }
                    #expect(count == Self.floodBytes)
                }
            }
        }
    }

    @Test func `an answer of another status comes whole`() async throws {
        try await ScriptedServer.with([.status(410, body: Array("gone".utf8))]) { server in
            try await withClient { client in
                let answer = try await client.stream(HTTPRequest(.get, server.url)) { body in
                    let bytes = try await body.next()
                    #expect(bytes == nil)
                }
                #expect(answer.status == 410 && answer.text == "gone")
            }
        }
    }

    @Test func `an answer that breaks off is read so far, then an error`() async throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\nhalf"
        try await ScriptedServer.with([.bytesThenClose(Array(text.utf8))]) { server in
            try await withClient { client in
                let read = Mutex<[UInt8]>([])
                let error = await #expect(throws: HTTPClientError.self) {
                    try await client.stream(HTTPRequest(.get, server.url)) { body in
                        while let bytes = try await body.next() { read.withLock { $0 += bytes } }
                    }
                }
                #expect(error?.code == .brokenConnection)
                #expect(read.withLock { $0 } == Array("half".utf8))
            }
        }
    }

    @Test func `who reads can give up while the server is silent`() async throws {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
        try await ScriptedServer.with([.bytes(Array(text.utf8))]) { server in
            try await withClient { client in
                await #expect(throws: Refusal.self) {
                    try await client.stream(HTTPRequest(.get, server.url, timeout: .seconds(600))) { body in
                        _ = try await body.next()
                        throw Refusal()
                    }
                }
                while server.closedCount == 0 { try await Task.sleep(for: .milliseconds(1)) }
            }
        }
    }

    @Test func `who reads can give up, and the connection ends`() async throws {
        let piece = [UInt8](repeating: 7, count: 1024 * 1024)
        try await ScriptedServer.with([.flood(piece, count: Self.floodBytes / piece.count)]) { server in
            try await withClient { client in
                await #expect(throws: Refusal.self) {
                    try await client.stream(HTTPRequest(.get, server.url)) { body in
                        _ = try await body.next()
                        throw Refusal()
                    }
                }
                let early = await #expect(throws: HTTPClientError.self) {
                    try await client.stream(HTTPRequest(.get, server.url)) { body in _ = try await body.next() }
                }
                #expect(early?.code == .cancelled)
                let large = await #expect(throws: HTTPClientError.self) {
                    try await client.stream(HTTPRequest(.get, server.url, responseByteCountMax: 100_000)) { body in
                        while try await body.next() != nil {}
                    }
                }
                #expect(large?.code == .tooLarge)
            }
            #expect(server.connectionCount == 3)
        }
    }

    @Test func `cancelling the task ends both directions`() async throws {
        try await ScriptedServer.with([.silence]) { server in
            try await withClient { client in
                let reads = Task {
                    try await client.stream(HTTPRequest(.get, server.url)) { body in _ = try await body.next() }
                }
                while server.received.isEmpty { try await Task.sleep(for: .milliseconds(1)) }
                reads.cancel()
                #expect(await reads.result.isFailure)
                let (started, start) = AsyncStream.makeStream(of: Void.self)
                let writes = Task {
                    try await client.send(HTTPRequest(.post, server.url)) { body in
                        try await body.write([1])
                        start.finish()
                        while true { try await body.write([UInt8](repeating: 0, count: 100_000)) }
                    }
                }
                for await _ in started {}
                writes.cancel()
                #expect(await writes.result.isFailure)
            }
        }
    }
}

extension Result {
    fileprivate var isFailure: Bool {
        if case .failure = self { return true }
        return false
    }
}
