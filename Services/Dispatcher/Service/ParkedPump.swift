import Synchronization

/// How far a lane has taken up its parked fires, and the hand-over between who reads them and who publishes.
final class ParkedPump: Sendable {
    private struct State {
        var next: Int64 = 0
        /// Whether there may be fires at or after `next`.
        var mayHaveMore = false
        /// Grows with each round that parks, so that "the end" is not believed when it has moved.
        var parked = 0
        var parkedWhenRead = 0
        var offered: RoundPlan.TakenUp?
        var isOffering = false
    }

    private let state = Mutex(State())
    private let signals = PumpSignals()

    /// The offset that the journal names when nothing is taken up.
    var next: Int64 { self.state.withLock { $0.next } }

    /// The journal was read; whatever was parked before may still be there.
    func begin(at next: Int64) {
        self.state.withLock { state in
            state.next = next
            state.mayHaveMore = true
        }
        self.signals.ring(work: true, commit: false)
    }

    func finish() { self.signals.finish() }

    // MARK: The reader

    /// Waits until there may be something to read, and says from where; `nil` after `finish`.
    func awaitWork() async -> Int64? {
        await self.signals.awaitWork {
            self.state.withLock { state in
                state.parkedWhenRead = state.parked
                return state.mayHaveMore ? state.next : nil
            }
        }
    }

    /// Nothing was there.
    func reachedEnd(at next: Int64) {
        self.state.withLock { state in
            if state.next == next, state.parked == state.parkedWhenRead { state.mayHaveMore = false }
        }
    }

    func offer(_ takenUp: RoundPlan.TakenUp) {
        self.state.withLock { state in
            state.offered = takenUp
            state.isOffering = true
        }
    }

    /// Waits until what was offered is durable; `false` after `finish`.
    func awaitCommit() async -> Bool {
        await self.signals.awaitCommit { self.state.withLock { $0.isOffering ? nil : true } } ?? false
    }

    // MARK: The publisher

    /// What the next round takes along.
    func ready() -> RoundPlan.TakenUp? {
        self.state.withLock { state in
            defer { state.offered = nil }
            return state.offered
        }
    }

    /// The round is durable.
    func committed(_ takenUp: RoundPlan.TakenUp?, parkedCount: Int) {
        let (hasWork, isCommit) = self.state.withLock { state in
            if parkedCount > 0 {
                state.parked += 1
                state.mayHaveMore = true
            }
            guard let takenUp else { return (parkedCount > 0, false) }
            state.next = takenUp.next
            state.isOffering = false
            return (parkedCount > 0, true)
        }
        self.signals.ring(work: hasWork, commit: isCommit)
    }
}
