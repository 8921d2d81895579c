import DispatcherDomain
import DispatcherService
import EscapementModel
import Observability
import Testing
import WireProtocol

@Suite struct DispatcherMetricsTests {
    private func value(_ name: String, _ registry: MetricsRegistry) -> String? {
        registry.exposition(.prometheusText).split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .map { String($0.dropFirst(name.utf8.count + 1)) }
    }

    @Test func `outcomes are counted one by one, however they lie beside each other`() {
        let registry = MetricsRegistry()
        let metrics = DispatcherMetrics(registry)
        var late = Samples.outcome()
        late.due = late.settledAt.advanced(by: .milliseconds(-700))
        var skipped = Samples.outcome()
        (skipped.outcome, skipped.reason, skipped.count) = (.skipped, .coalesced, 5)
        var expired = skipped
        (expired.reason, expired.count) = (.expired, 1)
        var failed = Samples.outcome()
        (failed.outcome, failed.reason) = (.failed, .topicMissing)
        var timer = Samples.outcome()
        timer.kind = .delay
        metrics.settled(
            Samples.settlement([
                Samples.outcome(), Samples.outcome(), late, skipped, expired, failed, failed, Samples.outcome(), timer,
            ]))
        metrics.settled(Samples.settlement([]))
        for (name, value) in [
            (#"escapement_fires_total{kind="cron",outcome="dispatched"}"#, "4"),
            (#"escapement_fires_total{kind="delay",outcome="dispatched"}"#, "1"),
            (#"escapement_fires_total{kind="cron",outcome="skipped"}"#, "6"),
            (#"escapement_fires_total{kind="cron",outcome="failed"}"#, "2"),
            (#"escapement_fires_skipped_total{kind="cron",reason="COALESCED"}"#, "5"),
            (#"escapement_fires_skipped_total{kind="cron",reason="EXPIRED"}"#, "1"),
            (#"escapement_dead_letters_total{reason="TOPIC_MISSING"}"#, "2"),
            (#"escapement_dispatch_errors_total{error="refused"}"#, "2"),
            (#"escapement_fire_lateness_seconds_count{kind="cron"}"#, "4"),
        ] { #expect(self.value(name, registry) == value, "\(name)") }
        let sum = self.value(#"escapement_fire_lateness_seconds_sum{kind="cron"}"#, registry).flatMap { Double($0) }
        #expect(abs((sum ?? 0) - (3 * 0.021 + 0.7)) < 1e-9)
    }

    @Test(arguments: [WallInstant.distantPast, .distantFuture])
    func `a due instant that cannot be is no end of the process`(due: WallInstant) {
        let registry = MetricsRegistry()
        var outcome = Samples.outcome()
        outcome.due = due
        DispatcherMetrics(registry).settled(Samples.settlement([outcome]))
        #expect(self.value(#"escapement_fire_lateness_seconds_count{kind="cron"}"#, registry) == "1")
    }

    @Test func `the canary's fire is shown, and no other schedule's`() {
        let registry = MetricsRegistry()
        let metrics = DispatcherMetrics(registry)
        func settle(_ namespace: String, _ name: String) {
            var template = Samples.template
            (template.namespace, template.name) = (namespace, name)
            let plan = RoundPlan(
                Samples.round([Samples.occurrence(template)]), lane: LaneID(13), laneEpoch: Epoch(1),
                rules: Samples.rules, now: Samples.due)
            metrics.settled(
                plan.settlement(
                    [.delivered(partition: 0, offset: 1, attempts: 1)],
                    now: Samples.due.advanced(by: .milliseconds(21))))
        }
        settle("guest", DispatcherMetrics.canaryName)
        settle(DispatcherMetrics.canaryNamespace, "nightly-report")
        #expect(self.value("escapement_canary_lateness_seconds", registry) == "0.0")
        settle(DispatcherMetrics.canaryNamespace, DispatcherMetrics.canaryName)
        #expect(self.value("escapement_canary_lateness_seconds", registry) == "0.021")
        #expect(self.value("escapement_canary_last_fire_timestamp_seconds", registry) == "1795397400.021")
    }
}
