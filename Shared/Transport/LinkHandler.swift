import EscapementModel
import NIOCore
import NIOTLS
import TLS
import WireProtocol

/// Frames over the plain side of TLS, and the life of one link. Confined to its event loop.
final class LinkHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Encoded bytes handed to the channel at a time.
    private static let outboundChunk = 256 * 1024
    /// Payloads of so many bytes are handed to the channel where they lie, and not copied together with others.
    private static let wholeFrom = 32 * 1024
    /// Bytes reserved for a frame as soon as its length is known, at most: more than most batches of fires take.
    private static let reservedMax = 1024 * 1024

    private let policy: PeerPolicy
    private let limits: TransportLimits
    private let promise: EventLoopPromise<TransportLink>
    private var context: ChannelHandlerContext?
    private var link: TransportLink?
    private var accumulated = ByteBuffer()
    /// Whether `accumulated` shares its memory with no frame, so that appending does not copy it.
    private var isAccumulatedOwn = false
    /// Whether `Hello` was sent or received: before, only small frames are accepted.
    private var isGreeted = false
    private var isPaused = false
    private var isReadWanted = false
    /// Bytes handed to the channel that have not left yet.
    private var unwrittenByteCount = 0
    private var isClosing = false
    private var ageTimer: Scheduled<Void>?
    private var closeTimer: Scheduled<Void>?

    init(policy: PeerPolicy, limits: TransportLimits, eventLoop: any EventLoop) {
        self.policy = policy
        self.limits = limits
        self.promise = eventLoop.makePromise(of: TransportLink.self)
    }

    /// The link, once the peer is known and admitted; or a `LinkError`.
    var established: EventLoopFuture<TransportLink> { self.promise.futureResult }

    // MARK: Beginning and end

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.end(LinkError(.broken, "the connection ended"))
        self.context = nil
        self.link = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent {
            self.handshakeCompleted(context)
        } else if case .read = event as? IdleStateHandler.IdleStateEvent {
            // A handshake has a limit of its own.
            guard self.link != nil, !self.isPaused, !self.isClosing else { return }
            self.abort(LinkError(.broken, "nothing arrived for the read timeout"))
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    private func handshakeCompleted(_ context: ChannelHandlerContext) {
        do {
            let handler = try context.pipeline.syncOperations.handler(type: TLSHandler.self)
            guard let certificate = handler.peerCertificate else {
                throw LinkError(.wrongPeer, "the peer showed no certificate")
            }
            try self.policy.checkHost(certificate)
            let peer = try PeerIdentity(certificate)
            try self.policy.check(peer)
            let link = TransportLink(peer: peer, eventLoop: context.eventLoop, handler: self, limits: self.limits)
            self.link = link
            self.limitAge(context, certificate)
            self.promise.succeed(link)
        } catch {
            self.abort(error as? LinkError ?? LinkError(.broken, "\(error)"))
        }
    }

    private func limitAge(_ context: ChannelHandlerContext, _ certificate: PeerCertificate) {
        let rest = certificate.notAfter.duration(since: SystemClocks().wallNow()).wholeMilliseconds
        // Compared as milliseconds: the nanoseconds until the year 9999 do not fit.
        let age = min(max(rest, 0), self.limits.linkAgeMax.nanoseconds / 1_000_000)
        self.ageTimer = context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(age)) { self.link?.close() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.abort(LinkError(ending: error, isEstablished: self.link != nil))
    }

    func channelInactive(context: ChannelHandlerContext) {
        // Without an error before, the peer said close_notify.
        if self.link == nil { self.end(LinkError(.refused, "the peer closed the connection")) } else { self.end(nil) }
        context.fireChannelInactive()
    }

    /// Ends the link with `error`; what is queued is lost.
    func abort(_ error: LinkError) {
        self.end(error)
        self.context?.close(promise: nil)
    }

    /// Ends the link after what was queued has left, or a short time.
    func closeInOrder() {
        guard let context = self.context, !self.isClosing else { return }
        self.drain()
        self.isClosing = true
        if self.unwrittenByteCount == 0 { return context.close(promise: nil) }
        self.closeTimer = context.eventLoop.assumeIsolated().scheduleTask(in: self.limits.closeTimeout) {
            self.context?.close(promise: nil)
        }
    }

    private func end(_ failure: LinkError?) {
        self.isClosing = true
        self.ageTimer?.cancel()
        self.closeTimer?.cancel()
        self.accumulated = ByteBuffer()
        if let link = self.link {
            link.end(failure)
        } else {
            self.promise.fail(failure ?? LinkError(.broken, "the connection ended"))
        }
    }

    // MARK: Inbound

    func read(context: ChannelHandlerContext) {
        if self.isPaused { self.isReadWanted = true } else { context.read() }
    }

    func resumeReading() {
        self.isPaused = false
        if self.isReadWanted {
            self.isReadWanted = false
            self.context?.read()
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard let link = self.link, !self.isClosing else { return }
        self.accumulate(self.unwrapInboundIn(data), context.channel.allocator)
        var frames: [Frame] = []
        var violation: WireError?
        do {
            while let frame = try self.nextFrame() { frames.append(frame) }
        } catch {
            violation = error
        }
        // What came before a violation counts, whether or not it came in the same read.
        if !frames.isEmpty, link.deliver(frames) { self.isPaused = true }
        if let violation { self.abort(LinkError(.protocolViolation, "\(violation)")) }
    }

    private func nextFrame() throws(WireError) -> Frame? {
        let payloadMax = self.isGreeted ? Frame.payloadMax : Frame.payloadMaxBeforeHello
        guard let frame = try Frame.read(from: &self.accumulated, payloadMax: payloadMax) else { return nil }
        if frame.kind == MessageKind.hello.rawValue { self.isGreeted = true }
        self.isAccumulatedOwn = false
        return frame
    }

    private func accumulate(_ bytes: ByteBuffer, _ allocator: ByteBufferAllocator) {
        if self.accumulated.readableBytes == 0 {
            self.accumulated = bytes
            self.isAccumulatedOwn = false
        } else if self.isAccumulatedOwn {
            self.accumulated.writeImmutableBuffer(bytes)
        } else {
            // Longer ones grow with what has arrived, not with the length that the peer announced.
            var own = allocator.buffer(
                capacity: max(
                    2 * (self.accumulated.readableBytes + bytes.readableBytes),
                    self.isGreeted ? min(Frame.length(of: self.accumulated), Self.reservedMax) : 0))
            own.writeImmutableBuffer(self.accumulated)
            own.writeImmutableBuffer(bytes)
            self.accumulated = own
            self.isAccumulatedOwn = true
        }
    }

    // MARK: Outbound

    /// Writes all that is queued, with one flush.
    func drain() {
        guard let context = self.context, let link = self.link else { return }
        let frames = link.takeQueued()
        guard !frames.isEmpty, !self.isClosing else { return }
        var buffer = context.channel.allocator.buffer(capacity: Self.capacity(for: frames))
        for frame in frames {
            if frame.kind == MessageKind.hello.rawValue { self.isGreeted = true }
            if Self.isWhole(frame) {
                frame.writeHeader(to: &buffer)
                self.write(buffer, context, link)
                buffer = ByteBuffer()
                self.write(frame.payload, context, link)
                continue
            }
            frame.write(to: &buffer)
            if buffer.readableBytes >= Self.outboundChunk {
                self.write(buffer, context, link)
                buffer = ByteBuffer()
            }
        }
        if buffer.readableBytes > 0 { self.write(buffer, context, link) }
        context.flush()
    }

    private static func isWhole(_ frame: Frame) -> Bool { frame.payload.readableBytes >= self.wholeFrom }

    /// Of the first buffer.
    private static func capacity(for frames: [Frame]) -> Int {
        var count = 0
        for frame in frames {
            count += Frame.headerLength
            if self.isWhole(frame) { break }
            count += frame.payload.readableBytes
            if count >= self.outboundChunk { break }
        }
        return count
    }

    private func write(_ bytes: ByteBuffer, _ context: ChannelHandlerContext, _ link: TransportLink) {
        let count = bytes.readableBytes
        self.unwrittenByteCount += count
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in
            link.written(count)
            self.unwrittenByteCount -= count
            if self.isClosing, self.unwrittenByteCount == 0 { self.context?.close(promise: nil) }
        }
        context.write(self.wrapOutboundOut(bytes), promise: written)
    }
}

extension LinkError {
    /// What an error of the channel means for the link.
    init(ending error: any Error, isEstablished: Bool) {
        switch error {
        case let error as LinkError:
            self = error
        case let error as TLSError:
            // With TLS 1.3 a client learns after its handshake that the server refused it.
            let isRefusal = !isEstablished || error.code == .handshakeFailed
            self.init(isRefusal ? .refused : .broken, "\(error)")
        default:
            self.init(.broken, "\(error)")
        }
    }
}
