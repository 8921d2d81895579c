import Glibc
import JSON
import NIOCore
import NIOPosix
import Synchronization
import TLS

/// W8: the product's TLS over loopback, one connection, both ends in this process.
struct TLSWorkload {
    private let certificate: String
    private let key: String
    private let suite: String
    private let seconds: Double

    init(_ arguments: [String]) throws(BenchError) {
        guard arguments.count == 4, let seconds = Double(arguments[3]), seconds > 0 else {
            throw BenchError("tls needs CERT KEY SUITE SECONDS")
        }
        self.certificate = arguments[0]
        self.key = arguments[1]
        self.suite = arguments[2]
        self.seconds = seconds
    }

    func run() async throws {
        for size in [64, 128, 256, 512] { try await self.oneWay(size, kind: "record-per-message", perFlush: 1) }
        for size in [64, 512] { try await self.oneWay(size, kind: "shared-records", perFlush: 64) }
        try await self.oneWay(16_384, kind: "bulk-16KiB", perFlush: 8)
        for size in [128, 512] { try await self.pingPong(size) }
        try await self.handshakes()
    }

    // MARK: Workloads

    /// Messages one way, so many of them handed over at a time; done when the other end has all bytes.
    private func oneWay(_ size: Int, kind: String, perFlush: Int) async throws {
        let sink = Sink()
        try await self.connected(server: { sink }) { channel in
            let message = ByteBuffer(repeating: 0, count: size)
            let meter = Meter()
            let end = meter.wall + UInt64(self.seconds * 1e9)
            var count = 0
            while Measuring.clock(CLOCK_MONOTONIC) < end {
                // One hop to the channel's loop for many messages, as the product's links do.
                let burst = 1024 / perFlush * perFlush
                try await channel.eventLoop.submit {
                    for index in 1...burst {
                        channel.write(message, promise: nil)
                        if index % perFlush == 0 { channel.flush() }
                    }
                }.get()
                count += burst
                // As much under way as a socket's buffers hold, not as the memory does.
                await sink.hasReceived(count * size - 8_000_000)
            }
            await sink.hasReceived(count * size)
            self.report(kind, size, count, meter)
        }
    }

    private func pingPong(_ size: Int) async throws {
        try await self.connected(server: { Echo() }) { channel in
            let player = PingPong(size: size, end: Measuring.clock(CLOCK_MONOTONIC) + UInt64(self.seconds * 1e9))
            let meter = Meter()
            let done = channel.eventLoop.makePromise(of: Int.self)
            try await channel.eventLoop.submit {
                player.done = done
                try channel.pipeline.syncOperations.addHandler(player)
                player.begin(channel)
            }.get()
            self.report("ping-pong", size, try await done.futureResult.get(), meter)
        }
    }

    private func handshakes() async throws {
        let meter = Meter()
        let end = meter.wall + UInt64(self.seconds * 1e9)
        var count = 0
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await self.listen(group) { Sink() }
        while Measuring.clock(CLOCK_MONOTONIC) < end {
            try await self.connect(group, server).close().get()
            count += 1
        }
        try await server.close().get()
        self.report("handshake", 0, count, meter)
    }

    private struct Meter {
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
    }

    private func report(_ kind: String, _ size: Int, _ count: Int, _ meter: Meter) {
        let seconds = Double(Measuring.clock(CLOCK_MONOTONIC) - meter.wall) / 1e9
        let used = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - meter.cpu
        emit(
            .record([
                "w": "W8", "peer": "escapement", "kind": .string(kind), "suite": .string(self.suite),
                "size": .integer(size), "msgs_s": .integer(Int(Double(count) / seconds)),
                "MB_s": size == 0 ? nil : .integer(Int(Double(count * size) / seconds / 1e6)),
                "cpu_ns": .integer(Int(used) / max(1, count)),
            ]))
    }

    // MARK: Connections

    private func connected(
        server handler: @escaping @Sendable () -> some ChannelInboundHandler & Sendable,
        _ body: (any Channel) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
        let server = try await self.listen(group, handler)
        let channel = try await self.connect(group, server)
        try await body(channel)
        try await channel.close().get()
        try await server.close().get()
        try await group.shutdownGracefully()
    }

    private func listen(
        _ group: MultiThreadedEventLoopGroup, _ handler: @escaping @Sendable () -> some ChannelInboundHandler & Sendable
    ) async throws -> any Channel {
        let context = try TLSContext(
            TLSConfiguration(
                role: .server, authentication: .serverOnly, certificateChain: .file(self.certificate),
                privateKey: .file(self.key)))
        return try await ServerBootstrap(group: group)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: context, mode: .server), handler())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    private func connect(_ group: MultiThreadedEventLoopGroup, _ server: any Channel) async throws -> any Channel {
        let context = try TLSContext(
            TLSConfiguration(role: .client, authentication: .serverOnly, trust: .file(self.certificate)))
        let greeted = group.any().makePromise(of: Void.self)
        guard let address = server.localAddress else { throw BenchError("the server has no address") }
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: context, mode: .client(serverName: nil)), HandshakeWaiter(greeted))
                }
            }
            .connect(to: address).get()
        try await greeted.futureResult.get()
        return channel
    }
}

/// Says when the handshake is over.
private final class HandshakeWaiter: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private var promise: EventLoopPromise<Void>?

    init(_ promise: EventLoopPromise<Void>) { self.promise = promise }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        self.promise?.succeed()
        self.promise = nil
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.promise?.fail(error)
        self.promise = nil
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.promise?.fail(ChannelError.eof)
        self.promise = nil
        context.fireChannelInactive()
    }
}

/// Counts bytes.
private final class Sink: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer

    private struct State {
        var received = 0
        var waiting: (bytes: Int, continuation: CheckedContinuation<Void, Never>)?
    }

    private let state = Mutex(State())

    /// Returns when so many bytes have come in all. One caller at a time.
    func hasReceived(_ bytes: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                if state.received >= bytes { return true }
                state.waiting = (bytes, continuation)
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let count = self.unwrapInboundIn(data).readableBytes
        let ready = self.state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.received += count
            guard let waiting = state.waiting, state.received >= waiting.bytes else { return nil }
            state.waiting = nil
            return waiting.continuation
        }
        ready?.resume()
    }
}

/// Sends back what arrives.
private final class Echo: ChannelInboundHandler, Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.writeAndFlush(data, promise: nil) }
}

/// Sends a message when the one before has come back.
///
/// Used on its channel's loop only, once it has been added there.
private final class PingPong: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    var done: EventLoopPromise<Int>?
    private let message: ByteBuffer
    private let size: Int
    private let end: UInt64
    private var got = 0
    private var count = 0

    init(size: Int, end: UInt64) {
        self.message = ByteBuffer(repeating: 0, count: size)
        self.size = size
        self.end = end
    }

    func begin(_ channel: any Channel) { channel.writeAndFlush(self.message, promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.got += self.unwrapInboundIn(data).readableBytes
        guard self.got >= self.size else { return }
        self.got -= self.size
        self.count += 1
        if Measuring.clock(CLOCK_MONOTONIC) < self.end {
            context.writeAndFlush(self.wrapOutboundOut(self.message), promise: nil)
        } else {
            self.done?.succeed(self.count)
            self.done = nil
        }
    }
}
