import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// Processes killed and stopped for real, and a consumer that counts.
@Suite(.serialized) struct FaultTests {
    /// Makes the load, does harm in the middle of it, and judges what a `read_committed` consumer has seen.
    private func survive(
        _ options: [String] = [], _ harm: @escaping (Stack) async throws -> Void
    ) async throws {
        try await Stack.with(options) { stack in
            let load = try await Load.begin(stack)
            try await harm(stack)
            try await load.end()
        }
    }

    @Test func `a killed ticker misses and doubles nothing`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.ticker).first)
            kill(victim.pid, SIGKILL)
        }
    }

    @Test func `a killed dispatcher misses and doubles nothing`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.dispatcher).first)
            kill(victim.pid, SIGKILL)
        }
    }

    @Test func `a killed leader holds no fire up`() async throws {
        try await self.survive { stack in
            let victim = try await stack.leader()
            kill(victim.pid, SIGKILL)
        }
    }

    @Test func `a leader stopped beyond its lease steps down when it wakes, and follows`() async throws {
        try await self.survive { stack in
            let victim = try await stack.leader()
            kill(victim.pid, SIGSTOP)
            let other = try await Eventually.value("the other coordinator leads") {
                for process in try stack.processes(.coordinator) where process.name != victim.name {
                    if try await stack.metric("escapement_leader", of: process) == 1 { return process }
                }
                return nil
            }
            kill(victim.pid, SIGCONT)
            try await Eventually.holds("the woken one knows who leads") {
                let leads = try await stack.metric("escapement_leader", of: victim)
                let status = try? await stack.call(.get, "/v1/cluster", of: victim)
                return leads == 0 && status?.body["leader"]?["id"]?.stringValue == other.name
            }
            #expect(try await stack.metric("escapement_leader", of: other) == 1, "and nobody takes it from the other")
        }
    }

    /// Waits until a member that was woken has got work again, which it can only as a member like any other.
    private func rejoined(_ victim: Stack.Process, _ stack: Stack, owned metric: String, of all: Double) async throws {
        let role: Role = victim.role == Role.ticker.rawValue ? .ticker : .dispatcher
        try await Eventually.holds("\(victim.name) works again") {
            _ = try? await stack.call(.post, "/v1/cluster/rebalance")
            var owned: [String: Double] = [:]
            for process in try stack.processes(role) {
                owned[process.name] = try await stack.metric(metric, of: process)
            }
            return owned[victim.name] ?? 0 > 0 && owned.values.reduce(0, +) == all
        }
    }

    @Test func `a ticker stopped beyond every lease is fenced when it wakes`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.ticker).first)
            kill(victim.pid, SIGSTOP)
            try await Eventually.holds("the other ticker owns all shards") {
                let others = try stack.processes(.ticker).filter { $0.name != victim.name }
                for other in others where try await stack.metric("escapement_shards_owned", of: other) == 16 {
                    return true
                }
                return false
            }
            kill(victim.pid, SIGCONT)
            try await self.rejoined(victim, stack, owned: "escapement_shards_owned", of: 16)
        }
    }

    @Test func `a dispatcher stopped beyond every lease publishes nothing when it wakes`() async throws {
        try await self.survive { stack in
            let victim = try #require(try stack.processes(.dispatcher).first)
            kill(victim.pid, SIGSTOP)
            try await Eventually.holds("the other dispatcher owns all lanes") {
                let others = try stack.processes(.dispatcher).filter { $0.name != victim.name }
                for other in others where try await stack.metric("escapement_lanes_owned", of: other) == 4 {
                    return true
                }
                return false
            }
            kill(victim.pid, SIGCONT)
            try await self.rejoined(victim, stack, owned: "escapement_lanes_owned", of: 4)
        }
    }

    @Test func `a rolling restart of every service misses and doubles nothing`() async throws {
        try await self.survive { stack in
            for role in [Role.coordinator, .dispatcher, .ticker] {
                for process in try stack.processes(role) {
                    kill(process.pid, SIGTERM)
                    try await Eventually.holds("\(process.name) runs again") {
                        let now = try stack.processes(role).first { $0.name == process.name }
                        return now.map { $0.pid != process.pid } ?? false
                    }
                    try await stack.untilReady()
                }
            }
        }
    }
}
