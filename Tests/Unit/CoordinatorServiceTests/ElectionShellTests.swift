import CoordinatorService
import EscapementModel
import Observability
import Store
import Testing
import TestSupport
import WireProtocol

@Suite struct ElectionShellTests {
    @Test func `one of two leads, the other one knows who`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch == Epoch(1) }
            let second = harness.coordinator(2)
            try await harness.until("the second reaches the leader") {
                let status = String(decoding: try await second.coordinator.status(), as: UTF8.self)
                return status.contains(#""leader":{"id":"coordinator-1","epoch":1"#)
            }
            #expect(second.coordinator.ledEpoch == nil)
        }
    }

    @Test func `a killed leader is followed under a higher epoch once its lease has run out`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let second = harness.coordinator(2)
            await harness.pass(.seconds(2))
            await harness.kill(first)
            await harness.pass(.seconds(5))
            #expect(second.coordinator.ledEpoch == nil, "the row has to stand still for six seconds")
            try await harness.until("the second leads") { second.coordinator.ledEpoch == Epoch(2) }
        }
    }

    @Test func `a leader that stops gives its lease back`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let second = harness.coordinator(2)
            await harness.pass(.seconds(1))
            await first.stop()
            await harness.pass(.seconds(2))
            #expect(second.coordinator.ledEpoch == Epoch(2), "nobody waits for a lease that was given back")
            #expect(await first.task.value == nil)
        }
    }

    @Test(arguments: [1, 60]) func `a takeover under way at the stop is given back, or not waited for`(
        seconds: Int
    ) async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let second = harness.coordinator(2)
            second.reachability.slowDown("takeLeadership", by: .seconds(seconds))
            await harness.pass(.seconds(2))
            await harness.kill(first)
            try await harness.until("the second is in the row") {
                try await harness.store.observeLeader().epoch == Epoch(2)
            }
            #expect(second.coordinator.ledEpoch == nil, "it has not heard of that")
            await second.stop()
            await harness.pass(.seconds(3))
            #expect(await second.task.value == nil)
            let row = try await harness.store.observeLeader()
            #expect((row.holder == nil) == (seconds == 1))
        }
    }

    @Test func `a leader that loses its database says goodbye and is replaced`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let ticker = try await harness.join(.ticker, "ticker-1", incarnation: 1, first)
            let second = harness.coordinator(2)
            first.reachability.set(false)
            try await harness.until("the first steps down") { first.coordinator.ledEpoch == nil }
            try await harness.until("its member is told") { !ticker.isConnected }
            #expect(ticker.received(Goodbye.self).count == 1)
            try await harness.until("the second leads") { second.coordinator.ledEpoch == Epoch(2) }
            first.reachability.set(true)
            await harness.pass(.seconds(10))
            #expect(second.coordinator.ledEpoch == Epoch(2), "who comes back follows")
            #expect(first.coordinator.ledEpoch == nil)
        }
    }

    @Test func `a leader that was overtaken changes nothing any more`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            // Somebody takes the row over behind its back, as after a pause of the leader's machine.
            let row = try await harness.store.observeLeader()
            let thief = Incarnation(UID(high: 9, low: 9))
            let epoch = try await harness.store.takeLeadership(
                from: row, holder: thief, node: NodeID("thief"), address: "nowhere:1")
            let ticker = harness.member(.ticker, "ticker-1", incarnation: 1)
            try await ticker.connect(to: first.address)
            try await harness.until("it steps down") { first.coordinator.ledEpoch == nil }
            #expect(try await harness.rows(.shard).allSatisfy { $0.owner == nil }, "no stale claim counted")
            #expect(ticker.held.isEmpty)
            #expect(try await harness.store.observeLeader().epoch == epoch)
        }
    }

    @Test func `without a leader the status says so`() async throws {
        try await Harness.run { harness in
            let only = harness.coordinator(1, isReachable: false)
            await harness.pass(.seconds(1))
            let status = String(decoding: try await only.coordinator.status(), as: UTF8.self)
            #expect(status.contains(#""leader":null"#))
            #expect(only.observability.health.readiness.text.contains("schema failed: cut off"))
        }
    }

    @Test func `a database that comes late is waited for`() async throws {
        try await Harness.run { harness in
            let only = harness.coordinator(1, isReachable: false)
            await harness.pass(.seconds(20))
            #expect(!only.observability.health.readiness.isOK)
            only.reachability.set(true)
            try await harness.until("it leads") { only.coordinator.ledEpoch != nil }
            #expect(only.observability.health.readiness.isOK)
        }
    }

    @Test func `a coordinator that stops before the database came just ends`() async throws {
        try await Harness.run { harness in
            let only = harness.coordinator(1, isReachable: false)
            await harness.pass(.seconds(1))
            await only.stop()
            #expect(await only.task.value == nil)
        }
    }

    @Test func `settings that differ from the database's end the process with the reason`() async throws {
        try await Harness.run { harness in
            let first = harness.coordinator(1)
            try await harness.until("the first leads") { first.coordinator.ledEpoch != nil }
            let other = harness.coordinator(2, shardCount: 64)
            await harness.pass(.seconds(1))
            let error = try #require(await other.task.value as? ClusterSettingsMismatch)
            #expect(
                error.description
                    == "ESCAPEMENT_CLUSTER_SHARDS is 64, but the cluster in this database was made with 8; "
                    + "set it to 8, or use another database")
        }
    }
}
