import NIOCore
import Synchronization
import WireProtocol

/// Frames between the event loop that receives them and the one task that takes them.
///
/// Says when the task has fallen behind, so that reading stops, and when it has caught up to half.
final class InboundQueue: Sendable {
    private struct State {
        var frames = CircularBuffer<Frame>()
        var byteCount = 0
        var waiter: CheckedContinuation<Frame?, Never>?
        var isPaused = false
        var isFinished = false

        /// Takes the first frame, and says whether that ends a pause.
        mutating func take(framesMax: Int, bytesMax: Int) -> (Frame, isCaughtUp: Bool)? {
            guard let frame = self.frames.popFirst() else { return nil }
            self.byteCount -= Frame.headerLength + frame.payload.readableBytes
            guard self.isPaused, self.frames.count <= framesMax / 2, self.byteCount <= bytesMax / 2 else {
                return (frame, false)
            }
            self.isPaused = false
            return (frame, true)
        }
    }

    private let state = Mutex(State())
    private let framesMax: Int
    private let bytesMax: Int
    /// Called without the lock when the task has caught up.
    private let caughtUp: @Sendable () -> Void

    init(framesMax: Int, bytesMax: Int, caughtUp: @escaping @Sendable () -> Void) {
        self.framesMax = framesMax
        self.bytesMax = bytesMax
        self.caughtUp = caughtUp
    }

    /// Adds `frames`; nothing is refused, since they were received already.
    ///
    /// - Returns: whether reading has to stop until `caughtUp` is called.
    func deliver(_ frames: [Frame]) -> Bool {
        var rest = frames[...]
        let (waiter, first, isPaused) = self.state.withLock { state in
            guard !state.isFinished else { return (nil as CheckedContinuation<Frame?, Never>?, nil as Frame?, false) }
            var handed: (CheckedContinuation<Frame?, Never>?, Frame?) = (nil, nil)
            if state.waiter != nil, let frame = rest.popFirst() {
                handed = (state.waiter, frame)
                state.waiter = nil
            }
            for frame in rest { state.byteCount += Frame.headerLength + frame.payload.readableBytes }
            state.frames.append(contentsOf: rest)
            if state.frames.count > self.framesMax || state.byteCount > self.bytesMax { state.isPaused = true }
            return (handed.0, handed.1, state.isPaused)
        }
        waiter?.resume(returning: first)
        return isPaused
    }

    /// The next frame; `nil` once the queue is finished and empty, or when someone else waits already.
    func next() async -> Frame? {
        if let (frame, isCaughtUp) = self.state.withLock({ $0.take(framesMax: framesMax, bytesMax: bytesMax) }) {
            if isCaughtUp { self.caughtUp() }
            return frame
        }
        return await withCheckedContinuation { self.wait($0) }
    }

    /// Keeps `continuation` for the next frame, unless the answer is known by now.
    private func wait(_ continuation: CheckedContinuation<Frame?, Never>) {
        let (answer, isCaughtUp): (Frame??, Bool) = self.state.withLock { state in
            if let (frame, isCaughtUp) = state.take(framesMax: self.framesMax, bytesMax: self.bytesMax) {
                return (.some(frame), isCaughtUp)
            }
            if state.isFinished || state.waiter != nil { return (.some(nil), false) }
            state.waiter = continuation
            return (nil, false)
        }
        if isCaughtUp { self.caughtUp() }
        if let answer { continuation.resume(returning: answer) }
    }

    /// What is queued can still be taken; then comes the end.
    func finish() {
        let waiter = self.state.withLock { state in
            state.isFinished = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume(returning: nil)
    }
}
