import CoordinatorService
import EscapementModel
import JSON
import Store
import Testing
import TestSupport
import WireProtocol

/// What a leader does with a ticker's word that it cannot reach a dispatcher, and with what a ticker measures.
@Suite struct UnreachableLaneTests {
    private static let twoLanes = UInt16(Harness.laneCount)

    @Test func `the shards of that dispatcher's lanes go to the ticker that reaches it, and the status says why`()
        async throws
    {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let cutOff = try await harness.join(.ticker, "ticker-1", incarnation: 1, leader)
            let other = try await harness.join(.ticker, "ticker-2", incarnation: 2, leader)
            let dispatcher = try await harness.join(.dispatcher, "dispatcher-1", incarnation: 11, leader)
            _ = try await harness.join(.dispatcher, "dispatcher-2", incarnation: 12, leader)
            try await harness.until("everybody has a half") {
                cutOff.held.count == 4 && other.held.count == 4 && dispatcher.held.count == 1
            }
            let lane = try #require(dispatcher.held.keys.first)
            try await harness.until("the first has a shard of that lane") {
                cutOff.held.keys.contains { $0 % Self.twoLanes == lane }
            }
            cutOff.send(LanesUnreachable(leaderEpoch: Epoch(1), owners: [dispatcher.incarnation]))
            try await harness.until("it has none of them") {
                !cutOff.held.keys.contains { $0 % Self.twoLanes == lane }
            }
            try await harness.until("the other one has all of them") {
                other.held.keys.count { $0 % Self.twoLanes == lane } == Harness.shardCount / Harness.laneCount
            }
            let status = String(decoding: try await leader.coordinator.status(), as: UTF8.self)
            #expect(status.contains("ticker-1 cannot reach dispatcher-1"))
            let history = try await harness.store.assignmentHistory(
                AssignmentFilter(kind: .shard), before: nil, limit: 100)
            #expect(history.contains { $0.reason == "unreachable" })
            cutOff.send(LanesUnreachable(leaderEpoch: Epoch(1), owners: []))
            try await harness.until("the warning is gone") {
                let status = String(decoding: try await leader.coordinator.status(), as: UTF8.self)
                return !status.contains("cannot reach")
            }
        }
    }

    @Test func `what a ticker has measured is shown, and weighs`() async throws {
        try await Harness.run { harness in
            harness.coordinator(1)
            let leader = try await harness.leader()
            let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
            ticker.measure(3, WireProtocol.Heartbeat.Load(millifiresPerSecond: 150_000, resident: 50_000))
            try await ticker.connect(to: leader.address)
            try await harness.until("it is shown") {
                let bytes = try await leader.coordinator.ask(.shards)
                let shard = try JSONParser.parse(String(decoding: bytes, as: UTF8.self))["shards"]?[3]
                return shard?["load"] == ["firesPerSecond": .decimal(150), "resident": 50_000]
                    && shard?["weight"] == .decimal(3)
            }
        }
    }
}
