package import NIOCore
import NIOTLS

/// TLS in a channel's pipeline: plain bytes towards the tail, records towards the network.
///
/// Small writes of one flush share records of up to 16 KiB. Fires NIO's `TLSUserEvent.handshakeCompleted` once
/// the own side of the handshake is done and `shutdownCompleted` at the peer's close_notify; errors arrive as
/// `TLSError` through `errorCaught`, followed by the close. **A client's handshake is complete before the server
/// has judged its certificate**: only the first answer means acceptance.
///
/// Closing says close_notify and waits a short time for the peer's before the real close, because closing a
/// socket with unread bytes would reset the connection and destroy what is still on its way.
package final class TLSHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias InboundOut = ByteBuffer
    package typealias OutboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    package enum Mode: Sendable {
        case server
        /// `serverName`: the DNS name or IP address that the certificate must show; `nil` checks only the chain.
        case client(serverName: String?)
    }

    /// The longest handshake, unless the caller says otherwise.
    package static let handshakeTimeoutDefault = TimeAmount.seconds(5)
    /// How long a close, or the delivery of an alert, waits for the peer.
    package static let closeTimeoutDefault = TimeAmount.seconds(2)
    /// Bytes encrypted before they are handed to the channel, at most, so that a large flush is not held twice in memory.
    /// With what TLS adds they fit a buffer of 128 KiB.
    private static let outboundChunk = 7 * TLSConnection.recordMax

    private enum State {
        /// Not yet active. Next: `handshaking`.
        case idle
        /// Next: `open`, `lingering`.
        case handshaking
        /// Next: `lingering`.
        case open
        /// The last word, close_notify or an alert, is on its way; inbound data is dropped. Next: `closed`.
        case lingering
        case closed
    }

    private let context: TLSContext
    private let mode: Mode
    private let handshakeTimeout: TimeAmount
    private let closeTimeout: TimeAmount
    private var state = State.idle
    private var connection: TLSConnection?
    private var pending = MarkedCircularBuffer<(ByteBuffer, EventLoopPromise<Void>?)>(initialCapacity: 8)
    private var scratch = ByteBuffer()
    private var timer: Scheduled<Void>?
    private var closePromise: EventLoopPromise<Void>?
    private var isOutputClosed = false
    /// Whether plain bytes were fired since the last `channelReadComplete`.
    private var hasFired = false

    package init(
        context: TLSContext, mode: Mode, handshakeTimeout: TimeAmount = TLSHandler.handshakeTimeoutDefault,
        closeTimeout: TimeAmount = TLSHandler.closeTimeoutDefault
    ) {
        switch mode {
        case .server: precondition(context.configuration.role == .server, "a client's context in a server")
        case .client: precondition(context.configuration.role == .client, "a server's context in a client")
        }
        self.context = context
        self.mode = mode
        self.handshakeTimeout = handshakeTimeout
        self.closeTimeout = closeTimeout
    }

    /// The peer's verified certificate, once the handshake is complete; `nil` when none was asked for.
    package var peerCertificate: PeerCertificate? { self.connection?.peerCertificate }
    /// The ALPN name agreed on, once the handshake is complete.
    package var negotiatedProtocol: String? { self.connection?.negotiatedProtocol }
    /// `TLSv1.3` or `TLSv1.2`, once the handshake is complete.
    package var version: String? { self.connection?.version }

    // MARK: Beginning

    package func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { self.begin(context) }
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.cleanUp() }

    package func channelActive(context: ChannelHandlerContext) {
        context.fireChannelActive()
        self.begin(context)
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard self.state == .idle else { return }
        self.state = .handshaking
        do {
            switch self.mode {
            case .server: self.connection = try TLSConnection(context: self.context, serverName: nil)
            case .client(let name): self.connection = try TLSConnection(context: self.context, serverName: name)
            }
        } catch {
            return self.fail(context, error)
        }
        self.schedule(context, in: self.handshakeTimeout) { handler, context in
            handler.fail(context, TLSError(.handshakeTimedOut, reason: "the peer did not finish the handshake"))
        }
        self.advance(context)
    }

    // MARK: Inbound

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.state {
        case .handshaking, .open, .lingering:
            self.connection?.receive(self.unwrapInboundIn(data))
            self.advance(context)
        case .idle, .closed:
            break
        }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        // Whoever asked for a read waits for plain bytes: part of a record is none, so read on.
        if !self.hasFired, self.state != .closed { context.read() }
        self.hasFired = false
        context.fireChannelReadComplete()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { return self.inputEnded(context) }
        context.fireUserInboundEventTriggered(event)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        let error = self.prematureEnd
        self.cleanUp()
        if let error { context.fireErrorCaught(error) }
        context.fireChannelInactive()
    }

    /// What it means if the connection ends now; `nil` when that is in order.
    private var prematureEnd: TLSError? {
        switch self.state {
        case .handshaking: TLSError(.handshakeFailed, reason: "the peer closed the connection during the handshake")
        case .open: TLSError(.truncated, reason: "the connection ended without close_notify")
        case .idle, .lingering, .closed: nil
        }
    }

    private func inputEnded(_ context: ChannelHandlerContext) {
        if let error = self.prematureEnd {
            self.fail(context, error)
        } else {
            self.finishClose(context)
        }
    }

    /// Takes the connection as far as the bytes received allow.
    private func advance(_ context: ChannelHandlerContext) {
        guard let connection = self.connection else { return }
        if self.state == .handshaking {
            let outcome = connection.handshake()
            self.sendOutbound(context)
            switch outcome {
            case .complete: self.handshakeCompleted(context, connection)
            case .incomplete: return context.read()
            case .closed:
                return self.fail(context, TLSError(.handshakeFailed, reason: "the peer gave up the handshake"))
            case .failed(let error): return self.fail(context, error)
            }
        }
        guard self.state == .open || self.state == .lingering, connection.inboundByteCount > 0 else { return }
        self.decrypt(context, connection)
    }

    private func handshakeCompleted(_ context: ChannelHandlerContext, _ connection: TLSConnection) {
        self.cancelTimer()
        let name = connection.negotiatedProtocol
        if self.context.configuration.requiresApplicationProtocol, name == nil {
            connection.sendCloseNotify()
            return self.fail(context, TLSError(.handshakeFailed, reason: "the peer speaks no common protocol"))
        }
        self.state = .open
        context.fireUserInboundEventTriggered(TLSUserEvent.handshakeCompleted(negotiatedProtocol: name))
        if self.state == .open { self.encryptFlushed(context, connection) }
    }

    private func decrypt(_ context: ChannelHandlerContext, _ connection: TLSConnection) {
        var plain = context.channel.allocator.buffer(capacity: connection.inboundByteCount)
        let outcome = connection.read(into: &plain)
        // Answers of libssl's own: alerts, key updates.
        self.sendOutbound(context)
        if self.state == .open, plain.readableBytes > 0 {
            self.hasFired = true
            context.fireChannelRead(self.wrapInboundOut(plain))
        }
        switch (outcome, self.state) {
        case (.closed, .open):
            context.fireUserInboundEventTriggered(TLSUserEvent.shutdownCompleted)
            self.answerClose(context, connection)
        case (.failed(let error), .open): self.fail(context, error)
        case (.closed, .lingering), (.failed, .lingering): self.finishClose(context)
        case (.complete, _), (.incomplete, _), (_, .idle), (_, .handshaking), (_, .closed): break
        }
    }

    // MARK: Outbound

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch self.state {
        case .idle, .handshaking, .open:
            if self.isOutputClosed {
                promise?.fail(ChannelError.outputClosed)
            } else {
                self.pending.append((self.unwrapOutboundIn(data), promise))
            }
        case .lingering, .closed:
            promise?.fail(ChannelError.ioOnClosedChannel)
        }
    }

    package func flush(context: ChannelHandlerContext) {
        self.pending.mark()
        if self.state == .open, let connection = self.connection { self.encryptFlushed(context, connection) }
    }

    /// Encrypts what was flushed and hands it to the channel; joins small writes into full records.
    private func encryptFlushed(_ context: ChannelHandlerContext, _ connection: TLSConnection) {
        guard self.pending.hasMark else { return }
        var promises: [EventLoopPromise<Void>] = []
        var failure: TLSError?
        while failure == nil, self.pending.hasMark, let (data, promise) = self.pending.popFirst() {
            if let promise { promises.append(promise) }
            failure = self.encrypt(data, isLast: !self.pending.hasMark, context, connection)
        }
        if failure == nil, self.scratch.readableBytes > 0 {
            failure = self.scratch.withUnsafeReadableBytes { connection.write($0) }
        }
        self.scratch.clear()
        if self.context.configuration.releasesIdleBuffers { self.scratch = ByteBuffer() }
        if let failure {
            for promise in promises { promise.fail(failure) }
            return self.fail(context, failure)
        }
        let bytes = connection.takeOutbound() ?? ByteBuffer()
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: Self.joined(promises))
    }

    private func encrypt(
        _ data: ByteBuffer, isLast: Bool, _ context: ChannelHandlerContext, _ connection: TLSConnection
    ) -> TLSError? {
        var rest = data
        while rest.readableBytes > 0 {
            let isWhole = self.scratch.readableBytes == 0 && (isLast || rest.readableBytes >= TLSConnection.recordMax)
            let count = min(rest.readableBytes, isWhole ? Self.outboundChunk : TLSConnection.recordMax)
            if connection.outboundByteCount + count > Self.outboundChunk, let bytes = connection.takeOutbound() {
                context.write(self.wrapOutboundOut(bytes), promise: nil)
            }
            if isWhole, let part = rest.readSlice(length: count) {
                if let failure = part.withUnsafeReadableBytes({ connection.write($0) }) { return failure }
                continue
            }
            if self.scratch.capacity == 0 { self.scratch.reserveCapacity(TLSConnection.recordMax) }
            let space = TLSConnection.recordMax - self.scratch.readableBytes
            if var part = rest.readSlice(length: min(space, rest.readableBytes)) { self.scratch.writeBuffer(&part) }
            if self.scratch.readableBytes == TLSConnection.recordMax {
                let failure = self.scratch.withUnsafeReadableBytes { connection.write($0) }
                self.scratch.clear()
                if let failure { return failure }
            }
        }
        return nil
    }

    private static func joined(_ promises: [EventLoopPromise<Void>]) -> EventLoopPromise<Void>? {
        guard let first = promises.first else { return nil }
        for promise in promises.dropFirst() { first.futureResult.cascade(to: promise) }
        return first
    }

    private func sendOutbound(_ context: ChannelHandlerContext) {
        if let bytes = self.connection?.takeOutbound() {
            context.writeAndFlush(self.wrapOutboundOut(bytes), promise: nil)
        }
    }

    // MARK: Ending

    package func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch (mode, self.state) {
        case (.input, _):
            promise?.fail(ChannelError.operationUnsupported)
        case (.output, .open):
            self.isOutputClosed = true
            self.failPending(ChannelError.outputClosed)
            self.connection?.sendCloseNotify()
            self.sendOutbound(context)
            context.close(mode: .output, promise: promise)
        case (.output, _):
            context.close(mode: .output, promise: promise)
        case (.all, .open):
            self.addClosePromise(promise)
            self.connection?.sendCloseNotify()
            self.linger(context)
        case (.all, .lingering):
            self.addClosePromise(promise)
        case (.all, .idle), (.all, .handshaking), (.all, .closed):
            self.addClosePromise(promise)
            self.finishClose(context)
        }
    }

    /// The peer closed: answers, and closes as soon as the answer is on its way.
    private func answerClose(_ context: ChannelHandlerContext, _ connection: TLSConnection) {
        guard self.state == .open else { return }
        connection.sendCloseNotify()
        let bytes = connection.takeOutbound() ?? ByteBuffer()
        self.linger(context)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            if self.state == .lingering { self.finishClose(context) }
        }
        context.writeAndFlush(self.wrapOutboundOut(bytes), promise: written)
    }

    /// Reports `error`, lets the alert reach the peer, and closes.
    private func fail(_ context: ChannelHandlerContext, _ error: TLSError) {
        guard self.state == .handshaking || self.state == .open else { return }
        self.failPending(error)
        if (self.connection?.outboundByteCount ?? 0) > 0 || error.code == .handshakeFailed {
            self.linger(context)
            context.fireErrorCaught(error)
        } else {
            self.state = .lingering
            context.fireErrorCaught(error)
            self.finishClose(context)
        }
    }

    /// Sends the last word and gives the peer a short time to take it and to say its own.
    private func linger(_ context: ChannelHandlerContext) {
        self.state = .lingering
        self.failPending(ChannelError.ioOnClosedChannel)
        self.schedule(context, in: self.closeTimeout) { handler, context in handler.finishClose(context) }
        self.sendOutbound(context)
        if self.state == .lingering { context.read() }
    }

    private func finishClose(_ context: ChannelHandlerContext) {
        self.cancelTimer()
        self.state = .closed
        self.failPending(ChannelError.ioOnClosedChannel)
        let promise = self.closePromise
        self.closePromise = nil
        context.close(promise: promise)
    }

    private func cleanUp() {
        self.cancelTimer()
        self.state = .closed
        self.failPending(ChannelError.ioOnClosedChannel)
        self.connection = nil
        self.closePromise?.succeed()
        self.closePromise = nil
    }

    private func failPending(_ error: any Error) {
        while let (_, promise) = self.pending.popFirst() { promise?.fail(error) }
    }

    private func addClosePromise(_ promise: EventLoopPromise<Void>?) {
        guard let promise else { return }
        if let first = self.closePromise {
            first.futureResult.cascade(to: promise)
        } else {
            self.closePromise = promise
        }
    }

    // MARK: Time

    private func schedule(
        _ context: ChannelHandlerContext, in time: TimeAmount,
        _ action: @escaping (TLSHandler, ChannelHandlerContext) -> Void
    ) {
        self.cancelTimer()
        self.timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { action(self, context) }
    }

    private func cancelTimer() {
        self.timer?.cancel()
        self.timer = nil
    }
}
