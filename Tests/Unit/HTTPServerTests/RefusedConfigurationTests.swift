import EscapementModel
import HTTPServer
import Logging
import Observability
import ServiceConfiguration
import ServiceLifecycle
import Synchronization
import TestSupport
import Testing

@Suite struct RefusedConfigurationTests {
    private let refusal = ConfigurationRefusal([
        ConfigurationProblem("A", "is wrong", remedy: "mend it"),
        ConfigurationProblem("B", "is too", remedy: "mend it"),
    ])

    @Test func `the reason is in the readiness, in one line of the log and in the metric, and liveness is well`() {
        let lines = Mutex<[String]>([])
        let observability = Observability(
            identity: ProcessIdentity(role: "ticker", instance: "t", cluster: "c"), format: .json,
            sink: LogSink { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } })
        _ = RefusedConfiguration(
            self.refusal, clocks: ManualClocks(), observability: observability, isMended: { false }, end: {})
        let text = "[-]configuration failed: A is wrong; mend it; B is too; mend it\n"
        #expect(observability.health.readiness.text == text)
        #expect(observability.health.startup.text == text)
        #expect(observability.health.liveness.isOK)
        #expect(observability.metrics.exposition().contains("\nescapement_config_problems 2.0\n"))
        let logged = lines.withLock { $0 }
        #expect(logged.count == 1)
        #expect(logged.first?.contains("\"event\":\"configuration_refused\"") == true)
        #expect(logged.first?.contains("A is wrong; mend it; B is too; mend it") == true)
    }

    @Test func `it asks the process to end once the settings are mended`() async throws {
        let observability = Observability(
            identity: ProcessIdentity(role: "ticker", instance: "t", cluster: "c"), sink: LogSink { _ in })
        let clocks = ManualClocks()
        let looks = Mutex(0)
        let (ends, end) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let refused = RefusedConfiguration(
            self.refusal, clocks: clocks, observability: observability,
            isMended: {
                looks.withLock { looks in
                    looks += 1
                    return looks == 3
                }
            }, end: { end.finish() })
        let run = Task { try await refused.run() }
        let time = Task { while !Task.isCancelled { await clocks.advance(by: RefusedConfiguration.period) } }
        for await _ in ends {}
        time.cancel()
        await time.value
        #expect(looks.withLock { $0 } == 3)
        run.cancel()
        try await run.value
    }
}
