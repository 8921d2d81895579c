import DispatcherDomain
import DispatcherService
import EscapementModel
import Observability
import Testing

@Suite struct DispatcherMetricsTests {
    private func value(_ name: String, _ registry: MetricsRegistry) -> String? {
        registry.exposition(.prometheusText).split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .map { String($0.dropFirst(name.utf8.count + 1)) }
    }

    @Test func `the canary's fire is shown, and no other schedule's`() {
        let registry = MetricsRegistry()
        let metrics = DispatcherMetrics(registry)
        metrics.settled([Samples.outcome()])
        #expect(self.value("escapement_canary_lateness_seconds", registry) == "0.0")
        var canary = Samples.outcome()
        canary.namespace = DispatcherMetrics.canaryNamespace
        canary.name = DispatcherMetrics.canaryName
        metrics.settled([canary])
        #expect(self.value("escapement_canary_lateness_seconds", registry) == "0.021")
        #expect(self.value("escapement_canary_last_fire_timestamp_seconds", registry) == "1795397400.021")
    }
}
