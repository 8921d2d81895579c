import NIOCore
import NIOEmbedded
import NIOTLS
import TLS
import Testing

/// Two channels without sockets, each with TLS, whose bytes are carried by hand.
final class ChannelPair {
    let server: EmbeddedChannel
    let client: EmbeddedChannel
    let serverEnd = Recorder()
    let clientEnd = Recorder()
    /// Bytes carried from client to server.
    private(set) var clientByteCount = 0
    /// The largest memory of a buffer of them.
    private(set) var clientBufferMax = 0

    init(
        server: TLSContext, client: TLSContext, serverName: String? = "server.test",
        handshakeTimeout: TimeAmount = .seconds(5)
    ) throws {
        self.server = EmbeddedChannel()
        self.client = EmbeddedChannel()
        try self.server.pipeline.syncOperations.addHandlers(
            TLSHandler(context: server, mode: .server, handshakeTimeout: handshakeTimeout), self.serverEnd)
        try self.client.pipeline.syncOperations.addHandlers(
            TLSHandler(context: client, mode: .client(serverName: serverName), handshakeTimeout: handshakeTimeout),
            self.clientEnd)
        let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
        self.server.connect(to: address, promise: nil)
        self.client.connect(to: address, promise: nil)
    }

    deinit {
        // Not `finish`, which would block: a close waits for the peer until time is moved.
        for channel in [self.server, self.client] {
            channel.close(promise: nil)
            channel.embeddedEventLoop.advanceTime(by: TLSHandler.closeTimeoutDefault)
        }
    }

    /// Carries bytes both ways until neither end has any left.
    func pump() throws {
        var moved = true
        while moved {
            moved = false
            while let bytes = try self.client.readOutbound(as: ByteBuffer.self) {
                self.clientByteCount += bytes.readableBytes
                self.clientBufferMax = max(self.clientBufferMax, bytes.storageCapacity)
                if self.server.isActive { try self.server.writeInbound(bytes) }
                moved = true
            }
            while let bytes = try self.server.readOutbound(as: ByteBuffer.self) {
                if self.client.isActive { try self.client.writeInbound(bytes) }
                moved = true
            }
            self.server.embeddedEventLoop.run()
            self.client.embeddedEventLoop.run()
        }
    }

    /// What `future` has come to; a failure of the test when it has not.
    func settled(_ future: EventLoopFuture<Void>) throws {
        self.client.embeddedEventLoop.run()
        self.server.embeddedEventLoop.run()
        var result: Result<Void, any Error>?
        future.assumeIsolated().whenComplete { result = $0 }
        try #require(result, "the future is still open").get()
    }

    func tls(of channel: EmbeddedChannel) throws -> TLSHandler {
        try channel.pipeline.syncOperations.handler(type: TLSHandler.self)
    }
}

/// The tail of a pipeline: keeps what arrives.
final class Recorder: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private(set) var received = ByteBuffer()
    private(set) var readCount = 0
    private(set) var errors: [TLSError] = []
    private(set) var negotiated: [String?] = []
    private(set) var isInactive = false
    private(set) var sawShutdown = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        self.received.writeBuffer(&bytes)
        self.readCount += 1
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event as? TLSUserEvent {
        case .handshakeCompleted(let name): self.negotiated.append(name)
        case .shutdownCompleted: self.sawShutdown = true
        case nil: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? TLSError {
            self.errors.append(error)
        } else {
            context.fireErrorCaught(error)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { self.isInactive = true }
}
