import EscapementModel
import MemberLink
import Observability
import Synchronization

/// How firmly the leader counts on this ticker: a leader that does not hear it for `LeaderSession.memberSilenceMax`
/// gives its shards to others.
///
/// Nothing depends on it here. A ticker that was given up goes on until a lane refuses it.
final class LeaseMetrics: Sendable {
    private enum Outcome: String, CaseIterable {
        case renewed, unanswered
    }

    private let renewals: MetricSet<Outcome, Counter>
    private let clockOffset: Gauge
    /// 0 for never.
    private let renewedAt = Atomic<Int64>(0)
    private let clocks: any Clocks

    init(_ registry: MetricsRegistry, clocks: any Clocks) {
        self.clocks = clocks
        self.renewals = registry.counters(
            "escapement_lease_renewals_total", "Heartbeats to the leader, by whether it answered.", label: "outcome",
            by: Outcome.self)
        self.clockOffset = registry.gauge(
            "escapement_clock_offset_seconds", "The clock here minus the leader's, at its last answer.")
        registry.observedGauge(
            "escapement_lease_remaining_seconds",
            "For how much longer the leader would count on this ticker if it heard nothing more; 0 when not at all."
        ) { [weak self] in self.map { max(0, $0.remaining.seconds) } }
    }

    private var remaining: Duration {
        let renewedAt = self.renewedAt.load(ordering: .relaxed)
        guard renewedAt > 0 else { return .zero }
        let age = self.clocks.monotonicNow().duration(since: MonotonicInstant(nanoseconds: renewedAt))
        return LeaderSession.memberSilenceMax - age
    }

    func note(_ beat: LeaderSession.Beat) {
        switch beat {
        case .answered(let leaderClock):
            self.renewals[.renewed].increment()
            self.renewedAt.store(self.clocks.monotonicNow().nanoseconds, ordering: .relaxed)
            self.clockOffset.set(self.clocks.wallNow().duration(since: leaderClock))
        case .unanswered: self.renewals[.unanswered].increment()
        }
    }
}
