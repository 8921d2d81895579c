import NIOCore
import NIOPosix
import Synchronization

/// What a request looked like on the wire.
struct ReceivedRequest: Sendable {
    var line: String
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]
    /// Which of the server's connections brought it, from 0.
    var connection: Int
}

/// An HTTP/1.1 server of a few lines: each request gets the script's next answer, the last one again and again.
final class ScriptedServer: Sendable {
    enum Answer: Sendable {
        case status(Int, headers: [String: String] = [:], body: [UInt8] = [])
        /// These bytes and nothing else.
        case bytes([UInt8])
        /// Closes the connection.
        case hangUp
        /// Never answers.
        case silence
    }

    private struct State {
        var script: [Answer]
        var received: [ReceivedRequest] = []
        var connectionCount = 0
        var closedCount = 0
    }

    private let state: Mutex<State>
    private let channel: any Channel
    let port: Int

    var url: String { "http://127.0.0.1:\(self.port)" }
    var received: [ReceivedRequest] { self.state.withLock { $0.received } }
    var connectionCount: Int { self.state.withLock { $0.connectionCount } }
    var closedCount: Int { self.state.withLock { $0.closedCount } }

    /// Binds, runs `body`, unbinds.
    static func with<Value: Sendable>(
        _ script: [Answer], _ body: (ScriptedServer) async throws -> Value
    ) async throws -> Value {
        let box = Mutex<ScriptedServer?>(nil)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let server = box.withLock({ $0 }) else { throw ChannelError.inappropriateOperationForState }
                    try channel.pipeline.syncOperations.addHandler(Handler(server: server, index: server.connected()))
                }
            }
            .childChannelOption(.autoRead, value: true)
            .bind(host: "127.0.0.1", port: 0).get()
        let server = ScriptedServer(script, channel: channel)
        box.withLock { $0 = server }
        do {
            let value = try await body(server)
            try await channel.close()
            return value
        } catch {
            try await channel.close()
            throw error
        }
    }

    private init(_ script: [Answer], channel: any Channel) {
        self.state = Mutex(State(script: script))
        self.channel = channel
        self.port = channel.localAddress?.port ?? 0
    }

    private func connected() -> Int {
        self.state.withLock { state in
            defer { state.connectionCount += 1 }
            return state.connectionCount
        }
    }

    private func disconnected() { self.state.withLock { $0.closedCount += 1 } }

    private func answer(_ request: ReceivedRequest) -> Answer {
        self.state.withLock { state in
            state.received.append(request)
            return state.script.count > 1 ? state.script.removeFirst() : state.script[0]
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let server: ScriptedServer
        private let index: Int
        private var bytes: [UInt8] = []

        init(server: ScriptedServer, index: Int) {
            self.server = server
            self.index = index
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.bytes.append(contentsOf: self.unwrapInboundIn(data).readableBytesView)
            while let request = self.nextRequest() {
                switch self.server.answer(request) {
                case .status(let status, let headers, let body):
                    var text = "HTTP/1.1 \(status) Reason\r\nContent-Length: \(body.count)\r\n"
                    for (name, value) in headers.sorted(by: { $0.key < $1.key }) { text += "\(name): \(value)\r\n" }
                    self.write(Array((text + "\r\n").utf8) + body, context)
                case .bytes(let bytes): self.write(bytes, context)
                case .hangUp: context.close(promise: nil)
                case .silence: break
                }
            }
        }

        func channelInactive(context: ChannelHandlerContext) { self.server.disconnected() }

        private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        }

        private func nextRequest() -> ReceivedRequest? {
            let text = String(decoding: self.bytes, as: UTF8.self)
            guard let end = self.bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let head = String(decoding: self.bytes[..<end.lowerBound], as: UTF8.self)
            let lines = head.split(separator: "\r\n")
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
            }
            let length = headers["content-length"].flatMap { Int($0) } ?? 0
            guard self.bytes.count >= end.upperBound + length, !text.isEmpty else { return nil }
            let body = Array(self.bytes[end.upperBound..<end.upperBound + length])
            self.bytes.removeFirst(end.upperBound + length)
            return ReceivedRequest(
                line: String(lines.first ?? ""), headers: headers, body: body, connection: self.index)
        }
    }
}

/// A port on which nobody listens: bound once, to be sure that it is ours, and given back.
func unusedPort() async throws -> Int {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .bind(host: "127.0.0.1", port: 0).get()
    let port = channel.localAddress?.port ?? 0
    try await channel.close()
    return port
}
