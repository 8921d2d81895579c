import Synchronization

/// The port a listener got, for whoever has to wait for it.
package final class BoundPort: Sendable {
    private struct State {
        var port: Int?
        var waiters: [CheckedContinuation<Int, Never>] = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Notes the port and wakes the waiters. The first call counts.
    package func set(_ port: Int) {
        let waiters = self.state.withLock { state -> [CheckedContinuation<Int, Never>] in
            guard state.port == nil else { return [] }
            state.port = port
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter.resume(returning: port) }
    }

    /// The port, or `nil` while it is not known.
    package var value: Int? { self.state.withLock { $0.port } }

    /// Waits for the port. Not cancellable: only for callers that know the listener will bind or the
    /// process will end.
    package func wait() async -> Int {
        await withCheckedContinuation { continuation in
            let port = self.state.withLock { state -> Int? in
                if state.port == nil { state.waiters.append(continuation) }
                return state.port
            }
            if let port { continuation.resume(returning: port) }
        }
    }
}
