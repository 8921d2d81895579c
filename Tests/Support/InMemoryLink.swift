import EscapementModel
import Synchronization
package import WireProtocol

/// Two ends of a link without a network: what one end sends, the other receives, at once and in order.
///
/// Bounded like a real one: an end that does not take its frames makes the other's `send` fail and closes both.
package final class InMemoryLink: MessageLink {
    /// Frames not taken yet, until the link closes with `overflow`, unless the test says otherwise.
    package static let queueMax = 100_000

    private struct State {
        var isClosed = false
        var failure: LinkError?
        var sent: [Frame] = []
        var isFull = false
        var isRoomAwaited = false
        var onRoom: (@Sendable () -> Void)?
    }

    package let peer: PeerIdentity
    package let frames: AsyncStream<Frame>
    private let continuation: AsyncStream<Frame>.Continuation
    private let state = Mutex(State())
    /// Set once, before the pair is handed out.
    private let other = Mutex<InMemoryLink?>(nil)

    private init(peer: PeerIdentity, queueMax: Int) {
        self.peer = peer
        (self.frames, self.continuation) = AsyncStream.makeStream(
            of: Frame.self, bufferingPolicy: .bufferingOldest(queueMax))
    }

    /// The two ends: the first is held by `a`, and so has `b` as its peer; the second the other way round.
    package static func pair(
        a: PeerIdentity, b: PeerIdentity, queueMax: Int = InMemoryLink.queueMax
    ) -> (a: InMemoryLink, b: InMemoryLink) {
        let first = InMemoryLink(peer: b, queueMax: queueMax)
        let second = InMemoryLink(peer: a, queueMax: queueMax)
        first.other.withLock { $0 = second }
        second.other.withLock { $0 = first }
        return (first, second)
    }

    package var failure: (any Error)? { self.state.withLock { $0.failure } }
    package var isClosed: Bool { self.state.withLock { $0.isClosed } }
    /// All that this end has sent so far, for tests that look at it from outside.
    package var sent: [Frame] { self.state.withLock { $0.sent } }

    @discardableResult package func send(_ frame: Frame) -> Bool {
        let isOpen = self.state.withLock { state in
            if !state.isClosed { state.sent.append(frame) }
            return !state.isClosed
        }
        guard isOpen, let other = self.other.withLock({ $0 }) else { return false }
        switch other.continuation.yield(frame) {
        case .enqueued:
            return true
        case .dropped:
            self.end(LinkError(.overflow, "the peer does not read"))
            other.end(LinkError(.broken, "cut by the peer"))
            return false
        case .terminated:
            return false
        @unknown default:
            return false
        }
    }

    /// Lets the other end believe that much waits to leave; its frames arrive all the same.
    package func letRoomEnd(_ isFull: Bool) { self.other.withLock { $0 }?.setFull(isFull) }

    private func setFull(_ isFull: Bool) {
        let onRoom = self.state.withLock { state -> (@Sendable () -> Void)? in
            state.isFull = isFull
            guard !isFull, state.isRoomAwaited else { return nil }
            state.isRoomAwaited = false
            return state.onRoom
        }
        onRoom?()
    }

    package var hasRoom: Bool {
        self.state.withLock { state in
            if state.isFull { state.isRoomAwaited = true }
            return !state.isFull
        }
    }

    package func onRoom(_ callback: @escaping @Sendable () -> Void) {
        self.state.withLock { $0.onRoom = callback }
    }

    package func close() {
        let other = self.other.withLock { $0 }
        self.end(nil)
        other?.end(nil)
    }

    /// Breaks the link for both ends, as a network does.
    package func cut() {
        let error = LinkError(.broken, "cut")
        let other = self.other.withLock { $0 }
        self.end(error)
        other?.end(error)
    }

    private func end(_ failure: LinkError?) {
        let isFirst = self.state.withLock { state in
            if state.isClosed { return false }
            state.isClosed = true
            state.failure = failure
            return true
        }
        guard isFirst else { return }
        self.continuation.finish()
        // The ends hold each other no longer than the link lives.
        self.other.withLock { $0 = nil }
    }
}
