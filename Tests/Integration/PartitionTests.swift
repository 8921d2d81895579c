import EscapementModel
import JSON
import Testing

/// A process is cut off from all others, for longer than every lease, and comes back.
@Suite(.serialized, .enabled(if: Partition.isPossible, Partition.whyNot)) struct PartitionTests {
    /// Longer than a leader trusts its lease, a standby waits, and members are given up.
    private static let cutFor = Duration.seconds(12)

    /// Cuts `victim` off until `isReplaced` and longer than every lease, heals, and judges what a consumer has seen.
    private func survive(
        _ victim: @escaping (Stack) async throws -> Stack.Process,
        until what: String, _ isReplaced: @escaping (Stack, Stack.Process) async throws -> Bool
    ) async throws {
        try await Partition.with { stack, partition in
            let load = try await Load.begin(stack)
            let lost = try await victim(stack)
            try await partition.cut(lost)
            let cut = Load.now
            try await Eventually.holds(what) { try await isReplaced(stack, lost) }
            try await load.tick("every schedule ticks without \(lost.name)", since: cut.advanced(by: Self.cutFor))
            try await partition.heal()
            try await stack.untilReady()
            try await load.end()
        }
    }

    private func doesAnother(
        _ stack: Stack, than lost: Stack.Process, _ role: Role, have metric: String, of count: Double
    ) async throws -> Bool {
        for other in try stack.processes(role) where other.name != lost.name {
            if try await stack.metric(metric, of: other) == count { return true }
        }
        return false
    }

    @Test func `a ticker and a dispatcher that are cut off from one another miss and double nothing`() async throws {
        try await Partition.with { stack, partition in
            let load = try await Load.begin(stack)
            let ticker = try #require(try stack.processes(.ticker).first)
            let dispatcher = try #require(try stack.processes(.dispatcher).first)
            try await partition.cut(ticker, from: dispatcher)
            let cut = Load.now
            try await Eventually.holds("shards are given to the ticker that reaches their lanes") {
                try await stack.leaderMetric(#"escapement_shard_handovers_total{reason="unreachable"}"#) ?? 0 >= 4
            }
            try await Eventually.holds("the ticker shows that it cannot reach lanes") {
                try await stack.metric("escapement_lanes_unreachable", of: ticker) ?? 0 > 0
            }
            // The path stays cut: every schedule ticks all the same.
            try await load.tick("every schedule ticks", since: cut.advanced(by: Self.cutFor))
            try await partition.heal()
            try await load.end()
        }
    }

    @Test func `a dispatcher that is cut off from one broker gives up the lanes that it cannot publish`() async throws {
        try await Partition.with(["--brokers", "3"]) { stack, partition in
            let load = try await Load.begin(stack)
            let dispatcher = try #require(try stack.processes(.dispatcher).first)
            let other = try #require(try stack.processes(.dispatcher).last)
            let owned = try #require(try await stack.metric("escapement_lanes_owned", of: other))
            let brokers = try #require(try stack.report["kafka"]?["bootstrapServers"]?.stringValue).split(
                separator: ",")
            let port = try #require(brokers.last?.split(separator: ":").last.flatMap { Int($0) })
            try await partition.cut(dispatcher, fromPort: port)
            try await Eventually.holds("the other dispatcher is given lanes") {
                try await stack.metric("escapement_lanes_owned", of: other) ?? 0 > owned
            }
            // The broker stays out of its reach: every schedule ticks all the same.
            try await load.tick("every schedule ticks", since: Load.now)
            try await partition.heal()
            try await load.end()
        }
    }

    @Test func `a ticker that is cut off misses and doubles nothing`() async throws {
        try await self.survive({ try #require(try $0.processes(.ticker).first) }, until: "the other one has all shards")
        {
            try await self.doesAnother($0, than: $1, .ticker, have: "escapement_shards_owned", of: 16)
        }
    }

    @Test func `a dispatcher that is cut off misses and doubles nothing`() async throws {
        try await self.survive(
            { try #require(try $0.processes(.dispatcher).first) }, until: "the other one has all lanes"
        ) {
            try await self.doesAnother($0, than: $1, .dispatcher, have: "escapement_lanes_owned", of: 4)
        }
    }

    @Test func `a leader that is cut off misses and doubles nothing`() async throws {
        try await self.survive({ try await $0.leader() }, until: "the other one leads") {
            try await self.doesAnother($0, than: $1, .coordinator, have: "escapement_leader", of: 1)
        }
    }
}
