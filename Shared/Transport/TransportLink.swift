import NIOCore
import Synchronization
import WireProtocol

/// A link over TLS. The doors may be used from any thread; the work is done by `LinkHandler` on its event loop.
final class TransportLink: MessageLink {
    private struct State {
        var queued: [Frame] = []
        /// Bytes of frames that have not left for the socket yet.
        var byteCount = 0
        /// Whether a drain is on its way: many sends of one turn of the event loop share it, and its flush.
        var isDrainScheduled = false
        /// `hasRoom` was `false`, and `onRoom` is to be called.
        var isRoomAwaited = false
        var onRoom: (@Sendable () -> Void)?
        var isClosed = false
        var failure: LinkError?
    }

    private enum Verdict {
        case queued
        case drain
        case closed
        case failed(LinkError)
    }

    let peer: PeerIdentity
    let frames: AsyncStream<Frame>
    private let inbound: InboundQueue
    private let state = Mutex(State())
    private let outboundBytesMax: Int
    private let outboundBytesRoom: Int
    private let eventLoop: any EventLoop
    private let handler: NIOLoopBound<LinkHandler>

    /// To be called on `eventLoop`.
    init(peer: PeerIdentity, eventLoop: any EventLoop, handler: LinkHandler, limits: TransportLimits) {
        let handler = NIOLoopBound(handler, eventLoop: eventLoop)
        let inbound = InboundQueue(framesMax: limits.inboundFramesMax, bytesMax: limits.inboundBytesMax) {
            eventLoop.execute { handler.value.resumeReading() }
        }
        self.peer = peer
        self.eventLoop = eventLoop
        self.handler = handler
        self.inbound = inbound
        self.outboundBytesMax = limits.outboundBytesMax
        self.outboundBytesRoom = limits.outboundBytesRoom
        self.frames = AsyncStream(unfolding: { await inbound.next() }, onCancel: { inbound.finish() })
    }

    var failure: (any Error)? { self.state.withLock { $0.failure } }

    @discardableResult func send(_ frame: Frame) -> Bool {
        let size = Frame.headerLength + frame.payload.readableBytes
        let verdict = self.state.withLock { state -> Verdict in
            if state.isClosed { return .closed }
            if let error = self.refusal(of: frame, size: size, after: state.byteCount) {
                state.isClosed = true
                state.failure = error
                state.queued = []
                return .failed(error)
            }
            state.queued.append(frame)
            state.byteCount += size
            if state.isDrainScheduled { return .queued }
            state.isDrainScheduled = true
            return .drain
        }
        switch verdict {
        case .queued:
            return true
        case .drain:
            self.eventLoop.execute { self.handler.value.drain() }
            return true
        case .closed:
            return false
        case .failed(let error):
            self.inbound.finish()
            self.eventLoop.execute { self.handler.value.abort(error) }
            return false
        }
    }

    private func refusal(of frame: Frame, size: Int, after byteCount: Int) -> LinkError? {
        if frame.payload.readableBytes > Frame.payloadMax {
            return LinkError(.protocolViolation, "a frame of \(size) bytes is longer than the peer may accept")
        }
        if byteCount + size > self.outboundBytesMax {
            return LinkError(.overflow, "\(byteCount) bytes are queued, and the peer does not read them")
        }
        return nil
    }

    var hasRoom: Bool {
        self.state.withLock { state in
            // Who asks while others wait would take what becomes free, and they would never be called.
            if !state.isRoomAwaited, state.byteCount < self.outboundBytesRoom { return true }
            state.isRoomAwaited = true
            return false
        }
    }

    func onRoom(_ callback: @escaping @Sendable () -> Void) { self.state.withLock { $0.onRoom = callback } }

    func close() {
        guard self.markClosed(nil) else { return }
        self.inbound.finish()
        self.eventLoop.execute { self.handler.value.closeInOrder() }
    }

    // MARK: For the handler

    func takeQueued() -> [Frame] {
        self.state.withLock { state in
            state.isDrainScheduled = false
            defer { state.queued = [] }
            return state.queued
        }
    }

    func written(_ byteCount: Int) {
        let onRoom = self.state.withLock { state -> (@Sendable () -> Void)? in
            state.byteCount -= byteCount
            guard state.isRoomAwaited, state.byteCount <= self.outboundBytesRoom / 2 else { return nil }
            state.isRoomAwaited = false
            return state.onRoom
        }
        onRoom?()
    }

    /// Whether reading has to stop until `LinkHandler.resumeReading` is called.
    func deliver(_ frames: [Frame]) -> Bool { self.inbound.deliver(frames) }

    /// The connection is over; `failure` counts unless the link was closed before.
    func end(_ failure: LinkError?) {
        _ = self.markClosed(failure)
        self.inbound.finish()
    }

    /// - Returns: whether the link was open.
    private func markClosed(_ failure: LinkError?) -> Bool {
        self.state.withLock { state in
            if state.isClosed { return false }
            state.isClosed = true
            state.failure = failure
            return true
        }
    }
}
