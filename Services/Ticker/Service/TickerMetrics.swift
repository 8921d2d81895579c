import EscapementModel
package import Observability
import TickerDomain

/// The ticker's metrics; names and meanings in docs/metrics.md.
package struct TickerMetrics: Sendable {
    let fires: Counter
    let batches: Counter
    let tickLateness: Histogram
    let tickDuration: Histogram
    let shardsOwned: Gauge
    let resident: Gauge
    let lanesUnreachable: Gauge
    let overdue: Gauge
    let oldestOverdue: Gauge
    let upcoming: MetricSet<FireForecast.Horizon, Gauge>
    let fencingRejections: Counter
    let unreadableSchedules: Counter
    let handoverDuration: Histogram

    package init(_ registry: MetricsRegistry) {
        self.fires = registry.counter(
            "escapement_ticker_fires_total", "Occurrences handed to a lane, skipped ones included.")
        self.batches = registry.counter("escapement_ticker_batches_total", "Batches handed to a lane.")
        self.tickLateness = registry.histogram(
            "escapement_tick_lateness_seconds", "Due instant to hand-off.", buckets: .lateness)
        self.tickDuration = registry.histogram(
            "escapement_tick_duration_seconds", "Work per tick.", buckets: .duration)
        self.shardsOwned = registry.gauge("escapement_shards_owned", "Shards held by this ticker.")
        self.resident = registry.gauge("escapement_timers_pending", "Schedules and one-shots held in memory.")
        self.lanesUnreachable = registry.gauge(
            "escapement_lanes_unreachable", "Lanes whose dispatcher this ticker cannot reach.")
        self.overdue = registry.gauge("escapement_overdue_fires", "Occurrences due and not yet handed off.")
        self.oldestOverdue = registry.gauge(
            "escapement_oldest_overdue_seconds", "Age of the oldest occurrence due and not handed off.")
        self.upcoming = registry.gauges(
            "escapement_upcoming_fires", "Fires due within the horizon, estimated.", label: "horizon",
            by: FireForecast.Horizon.self)
        self.fencingRejections = registry.counter(
            "escapement_fencing_rejections_total", "Shards lost because a newer owner had opened them.")
        self.handoverDuration = registry.histogram(
            "escapement_shard_handover_duration_seconds", "Assignment of a shard to the first tick with it.",
            buckets: .duration)
        self.unreadableSchedules = registry.counter(
            "escapement_unreadable_schedules_total", "Schedule versions this build cannot fire; must stay 0.")
    }
}
