import EscapementModel
import PostgresStore
import PostgresSupport
import Store
import Testing

/// Counters that must never go back: across a fail-over to a standby that lacks the last commits.
@Suite(.enabled(if: PostgresServer.programs != nil, "PostgreSQL is not installed"))
struct FailOverTests {
    private let who = Incarnation(UID(high: 1, low: 1))

    private func lead(_ store: PostgresStore) async throws -> Epoch {
        try #require(
            try await store.takeLeadership(
                from: try await store.observeLeader(), holder: self.who, node: NodeID("c"), address: "c:1"))
    }

    private func claim(_ store: PostgresStore, _ leader: Epoch, expected: Epoch) async throws -> Epoch {
        let claim = OwnershipClaim(
            number: 1, expected: expected, owner: NodeID("t"), incarnation: self.who, reason: "join")
        guard case .claimed(let epochs) = try await store.claim(.shard, [claim], leaderEpoch: leader) else {
            throw PostgresServerError("deposed")
        }
        return try #require(epochs.first.flatMap { $0 })
    }

    private func schedule(_ store: PostgresStore, _ name: String) async throws -> StoredSchedule? {
        var random = SystemRandomNumberGenerator()
        let new = NewSchedule(
            uid: UID.random(using: &random), shard: ShardID(1), namespace: "guest", name: name,
            createdAt: WallInstant(milliseconds: 1), createdBy: "test",
            body: ScheduleBody(
                kind: .cron, when: [1], misfirePolicy: 0, misfireToleranceMilliseconds: 0,
                misfireWindowMilliseconds: 0, misfireLimit: 0, template: [], document: []))
        guard case .created(let stored) = try await store.createSchedule(new) else { return nil }
        return stored
    }

    @Test func `epochs and revisions stay ahead when a standby takes over without the last commits`() async throws {
        let primary = try await PostgresServer()
        let database = try await PostgresDatabase.make(in: primary)
        let store = database.store()
        _ = try await store.establish(ClusterSettings(cluster: "test", shardCount: 4, laneCount: 2))
        _ = try await self.lead(store)
        let standby = try await PostgresServer(lagging: primary)
        // What the standby never hears of.
        var leader = Epoch.none
        var epoch = Epoch.none
        var revision = Revision.none
        for number in 0..<5 {
            leader = try await self.lead(store)
            epoch = try await self.claim(store, leader, expected: epoch)
            revision = try #require(try await self.schedule(store, "s\(number)")).createdRevision
        }
        try await primary.stop(.immediate)
        await store.close()

        try await standby.promote()
        let survivor = PostgresDatabase(settings: standby.settings, schema: database.schema).store()
        let before = try await survivor.observeLeader()
        #expect(before.epoch < leader, "the last commits are gone")
        let next = try await self.lead(survivor)
        #expect(next > leader)
        #expect(try await self.claim(survivor, next, expected: .none) > epoch)
        #expect(try #require(try await self.schedule(survivor, "s0")).createdRevision > revision)
        await survivor.close()
    }

    @Test func `a standby is not taken for the primary`() async throws {
        let primary = try await PostgresServer()
        let database = try await PostgresDatabase.make(in: primary)
        let standby = try await PostgresServer(lagging: primary)
        let store = PostgresDatabase(settings: standby.settings, schema: database.schema).store()
        let error = await #expect(throws: StoreError.self) { try await store.observeLeader() }
        #expect(error?.code == .unavailable)
        await store.close()
    }

    /// A backup, then changes, then the backup restored: what was given out in between, and a store on what is left.
    private func withRestoredBackup(
        _ body: (PostgresDatabase, PostgresStore, _ leader: Epoch, _ epoch: Epoch, _ revision: Revision) async throws
            -> Void
    ) async throws {
        let server = try await PostgresServer()
        let database = try await PostgresDatabase.make(in: server)
        let store = database.store()
        _ = try await store.establish(ClusterSettings(cluster: "test", shardCount: 4, laneCount: 2))
        var leader = try await self.lead(store)
        var epoch = try await self.claim(store, leader, expected: .none)
        var revision = try #require(try await self.schedule(store, "kept")).createdRevision
        let file = server.file("backup.sql")
        try await server.run("pg_dump", server.clientArguments + ["-n", database.schema, "-f", file])
        for number in 0..<5 {
            leader = try await self.lead(store)
            epoch = try await self.claim(store, leader, expected: epoch)
            revision = try #require(try await self.schedule(store, "lost-\(number)")).createdRevision
        }
        await store.close()
        try await database.drop()
        try await server.run(
            "psql", server.clientArguments + ["-v", "ON_ERROR_STOP=1", "-q", "-f", file])
        let restored = database.store()
        try await body(database, restored, leader, epoch, revision)
        await restored.close()
    }

    @Test func `after a restore an epoch that a journal has seen is left behind`() async throws {
        try await self.withRestoredBackup { _, store, _, seen, _ in
            let leader = try await self.lead(store)
            let stored = try await store.loadOwnership().shards[1].epoch
            let early = try await self.claim(store, leader, expected: stored)
            #expect(early <= seen, "the dispatcher answers STALE(seen)")
            try await store.raiseEpoch(.shard, number: 1, to: seen, leaderEpoch: leader)
            #expect(try await self.claim(store, leader, expected: seen) > seen)
        }
    }

    @Test func `counters that were raised after a restore are ahead of all that was given out`() async throws {
        try await self.withRestoredBackup { database, store, leader, epoch, revision in
            #expect(try await store.schedule(namespace: "guest", name: "kept") != nil)
            #expect(try await store.schedule(namespace: "guest", name: "lost-0") == nil)
            let recovery = PostgresRecovery(settings: database.settings, schema: database.schema)
            let raised = try await recovery.raiseCounters()
            #expect(raised.shards == 4 && raised.lanes == 2)
            #expect(try await store.observeLeader().holder == nil)
            let next = try await self.lead(store)
            #expect(next > leader)
            let stored = try await store.loadOwnership().shards[1].epoch
            #expect(try await self.claim(store, next, expected: stored) > epoch)
            #expect(try #require(try await self.schedule(store, "new")).createdRevision > revision)
            // Nothing has changed by it for those who follow the shard.
            let page = try await store.changes(of: ShardID(2), after: Revision(1))
            #expect(page.schedules.isEmpty && page.last && page.revision > revision)
        }
    }
}
