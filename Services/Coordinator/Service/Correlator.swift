import EscapementModel
import Synchronization
import WireProtocol

/// Matches answers with the questions that wait for them, on one link.
final class Correlator: Sendable {
    /// Questions that wait on one link, at most; a further one is answered with `nil` at once.
    static let waitingMax = 1024

    private struct State {
        var next: UInt32 = 1
        var waiting: [UInt32: AsyncStream<Frame>.Continuation] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Sends a question and waits for its answer.
    ///
    /// - Parameter send: sends the question under the correlation it is given; `false` when it could not.
    /// - Returns: the answering frame; `nil` when none came within `limit`, or the link is closed.
    func ask(within limit: Duration, clocks: any Clocks, _ send: @Sendable (UInt32) -> Bool) async -> Frame? {
        let (answers, continuation) = AsyncStream.makeStream(of: Frame.self, bufferingPolicy: .bufferingOldest(1))
        let correlation: UInt32? = self.state.withLock { state in
            guard !state.isClosed, state.waiting.count < Self.waitingMax else { return nil }
            let correlation = state.next
            // Zero means "no answer wanted".
            state.next = correlation == .max ? 1 : correlation + 1
            state.waiting[correlation] = continuation
            return correlation
        }
        guard let correlation else { return nil }
        defer { self.state.withLock { _ = $0.waiting.removeValue(forKey: correlation) } }
        guard send(correlation) else { return nil }
        return await withTaskGroup(of: Frame?.self) { group in
            group.addTask {
                for await answer in answers { return answer }
                return nil
            }
            group.addTask {
                // Cancelled when the answer is there.
                try? await clocks.sleep(for: limit)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
    }

    /// Hands an answer to whoever asked; `false` when nobody waits for it any more.
    @discardableResult func resolve(_ frame: Frame) -> Bool {
        let continuation = self.state.withLock { $0.waiting[frame.correlation] }
        guard let continuation else { return false }
        continuation.yield(frame)
        continuation.finish()
        return true
    }

    /// The link is gone: nobody will answer.
    func close() {
        let waiting = self.state.withLock { state in
            state.isClosed = true
            return state.waiting
        }
        for continuation in waiting.values { continuation.finish() }
    }
}
