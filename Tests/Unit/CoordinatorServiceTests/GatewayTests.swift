import CoordinatorService
import EscapementModel
import JSON
import NIOCore
import Store
import Testing
import Store
import TestSupport
import WireProtocol

@Suite struct GatewayTests {
    private func document(_ frame: Frame) -> String {
        (try? frame.decode(ActivationQuery.self)).map { String(buffer: $0.document) } ?? ""
    }

    /// A leader, a follower that is linked to it, and a dispatcher that answers searches, or is silent.
    private func cluster(
        _ harness: Harness, answers: Bool = true
    ) async throws -> (Harness.Running, Harness.Running, FakeMember) {
        let first = harness.coordinator(1)
        try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
        let second = harness.coordinator(2)
        try await harness.until("the second is linked") {
            String(decoding: try await second.coordinator.status(), as: UTF8.self).contains("coordinator-2")
        }
        let dispatcher = try await harness.join(.dispatcher, "dispatcher-1", incarnation: 11, first)
        if answers {
            dispatcher.answer(.activationQuery) { frame in
                Frame(ActivationAnswer(document: ByteBuffer(string: "answer to " + self.document(frame))))
            }
        }
        try await harness.until("it owns the lanes") { dispatcher.held.count == Harness.laneCount }
        return (first, second, dispatcher)
    }

    private func failure(of coordinator: Coordinator) async -> String? {
        do throws(ClusterError) {
            _ = try await coordinator.activations(Array("{}".utf8))
            return nil
        } catch {
            return error.code
        }
    }

    @Test func `activations are asked of a dispatcher, by the leader and through it`() async throws {
        try await Harness.run { harness in
            let (first, second, _) = try await self.cluster(harness)
            for coordinator in [first.coordinator, second.coordinator] {
                let answer = try await coordinator.activations(Array("{}".utf8))
                #expect(String(decoding: answer, as: UTF8.self) == "answer to {}")
            }
        }
    }

