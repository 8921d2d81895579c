import EscapementModel
import Synchronization

/// Clocks that stand still until a test moves them.
final class ManualClocks: Clocks {
    fileprivate struct Sleeper {
        var deadline: MonotonicInstant
        var continuation: CheckedContinuation<Void, any Error>
    }

    fileprivate struct State {
        var now = MonotonicInstant(nanoseconds: 0)
        var next = 0
        var sleepers: [Int: Sleeper] = [:]
        var cancelled: Set<Int> = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    /// Wall time when monotonic time is 0.
    let start: WallInstant
    private let state = Mutex(State())

    init(start: WallInstant = WallInstant(milliseconds: 1_795_397_400_000)) { self.start = start }

    func wallNow() -> WallInstant {
        self.start.advanced(by: .nanoseconds(self.state.withLock { $0.now.nanoseconds }))
    }

    func monotonicNow() -> MonotonicInstant { self.state.withLock { $0.now } }

    func sleep(for duration: Duration) async throws {
        let id = self.state.withLock { state in
            state.next += 1
            return state.next
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let (isCancelled, woken) = self.state.withLock { state in
                    if state.cancelled.remove(id) != nil { return (true, state.takeWatchers()) }
                    state.sleepers[id] = Sleeper(deadline: state.now.advanced(by: duration), continuation: continuation)
                    return (false, state.takeWatchers())
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
                for watcher in woken { watcher.resume() }
            }
        } onCancel: {
            let sleeper = self.state.withLock { state in
                let sleeper = state.sleepers.removeValue(forKey: id)
                if sleeper == nil { state.cancelled.insert(id) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Waits until at least `count` tasks sleep.
    func untilSleeping(_ count: Int = 1) async {
        await withCheckedContinuation { continuation in
            let isEnough = self.state.withLock { state in
                if state.sleepers.count >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isEnough { continuation.resume() }
        }
    }

    /// Moves time and wakes whoever is due.
    func advance(by duration: Duration) {
        let due = self.state.withLock { state in
            state.now = state.now.advanced(by: duration)
            let due = state.sleepers.filter { $0.value.deadline <= state.now }
            for id in due.keys { state.sleepers[id] = nil }
            return due.values.map(\.continuation)
        }
        for continuation in due { continuation.resume() }
    }
}

extension ManualClocks.State {
    fileprivate mutating func takeWatchers() -> [CheckedContinuation<Void, Never>] {
        let count = self.sleepers.count
        let ready = self.watchers.filter { $0.count <= count }.map(\.continuation)
        self.watchers.removeAll { $0.count <= count }
        return ready
    }
}

/// Clocks on which every sleep is over at once, and time moves on by it.
final class SkippingClocks: Clocks {
    private let now = Mutex(MonotonicInstant(nanoseconds: 0))
    private let start = WallInstant(milliseconds: 1_795_397_400_000)

    func wallNow() -> WallInstant { self.start.advanced(by: .nanoseconds(self.monotonicNow().nanoseconds)) }
    func monotonicNow() -> MonotonicInstant { self.now.withLock { $0 } }

    func sleep(for duration: Duration) async throws {
        try Task.checkCancellation()
        self.now.withLock { $0 = $0.advanced(by: duration) }
        await Task.yield()
    }
}
