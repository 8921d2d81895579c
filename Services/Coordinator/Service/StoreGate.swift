import Synchronization

/// Lets a bounded number of tasks through at a time; the others wait in order.
final class StoreGate: Sendable {
    private struct State {
        var free: Int
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state: Mutex<State>

    init(permits: Int) { self.state = Mutex(State(free: permits)) }

    /// Runs `body` when there is room. Waiting is not cancelled: those ahead are bounded by the store's own
    /// time-outs.
    func run<Value: Sendable, Failure: Error>(
        _ body: @Sendable () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        await self.enter()
        defer { self.leave() }
        return try await body()
    }

    /// Gives the permit back while `body` waits for something else. To be called within `run`.
    func outside<Value: Sendable>(_ body: @Sendable () async -> Value) async -> Value {
        self.leave()
        let value = await body()
        await self.enter()
        return value
    }

    private func enter() async {
        await withCheckedContinuation { continuation in
            let isFree = self.state.withLock { state in
                if state.free > 0 {
                    state.free -= 1
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    private func leave() {
        let next = self.state.withLock { state -> CheckedContinuation<Void, Never>? in
            if !state.waiting.isEmpty { return state.waiting.removeFirst() }
            state.free += 1
            return nil
        }
        next?.resume()
    }
}
