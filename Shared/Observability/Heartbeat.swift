package import EscapementModel
import Synchronization

/// Proof that a loop still turns: the loop beats, a liveness probe looks at the age of the last beat.
package final class Heartbeat: Sendable {
    private let name: String
    private let limit: Duration
    private let now: @Sendable () -> MonotonicInstant
    private let last: Atomic<Int64>

    /// - Parameters:
    ///   - name: what turns, for the reason: `tick loop`.
    ///   - limit: how old the last beat may be. Well above the loop's longest pause.
    ///   - now: monotonic time.
    package init(_ name: String, limit: Duration, now: @escaping @Sendable () -> MonotonicInstant) {
        self.name = name
        self.limit = limit
        self.now = now
        self.last = Atomic(now().nanoseconds)
    }

    /// Notes that the loop turned. One clock reading and one atomic store.
    package func beat() { self.last.store(self.now().nanoseconds, ordering: .relaxed) }

    /// Ok while the last beat is young enough.
    package var status: HealthStatus {
        let age = self.now().duration(since: MonotonicInstant(nanoseconds: self.last.load(ordering: .relaxed)))
        return age <= self.limit ? .ok : .notReady("\(self.name) has not advanced for \(DurationText.format(age))")
    }
}