    @Test func `the dispatcher's reason reaches the caller`() async throws {
        try await Harness.run { harness in
            let (first, second, dispatcher) = try await self.cluster(harness)
            dispatcher.answer(.activationQuery) { _ in
                Frame(QueryFailed(code: "ACTIVATION_STORE_UNAVAILABLE", detail: "Elasticsearch is away"))
            }
            for coordinator in [first.coordinator, second.coordinator] {
                await #expect(throws: ClusterError("ACTIVATION_STORE_UNAVAILABLE", "Elasticsearch is away")) {
                    try await coordinator.activations([])
                }
            }
        }
    }

    @Test func `a dispatcher that hangs is no leader that is missing, whoever is asked`() async throws {
        try await Harness.run { harness in
            let (first, second, _) = try await self.cluster(harness, answers: false)
            for coordinator in [first.coordinator, second.coordinator] {
                async let code = self.failure(of: coordinator)
                await harness.pass(.seconds(20))
                #expect(await code == ClusterError.activationStoreUnavailable)
            }
        }
    }

    @Test func `without a dispatcher there is a reason`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            await #expect(throws: ClusterError.self) { try await first.coordinator.activations([]) }
        }
    }

    @Test func `without a leader there is a reason`() async throws {
        try await Harness.run { harness in
            let only = harness.coordinator(1)
            only.reachability.set(false)
            await harness.pass(.seconds(1))
            await #expect(throws: ClusterError.noLeader) { try await only.coordinator.activations([]) }
            let query = SettledQuery(shard: ShardID(1), uid: .zero, due: .distantPast, revision: Revision(1))
            #expect(await only.coordinator.settled(query) == .unknown)
        }
    }

    @Test func `the shard's owner says what became of a timer`() async throws {
        try await Harness.run { harness in
            let (first, second, _) = try await self.cluster(harness)
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, first)
            ticker.answer(.settledQuery) { _ in Frame(SettledAnswer(state: .fired)) }
            try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
            let query = SettledQuery(
                shard: ShardID(5), uid: UID(high: 1, low: 2), due: harness.clocks.wallNow(), revision: Revision(4))
            #expect(await first.coordinator.settled(query) == .fired)
            #expect(await second.coordinator.settled(query) == .fired)
            #expect(ticker.received(SettledQuery.self) == [query, query])
        }
    }

    @Test func `an owner that does not answer leaves the question open after two seconds`() async throws {
        try await Harness.run { harness in
            let (first, _, _) = try await self.cluster(harness)
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, first)
            try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
            async let state = first.coordinator.settled(
                SettledQuery(shard: ShardID(5), uid: .zero, due: .distantPast, revision: Revision(4)))
            await harness.pass(.seconds(3))
            #expect(await state == .unknown)
        }
    }

    @Test func `an operator empties a member from any coordinator`() async throws {
        try await Harness.run { harness in
            let (first, second, _) = try await self.cluster(harness)
            let one = try await harness.join(.ticker, "ticker-1", incarnation: 1, first)
            let two = try await harness.join(.ticker, "ticker-2", incarnation: 2, first)
            try await harness.until("both own half") { one.held.count == 4 && two.held.count == 4 }
            let answer = try await second.coordinator.ask(.drain(member: "ticker-1"))
            #expect(String(decoding: answer, as: UTF8.self) == #"{"id":"ticker-1","draining":true,"shards":4}"#)
            try await harness.until("it is empty") { one.held.isEmpty && two.held.count == 8 }
            await #expect(throws: ClusterError.self) {
                try await second.coordinator.ask(.drain(member: "ticker-2"))
            }
            _ = try await first.coordinator.ask(.resume(member: "ticker-1"))
            _ = try await second.coordinator.ask(.rebalance)
            try await harness.until("both own half again") { one.held.count == 4 && two.held.count == 4 }
            #expect(harness.store.assignmentHistory.suffix(4).allSatisfy { $0.reason == "rebalance" })
        }
    }

    @Test func `a member that is not there is not found, with those that are`() async throws {
        try await Harness.run { harness in
            let (_, second, _) = try await self.cluster(harness)
            let expected = ClusterError(
                "NOT_FOUND", "no ticker or dispatcher is called 'ticker-9'; there are: dispatcher-1")
            await #expect(throws: expected) { try await second.coordinator.ask(.drain(member: "ticker-9")) }
        }
    }

    @Test func `every shard and lane is shown with its owner`() async throws {
        try await Harness.run { harness in
            let (first, second, _) = try await self.cluster(harness)
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, first)
            try await harness.until("it owns all") { ticker.held.count == Harness.shardCount }
            await harness.pass(.seconds(1))
            let bytes = try await second.coordinator.ask(.shards)
            let document = try JSONParser.parse(String(decoding: bytes, as: UTF8.self))
            #expect(document["shards"]?.arrayValue?.count == Harness.shardCount)
            #expect(
                document["shards"]?[3]
                    == [
                        "shard": 3, "state": "owned", "owner": "ticker-1", "epoch": 1, "weight": .decimal(1),
                    ])
            #expect(document["lanes"]?[1]?["owner"] == "dispatcher-1")
        }
    }

    @Test func `the status names everyone, and what is wrong`() async throws {
        try await Harness.run { harness in
            let (first, second, dispatcher) = try await self.cluster(harness)
            dispatcher.complain("Kafka unavailable: no broker answers")
            await harness.pass(.seconds(1))
            let bytes = try await second.coordinator.status()
            let status = try JSONParser.parse(String(decoding: bytes, as: UTF8.self))
            #expect(status["leader"]?["id"] == "coordinator-1")
            let members = try #require(status["members"]?.arrayValue)
            #expect(members.map { $0["id"] } == ["coordinator-1", "coordinator-2", "dispatcher-1"])
            #expect(members[2]["lanes"] == 2 && members[2]["state"] == "up")
            #expect(members[2]["complaint"] == "Kafka unavailable: no broker answers")
            #expect(status["shards"] == ["total": 8, "owned": 0, "unowned": 8, "moving": 0])
            let warnings = status["warnings"]?.arrayValue?.compactMap(\.stringValue) ?? []
            #expect(warnings.contains("no ticker is up"))
            #expect(warnings.contains("dispatcher-1: Kafka unavailable: no broker answers"))
            #expect(first.coordinator.ledEpoch == Epoch(1))
        }
    }
}
