import Dispatch
import HTTPServer
import Logging
import Observability
import ServiceLifecycle
import Testing

@Suite struct HealthProbeTests {
    private struct Outcome: Equatable {
        var code: Int32
        var text: String
    }

    /// Asks from a thread of its own, as the probe blocks.
    private func ask(_ arguments: [String], listen: String?) async -> Outcome {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                var text = ""
                let code = HealthProbe.main(
                    arguments, environment: { $0 == "ESCAPEMENT_HTTP_ADMIN_LISTEN" ? listen : nil },
                    output: { text += $0 })
                continuation.resume(returning: Outcome(code: code, text: text))
            }
        }
    }

    @Test func `the binary's own check asks the admin port`() async throws {
        let observability = Observability(
            identity: ProcessIdentity(role: "ticker", instance: "ticker-0", cluster: "test"), format: .json,
            sink: LogSink { _ in })
        observability.health.declare("kafka")
        let bound = BoundPort()
        let server = AdminServer(
            host: "127.0.0.1", port: 0, observability: observability, onBound: { bound.set($0) })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [server], logger: observability.logger("test")))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let port = await bound.wait()
            let everywhere = "0.0.0.0:\(port)"
            #expect(await self.ask(["--live"], listen: everywhere) == Outcome(code: 0, text: ""))
            let notReady = "[-]kafka failed: not checked yet\nnot ok\n"
            #expect(await self.ask([], listen: everywhere) == Outcome(code: 1, text: notReady))
            #expect(await self.ask(["--startup"], listen: everywhere).code == 1)
            observability.health.set("kafka", .ok)
            #expect(await self.ask(["--ready"], listen: ":\(port)") == Outcome(code: 0, text: ""))
            let lines = Outcome(code: 0, text: "[+]kafka ok\nok\n")
            #expect(await self.ask(["--ready", "--verbose"], listen: "127.0.0.1:\(port)") == lines)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            #expect(await self.ask([], listen: everywhere).code == 1, "nobody listens any more")
        }
    }

    @Test func `what cannot be asked is said`() async {
        #expect(await self.ask(["--dead"], listen: nil).code == 2)
        #expect(await self.ask(["--help"], listen: nil).code == 0)
        #expect(await self.ask([], listen: "0.0.0.0:0").code == 78)
        #expect(await self.ask([], listen: "9090").code == 78)
    }
}
