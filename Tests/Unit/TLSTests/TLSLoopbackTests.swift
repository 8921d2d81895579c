import NIOCore
import NIOPosix
import TLS
import Testing

/// What only sockets show.
@Suite struct TLSLoopbackTests {
    let authorities: Authorities

    init() throws { self.authorities = try Authorities() }

    /// Sends back what it gets.
    private final class Echo: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(data, promise: nil)
        }
    }

    /// Collects what arrives until the channel ends.
    private final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        private var received = ByteBuffer()
        private let promise: EventLoopPromise<ByteBuffer>
        private let expected: Int

        init(_ promise: EventLoopPromise<ByteBuffer>, expected: Int) {
            self.promise = promise
            self.expected = expected
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            self.received.writeImmutableBuffer(self.unwrapInboundIn(data))
            if self.received.readableBytes == self.expected { context.close(promise: nil) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.promise.fail(error) }
        func channelInactive(context: ChannelHandlerContext) { self.promise.succeed(self.received) }
    }

    @Test func `megabytes come back over a socket and the connection ends in order`() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let serverContext = try self.authorities.server()
        let clientContext = try self.authorities.client()
        let server = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: serverContext, mode: .server), Echo())
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let sent = ByteBuffer(bytes: (0..<3_000_001).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 9) })
        let echoed = group.any().makePromise(of: ByteBuffer.self)
        let client = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        TLSHandler(context: clientContext, mode: .client(serverName: "127.0.0.1")),
                        Collector(echoed, expected: sent.readableBytes))
                }
            }
            .connect(to: #require(server.localAddress)).get()
        try await client.writeAndFlush(sent)
        #expect(try await echoed.futureResult.get() == sent)
        try await client.closeFuture.get()
        try await server.close()
    }
}
