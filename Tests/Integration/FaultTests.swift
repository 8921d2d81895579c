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
