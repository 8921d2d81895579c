import CoordinatorDomain
import EscapementModel
package import Observability
import Store

/// The metrics of a coordinator's cluster side.
package struct CoordinatorMetrics: Sendable {
    /// Why a shard changed hands.
    package enum HandoverReason: String, CaseIterable, Sendable {
        case join, dead, left, rebalance, drain, unreachable, returned, fenced
    }

    private let leader: Gauge
    private let leaderEpoch: Gauge
    private let members: MetricFamily<Gauge>
    private let shardsUnowned: Gauge
    private let clockOffset: Gauge
    private let schedules: MetricSet<ScheduleFilter.State, Gauge>
    private let handovers: MetricSet<HandoverReason, Counter>

    package init(registry: MetricsRegistry) {
        self.leader = registry.gauge("escapement_leader", "1 on the coordinator that leads, else 0.")
        self.leaderEpoch = registry.gauge(
            "escapement_leader_epoch", "The epoch under which this coordinator leads; 0 while it does not.")
        self.members = registry.gauges(
            "escapement_members", "Members as the leader sees them.", labels: ["role", "state"])
        self.shardsUnowned = registry.gauge(
            "escapement_shards_unowned", "Shards that no ticker may fire now, as the leader sees it.")
        self.clockOffset = registry.gauge(
            "escapement_clock_offset_seconds",
            "The clock of the member that is furthest off minus the leader's; 0 on a coordinator that does not lead.")
        self.schedules = registry.gauges(
            "escapement_schedules", "Stored schedules, as the leader counts them once a minute; 0 on the others.",
            label: "state", by: ScheduleFilter.State.self)
        self.handovers = registry.counters(
            "escapement_shard_handovers_total", "Shards given to another ticker, by reason.", label: "reason",
            by: HandoverReason.self)
        self.show(nil, epoch: .none)
    }

    /// Shows the state of a term, or that there is none here.
    func show(_ term: LeaderTerm?, epoch: Epoch) {
        self.leader.set(term == nil ? 0 : 1)
        self.leaderEpoch.set(Double(epoch.rawValue))
        self.shardsUnowned.set(Double(term?.shards.unownedCount ?? 0))
        let offsets = [Role.ticker, .dispatcher].flatMap { role in
            (term?.membership.members(of: role) ?? []).map(\.clockOffsetMilliseconds)
        }
        if term == nil { self.show([:]) }
        self.clockOffset.set(Double(offsets.max { $0.magnitude < $1.magnitude } ?? 0) / 1000)
        for role in [Role.ticker, .dispatcher] {
            let states = term?.membership.members(of: role).map(\.state) ?? []
            for state in [MemberState.joining, .up, .suspect, .leaving] {
                self.members.series([role.rawValue, state.rawValue]).set(Double(states.count { $0 == state }))
            }
        }
    }

    func show(_ schedules: [ScheduleFilter.State: Int]) {
        for state in ScheduleFilter.State.allCases { self.schedules[state].set(schedules[state] ?? 0) }
    }

    func handedOver(reason: String) {
        if let reason = HandoverReason(rawValue: reason) { self.handovers[reason].increment() }
    }
}
