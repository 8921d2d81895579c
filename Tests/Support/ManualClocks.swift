package import EscapementModel
import Synchronization

/// Time that passes only when a test says so.
///
/// Whoever sleeps is woken in order of the instants, and each time those who were woken get a chance to work and
/// to fall asleep again before time goes on. That pacing is bounded and not a promise: a test waits for a
/// condition, never for an amount of time.
package final class ManualClocks: Clocks {
    private struct Sleeper {
        var wakeAt: Int64
        var continuation: CheckedContinuation<Void, any Error>
    }

    private struct State {
        var now: Int64 = 0
        var wallOffsetMilliseconds: Int64
        var nextID: UInt64 = 0
        var sleepers: [UInt64: Sleeper] = [:]
        var sleepCount = 0
    }

    /// Turns that those who were woken get before time goes on without them.
    private static let turnsMax = 5000
    /// Turns without anyone falling asleep, after which everyone is taken to wait for something else than time.
    private static let quietTurns = 40

    private let state: Mutex<State>

    /// - Parameter wall: the wall time at the start.
    package init(wall: WallInstant = WallInstant(milliseconds: 1_800_000_000_000)) {
        self.state = Mutex(State(wallOffsetMilliseconds: wall.milliseconds))
    }

    package func monotonicNow() -> MonotonicInstant {
        self.state.withLock { MonotonicInstant(nanoseconds: $0.now) }
    }

    package func wallNow() -> WallInstant {
        self.state.withLock { WallInstant(milliseconds: $0.wallOffsetMilliseconds + $0.now / 1_000_000) }
    }

    /// Steps the wall clock, as an operator does; monotonic time does not notice.
    package func stepWall(by duration: Duration) {
        self.state.withLock { $0.wallOffsetMilliseconds += duration.wholeMilliseconds }
    }

    package func sleep(for duration: Duration) async throws {
        let id = self.state.withLock { state in
            state.nextID += 1
            state.sleepCount += 1
            return state.nextID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isOver = self.state.withLock { state in
                    if Task.isCancelled { return true }
                    let wakeAt = state.now + max(0, duration.wholeNanoseconds)
                    state.sleepers[id] = Sleeper(wakeAt: wakeAt, continuation: continuation)
                    return false
                }
                if isOver { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let sleeper = self.state.withLock { $0.sleepers.removeValue(forKey: id) }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }

    /// Lets `duration` pass.
    package func advance(by duration: Duration) async {
        let end = self.state.withLock { $0.now + duration.wholeNanoseconds }
        await self.letOthersWork(until: 1)
        while true {
            let woken: [Sleeper] = self.state.withLock { state in
                guard let next = state.sleepers.values.map(\.wakeAt).min(), next <= end else { return [] }
                state.now = max(state.now, next)
                let due = state.sleepers.filter { $0.value.wakeAt <= state.now }
                for id in due.keys { state.sleepers[id] = nil }
                return due.sorted { ($0.value.wakeAt, $0.key) < ($1.value.wakeAt, $1.key) }.map(\.value)
            }
            if woken.isEmpty { break }
            let expected = self.state.withLock { $0.sleepCount } + woken.count
            for sleeper in woken { sleeper.continuation.resume() }
            await self.letOthersWork(until: expected)
        }
        self.state.withLock { $0.now = end }
    }

    /// Gives the others turns until they have fallen asleep `count` times in all and then for a while nobody does.
    private func letOthersWork(until count: Int) async {
        var last = 0
        var quiet = 0
        for _ in 0..<Self.turnsMax {
            let slept = self.state.withLock { $0.sleepCount }
            quiet = slept == last && slept >= count ? quiet + 1 : 0
            if quiet >= Self.quietTurns { return }
            last = slept
            await Task.yield()
        }
    }
}
