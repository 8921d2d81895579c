import EscapementModel
import JSON
import Observability
import Synchronization
import Testing

@Suite struct HealthTests {
    private let lines = CollectedLines()

    @Test func `every change is logged once, with its reason`() throws {
        let health = self.lines.observability().health
        health.declare("kafka")
        health.set("kafka", .notReady("not checked yet"))
        health.set("kafka", .notReady("SASL authentication failed for user escapement"))
        health.set("kafka", .notReady("SASL authentication failed for user escapement"))
        health.set("kafka", .ok)
        health.set("kafka", .ok)
        let documents = try self.lines.documents()
        #expect(documents.map { $0["event"] } == ["dependency_down", "dependency_up"])
        #expect(documents.map { $0["dependency"] } == ["kafka", "kafka"])
        #expect(documents[0]["reason"] == "SASL authentication failed for user escapement")
        #expect(documents.map { $0["level"] } == ["warning", "info"])
    }

    @Test func `readiness needs every condition that gates it, and says which fails`() {
        let observability = self.lines.observability()
        let health = observability.health
        health.declare("postgres")
        health.declare("kafka", gates: .startup)
        health.declare("draining", kind: .condition, gates: .readiness, initially: .ok)
        #expect(!health.readiness.isOK)
        health.set("postgres", .ok)
        #expect(health.readiness.isOK, "kafka gates startup only")
        #expect(!health.startup.isOK)
        health.set("draining", .notReady("shutting down"))
        #expect(health.readiness.text == "[+]postgres ok\n[-]draining failed: shutting down\n")
        #expect(health.readiness.excluding(["draining"]).isOK)
        let metrics = observability.metrics.exposition()
        #expect(metrics.contains("escapement_dependency_up{dependency=\"postgres\"} 1.0"))
        #expect(metrics.contains("escapement_dependency_up{dependency=\"kafka\"} 0.0"))
        #expect(!metrics.contains("draining"))
    }

    @Test func `what has started stays started`() {
        let health = self.lines.observability().health
        health.declare("kafka", gates: .startup)
        #expect(!health.startup.isOK)
        health.set("kafka", .ok)
        #expect(health.startup.isOK)
        health.set("kafka", .notReady("gone"))
        #expect(health.startup.isOK)
    }

    @Test func `an undeclared name gates readiness`() {
        let health = self.lines.observability().health
        health.set("postgres", .notReady("connection refused"))
        #expect(!health.readiness.isOK)
        #expect(health.status(of: "postgres") == .notReady("connection refused"))
        #expect(health.status(of: "kafka") == nil)
    }

    @Test func `liveness watches a heartbeat and no dependency`() {
        let now = Mutex<Int64>(0)
        let heartbeat = Heartbeat("tick loop", limit: .seconds(10)) {
            MonotonicInstant(nanoseconds: now.withLock { $0 })
        }
        let health = self.lines.observability().health
        health.set("kafka", .notReady("down"))
        health.addLivenessCheck("tick_loop") { heartbeat.status }
        now.withLock { $0 = 10_000_000_000 }
        #expect(health.liveness.isOK)
        now.withLock { $0 = 11_000_000_000 }
        #expect(health.liveness.text == "[-]tick_loop failed: tick loop has not advanced for 11s\n")
        heartbeat.beat()
        #expect(health.liveness.isOK)
    }
}
