import EscapementModel
import HTTPServer
import Logging
import Observability
import TestSupport
import Testing

@Suite struct ClockWatchTests {
    private func count(_ direction: String, _ observability: Observability) -> Bool {
        observability.metrics.exposition().contains("escapement_clock_jumps_total{direction=\"\(direction)\"} 1\n")
    }

    @Test func `a step of the wall clock is counted by its direction, and slewing is not`() {
        let clocks = ManualClocks()
        let observability = Observability(
            identity: ProcessIdentity(role: "ticker", instance: "t", cluster: "c"), sink: LogSink { _ in })
        let watch = ClockWatch(clocks: clocks, observability: observability)
        var last = watch.reading
        clocks.stepWall(by: .milliseconds(200))
        watch.look(since: &last)
        #expect(!self.count("forward", observability) && !self.count("backward", observability))
        clocks.stepWall(by: .seconds(3600))
        watch.look(since: &last)
        #expect(self.count("forward", observability))
        watch.look(since: &last)
        clocks.stepWall(by: .milliseconds(-250))
        watch.look(since: &last)
        #expect(self.count("forward", observability) && self.count("backward", observability))
    }
}
