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
        /// The request's own body, with its encoding.
        case echo
        /// These bytes, then closes the connection.
        case bytesThenClose([UInt8])
        /// A body of so many times these bytes, each written when the one before has left.
        case flood([UInt8], count: Int)
    }

    /// When an answer is given.
    enum Patience: Sendable {
        /// To a complete request.
        case whole
        /// To a header, whatever of the body has come.
        case head
        /// Nothing is ever read.
        case never
    }

    private struct State {
        var script: [Answer]
        var received: [ReceivedRequest] = []
        var connectionCount = 0
        var closedCount = 0
        var floodedByteCount = 0
    }

    private let state: Mutex<State>
    private let channel: any Channel
    private let patience: Patience
    let port: Int

    var url: String { "http://127.0.0.1:\(self.port)" }
    var received: [ReceivedRequest] { self.state.withLock { $0.received } }
    var connectionCount: Int { self.state.withLock { $0.connectionCount } }
    var closedCount: Int { self.state.withLock { $0.closedCount } }
    /// Of bodies that are floods, what has left.
    var floodedByteCount: Int { self.state.withLock { $0.floodedByteCount } }

    /// Binds, runs `body`, unbinds.
    static func with<Value: Sendable>(
        _ script: [Answer], answering patience: Patience = .whole, _ body: (ScriptedServer) async throws -> Value
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
            .childChannelOption(.autoRead, value: patience != .never)
            .bind(host: "127.0.0.1", port: 0).get()
        let server = ScriptedServer(script, patience, channel: channel)
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

    private init(_ script: [Answer], _ patience: Patience, channel: any Channel) {
        self.state = Mutex(State(script: script))
        self.patience = patience
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

    private func flooded(_ byteCount: Int) { self.state.withLock { $0.floodedByteCount += byteCount } }

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
                case .echo:
                    let encoding = request.headers["content-encoding"].map { "Content-Encoding: \($0)\r\n" } ?? ""
                    let head = "HTTP/1.1 200 OK\r\n\(encoding)Content-Length: \(request.body.count)\r\n\r\n"
                    self.write(Array(head.utf8) + request.body, context)
                case .bytesThenClose(let bytes):
                    self.write(bytes, context)
                    context.close(promise: nil)
                case .flood(let bytes, let count):
                    self.write(
                        Array("HTTP/1.1 200 OK\r\nContent-Length: \(bytes.count * count)\r\n\r\n".utf8), context)
                    self.flood(ByteBuffer(bytes: bytes), count, context)
                }
            }
        }

        func channelInactive(context: ChannelHandlerContext) { self.server.disconnected() }

        private func write(_ bytes: [UInt8], _ context: ChannelHandlerContext) {
            context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
        }

        private func flood(_ piece: ByteBuffer, _ count: Int, _ context: ChannelHandlerContext) {
            if count == 0 { return }
            let loopBound = context.loopBound
            context.writeAndFlush(self.wrapOutboundOut(piece)).assumeIsolated().whenSuccess {
                self.server.flooded(piece.readableBytes)
                self.flood(piece, count - 1, loopBound.value)
            }
        }

        private func nextRequest() -> ReceivedRequest? {
            guard let end = self.bytes.firstRange(of: Array("\r\n\r\n".utf8)) else { return nil }
            let head = String(decoding: self.bytes[..<end.lowerBound], as: UTF8.self)
            let lines = head.split(separator: "\r\n")
            var headers: [String: String] = [:]
            for line in lines.dropFirst() {
                guard let colon = line.firstIndex(of: ":") else { continue }
                headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
            }
            let body: [UInt8]
            switch self.server.patience {
            case .head, .never:
                body = []
                self.bytes = []
            case .whole where headers["transfer-encoding"] == "chunked":
                guard let (chunks, next) = self.chunks(from: end.upperBound) else { return nil }
                body = chunks
                self.bytes.removeFirst(next)
            case .whole:
                let length = headers["content-length"].flatMap { Int($0) } ?? 0
                guard self.bytes.count >= end.upperBound + length else { return nil }
                body = Array(self.bytes[end.upperBound..<end.upperBound + length])
                self.bytes.removeFirst(end.upperBound + length)
            }
            return ReceivedRequest(
                line: String(lines.first ?? ""), headers: headers, body: body, connection: self.index)
        }

        /// A body in chunks, and where it ends; `nil` while it is incomplete.
        private func chunks(from start: Int) -> (body: [UInt8], next: Int)? {
            var body: [UInt8] = []
            var at = start
            while let lineEnd = self.bytes[at...].firstIndex(of: 10),
                let size = Int(String(decoding: self.bytes[at..<lineEnd - 1], as: UTF8.self), radix: 16)
            {
                let next = lineEnd + 1 + size + 2
                if self.bytes.count < next { return nil }
                if size == 0 { return (body, next) }
                body += self.bytes[lineEnd + 1..<lineEnd + 1 + size]
                at = next
            }
            return nil
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
