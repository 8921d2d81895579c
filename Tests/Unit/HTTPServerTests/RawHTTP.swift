import NIOCore
import NIOPosix
import TLS

/// The smallest HTTP client a test can do with: one request per connection, the answer as text.
struct RawHTTP: Sendable {
    struct Answer: Sendable {
        var status: Int
        /// Names in lower case.
        var headers: [String: String]
        var body: String
    }

    struct NoAnswer: Error {}

    static func get(
        _ port: Int, _ path: String, headers: [String] = [], tls: TLSContext? = nil
    ) async throws -> Answer {
        try await self.send(port, "GET", path, headers: headers, tls: tls)
    }

    static func send(
        _ port: Int, _ method: String, _ path: String, headers: [String] = [], body: String? = nil,
        tls: TLSContext? = nil
    ) async throws -> Answer {
        var lines = ["\(method) \(path) HTTP/1.1", "Host: localhost", "Connection: close"] + headers
        if let body { lines.append("Content-Length: \(body.utf8.count)") }
        let text = try await self.exchange(port, lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""), tls: tls)
        return try self.parse(text)
    }

    /// Sends `text` and reads until the server closes.
    static func exchange(_ port: Int, _ text: String, tls: TLSContext? = nil) async throws -> String {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            TLSHandler(context: tls, mode: .client(serverName: "localhost")))
                    }
                    return try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await outbound.write(ByteBuffer(string: text))
            var bytes: [UInt8] = []
            do {
                for try await buffer in inbound { bytes.append(contentsOf: buffer.readableBytesView) }
            } catch is IOError {
                // A reset after the answer: the server closed before it had read all of a refused request.
            }
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    private static func parse(_ text: String) throws -> Answer {
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        guard let end = lines.firstIndex(of: ""), let status = lines[0].split(separator: " ").dropFirst().first,
            let code = Int(status)
        else { throw NoAnswer() }
        var headers: [String: String] = [:]
        for line in lines[1..<end] {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 {
                headers[parts[0].lowercased()] = String(parts[1].drop { $0 == " " })
            }
        }
        return Answer(status: code, headers: headers, body: lines[(end + 1)...].joined(separator: "\r\n"))
    }
}
