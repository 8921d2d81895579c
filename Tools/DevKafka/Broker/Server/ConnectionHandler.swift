import Logging
import NIOCore

/// Requests out of a connection's bytes, one at a time as Kafka does: the next one is looked at when the answer to
/// the last is on its way, and nothing more is read from the network meanwhile.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Kafka's `socket.request.max.bytes`.
    static let frameByteCountMax = 100 * 1024 * 1024
    /// Before a client has logged in.
    static let frameByteCountMaxBeforeLogin = 512 * 1024
    /// Between the answer to a failed login and the close, so that guessing is slow (Kafka's default).
    static let refusalDelay = TimeAmount.milliseconds(100)

    private let core: BrokerCore
    private let connection: Connection
    private var context: ChannelHandlerContext?
    private var received = ByteBuffer()
    private var isBusy = false
    private var isClosed = false
    private var isReading = false
    private var owesRead = false

    init(core: BrokerCore, connection: Connection) {
        self.core = core
        self.connection = connection
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        self.connection.close = { [weak self] in self?.close() }
        self.core.connections[ObjectIdentifier(self.connection)] = self.connection
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.isClosed = true
        self.context = nil
        self.core.connections[ObjectIdentifier(self.connection)] = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = self.unwrapInboundIn(data)
        if self.received.readableBytes == 0 { self.received = bytes } else { self.received.writeBuffer(&bytes) }
        self.takeRequests()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.isClosed = true
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.core.logger.debug(
            "connection failed", metadata: ["address": "\(self.connection.address)", "error": "\(error)"])
        self.close()
    }

    func read(context: ChannelHandlerContext) {
        if self.isBusy { self.owesRead = true } else { context.read() }
    }

    private func takeRequests() {
        // Answers that come at once end in here again; the loop that is already running goes on then.
        guard !self.isReading else { return }
        self.isReading = true
        while !self.isBusy, !self.isClosed, let frame = self.nextFrame() {
            self.isBusy = true
            self.core.receive(frame, from: self.connection) { [weak self] response in self?.answer(response) }
        }
        self.isReading = false
        self.context?.flush()
        if self.received.readableBytes == 0 { self.received = ByteBuffer() }
        if !self.isBusy, self.owesRead {
            self.owesRead = false
            self.context?.read()
        }
    }

    private func nextFrame() -> ByteBuffer? {
        guard let length = self.received.getInteger(at: self.received.readerIndex, as: Int32.self) else { return nil }
        let isKnown = self.connection.session.map { $0.user != nil } ?? true
        let limit = isKnown ? Self.frameByteCountMax : Self.frameByteCountMaxBeforeLogin
        guard length >= 0, length <= limit else {
            self.closed(because: "a request of \(length) bytes")
            return nil
        }
        guard self.received.readableBytes >= 4 + Int(length) else { return nil }
        self.received.moveReaderIndex(forwardBy: 4)
        return self.received.readSlice(length: Int(length))
    }

    private func answer(_ response: Response) {
        guard let context = self.context, !self.isClosed else { return }
        switch response {
        case .body(let writer):
            context.write(self.wrapOutboundOut(writer.buffer), promise: nil)
            self.isBusy = false
            self.takeRequests()
        case .nothing:
            self.isBusy = false
            self.takeRequests()
        case .last(let writer):
            // Stays busy: nothing more is taken off this connection.
            context.writeAndFlush(self.wrapOutboundOut(writer.buffer), promise: nil)
            context.eventLoop.assumeIsolated().scheduleTask(in: Self.refusalDelay) { [weak self] in self?.close() }
        case .close(let reason):
            self.closed(because: reason)
        }
    }

    private func closed(because reason: String) {
        self.core.logger.debug(
            "connection closed", metadata: ["address": "\(self.connection.address)", "reason": "\(reason)"])
        self.close()
    }

    private func close() {
        guard let context = self.context, !self.isClosed else { return }
        self.isClosed = true
        context.close(promise: nil)
    }
}
