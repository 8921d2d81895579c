import Synchronization

/// The place of one round among those of its lane that are under way.
final class RoundTicket: Sendable {
    /// Its records come before those of later rounds.
    let handedOver = Latch()
    /// Whether it is durable; never, when false.
    let done = Latch()
}

/// Something that happens once.
final class Latch: Sendable {
    private struct State {
        var outcome: Bool?
        var waiting: [CheckedContinuation<Bool, Never>] = []
    }

    private let state = Mutex(State())

    /// It has happened, or never will. The first call counts.
    func open(_ outcome: Bool = true) {
        let waiting = self.state.withLock { state in
            if state.outcome == nil { state.outcome = outcome }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume(returning: self.outcome ?? outcome) }
    }

    /// Waits, also when cancelled: whoever opens it is cancelled likewise.
    func wait() async -> Bool {
        if let outcome { return outcome }
        return await withCheckedContinuation { continuation in
            let outcome = self.state.withLock { state in
                if state.outcome == nil { state.waiting.append(continuation) }
                return state.outcome
            }
            if let outcome { continuation.resume(returning: outcome) }
        }
    }

    private var outcome: Bool? { self.state.withLock { $0.outcome } }
}
