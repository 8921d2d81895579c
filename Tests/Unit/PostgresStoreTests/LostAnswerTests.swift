import EscapementModel
import PostgresStore
import PostgresSupport
import Store
import Testing

/// Writes of a leader that were committed and whose answers never came.
///
/// A commit that waits for a standby which does not exist is done and not answered: ending its session then loses the
/// answer and nothing else.
@Suite(.enabled(if: PostgresServer.programs != nil, "PostgreSQL is not installed"))
struct LostAnswerTests {
    private let a = Incarnation(UID(high: 1, low: 1))
    private let b = Incarnation(UID(high: 2, low: 2))
    private static let session = "victim"

    /// Runs `write`, ends its session when the commit waits, and returns what the caller is told.
    private func losingTheAnswer(
        _ database: PostgresDatabase, _ write: @escaping @Sendable () async throws -> Void
    ) async throws -> StoreError? {
        let told = Task { () -> StoreError? in
            do {
                try await write()
                return nil
            } catch {
                return error as? StoreError
            }
        }
        try await database.until("the commit waits") {
            try await database.run(
                "SELECT FROM pg_stat_activity WHERE application_name = $1::text AND wait_event = 'SyncRep'",
                .text(Self.session)
            ).rowCount > 0
        }
        try await database.terminateSessions(named: Self.session)
        return await told.value
    }

    private func row(_ database: PostgresDatabase, _ store: PostgresStore) async throws -> LeaderRecord {
        try await database.until("the lock connection stands again") {
            do { return try await store.observeLeader().epoch >= .none } catch { return false }
        }
        return try await store.observeLeader()
    }

    @Test func `a leader finds what it had written when the answers to takeover, renewal and claim are lost`()
        async throws
    {
        let server = try await PostgresServer()
        let database = try await PostgresDatabase.make(in: server)
        let preparing = database.store()
        _ = try await preparing.establish(ClusterSettings(cluster: "test", shardCount: 4, laneCount: 2))
        let before = try await preparing.observeLeader()
        let former = try #require(
            try await preparing.takeLeadership(from: before, holder: self.a, node: NodeID("c-1"), address: "c:1"))
        await preparing.close()
        let session = server.clientArguments + ["-c"]
        try await server.run("psql", session + ["ALTER SYSTEM SET synchronous_standby_names = 'nobody'"])
        try await server.stop(.fast)
        try await server.start()
        let store = database.store(named: Self.session)
        let seen = try await self.row(database, store)

        let renewal = try await self.losingTheAnswer(database) {
            _ = try await store.renewLeadership(epoch: former, holder: self.a)
        }
        #expect(renewal?.isRetriable == true)
        let renewed = try await self.row(database, store)
        #expect(renewed.beat == seen.beat + 1 && renewed.epoch == former, "it counts, for those who watch the row")

        let takeover = try await self.losingTheAnswer(database) {
            _ = try await store.takeLeadership(from: renewed, holder: self.b, node: NodeID("c-2"), address: "c:2")
        }
        #expect(takeover?.isRetriable == true)
        let taken = try await self.row(database, store)
        #expect(taken.epoch > former && taken.holder == self.b, "its own name in the row tells it")

        let claims = [
            OwnershipClaim(
                number: 1, expected: .none, owner: NodeID("t-1"), incarnation: self.a, reason: "join")
        ]
        let claim = try await self.losingTheAnswer(database) {
            _ = try await store.claim(.shard, claims, leaderEpoch: taken.epoch)
        }
        #expect(claim?.isRetriable == true)
        _ = try await self.row(database, store)
        let claimed = try await store.loadOwnership().shards[1]
        #expect(claimed.owner == NodeID("t-1") && claimed.epoch > .none, "reading the rows again finds the claim")

        try await server.run(
            "psql", session + ["ALTER SYSTEM RESET synchronous_standby_names", "-c", "SELECT pg_reload_conf()"])
        let second = try await store.takeLeadership(
            from: renewed, holder: self.b, node: NodeID("c-2"), address: "c:2")
        #expect(second == nil, "what was seen before is of no use any more")
        let next = try #require(
            try await store.takeLeadership(from: taken, holder: self.b, node: NodeID("c-2"), address: "c:2"))
        #expect(next > taken.epoch, "an epoch whose answer was lost is never led")
        #expect(try await store.renewLeadership(epoch: taken.epoch, holder: self.b) == false)
        #expect(try await store.claim(.shard, claims, leaderEpoch: taken.epoch) == .deposed)
        #expect(try await store.claim(.shard, claims, leaderEpoch: next) == .claimed([nil]))
        #expect(try await store.assignmentHistory(AssignmentFilter(), before: nil, limit: 9).count == 1)
        await store.close()
    }
}
