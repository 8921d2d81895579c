import EscapementModel
import Glibc
import PostgresStore
import PostgresSupport
import Store
import Testing

/// What keeps a leader that is none any more from changing anything, against a real server.
@Suite(.enabled(if: PostgresDatabase.isAvailable, "PostgreSQL is not installed and PGHOST is not set"))
struct LeaderFenceTests {
    private let a = Incarnation(UID(high: 1, low: 1))
    private let b = Incarnation(UID(high: 2, low: 2))

    private func withCluster(_ body: (PostgresDatabase, PostgresStore, PostgresStore) async throws -> Void) async throws
    {
        let database = try await PostgresDatabase.make()
        let first = database.store(named: "\(database.schema)-1")
        let second = database.store(named: "\(database.schema)-2")
        let result: Result<Void, any Error>
        do {
            _ = try await first.establish(ClusterSettings(cluster: "test", shardCount: 4, laneCount: 2))
            result = .success(try await body(database, first, second))
        } catch {
            result = .failure(error)
        }
        await first.close()
        await second.close()
        try result.get()
        try await database.drop()
    }

    private func lead(_ store: PostgresStore, _ who: Incarnation) async throws -> Epoch {
        try #require(
            try await store.takeLeadership(
                from: try await store.observeLeader(), holder: who, node: NodeID("c-\(who.uid.low)"), address: "c:1"))
    }

    private func claim(_ number: UInt16, _ expected: Epoch, _ owner: String) -> OwnershipClaim {
        OwnershipClaim(
            number: number, expected: expected, owner: NodeID(owner), incarnation: self.a, reason: "join")
    }

    @Test func `of two coordinators that both believe they lead one changes something`() async throws {
        try await self.withCluster { _, first, second in
            let old = try await self.lead(first, self.a)
            let new = try await self.lead(second, self.b)
            #expect(new > old)
            async let late = first.claim(.shard, [self.claim(1, .none, "t-1")], leaderEpoch: old)
            async let valid = second.claim(.shard, [self.claim(1, .none, "t-2")], leaderEpoch: new)
            #expect(try await late == .deposed)
            guard case .claimed(let epochs) = try await valid else {
                Issue.record("the leader was taken for deposed")
                return
            }
            #expect(epochs.first.flatMap { $0 } != nil)
            #expect(try await first.renewLeadership(epoch: old, holder: self.a) == false)
            #expect(try await second.loadOwnership().shards[1].owner == NodeID("t-2"))
        }
    }

    @Test func `a fenced write that meets a take-over waits for it and then changes nothing`() async throws {
        try await self.withCluster { database, first, second in
            let old = try await self.lead(first, self.a)
            let taker = database.connection()
            let take = PostgresStatement(once: "UPDATE leader SET epoch = epoch + 1, beat = beat + 1")
            try await taker.run(PostgresStatement(once: "BEGIN")())
            try await taker.run(take())
            async let outcome = first.claim(.shard, [self.claim(1, .none, "t-1")], leaderEpoch: old)
            try await database.untilBlocked(named: "\(database.schema)-1")
            try await taker.run(PostgresStatement(once: "COMMIT")())
            await taker.close()
            #expect(try await outcome == .deposed)
            #expect(try await second.loadOwnership().shards[1].epoch == .none)
        }
    }

    @Test func `of two that believe they lead one removes and settles`() async throws {
        try await self.withCluster { database, first, second in
            func origin(_ milliseconds: Int64) -> ChangeOrigin {
                ChangeOrigin(at: WallInstant(milliseconds: milliseconds), by: "test")
            }
            func timer(_ name: String) -> NewTimer {
                var random = SystemRandomNumberGenerator()
                return NewTimer(
                    uid: ShardPlacement.timerUID(shard: ShardID(1), using: &random), namespace: "guest", name: name,
                    due: WallInstant(milliseconds: 1000), expireAfterMilliseconds: 0, template: [1], document: [2],
                    contentDigest: [3], createdAt: WallInstant(milliseconds: 1000), createdBy: "test")
            }
            let body = ScheduleBody(
                kind: .cron, when: [1], misfirePolicy: 1, misfireToleranceMilliseconds: 1000,
                misfireWindowMilliseconds: 1000, misfireLimit: 1, template: [1], document: [2])
            _ = try await first.createTimers([timer("settled")])
            _ = try await first.createSchedule(
                NewSchedule(
                    uid: UID(high: 2, low: 2), shard: ShardID(1), namespace: "guest", name: "a",
                    createdAt: WallInstant(milliseconds: 1000), createdBy: "test", body: body))
            _ = try await first.changeNamespace(
                "guest", .pause(until: nil), ifGeneration: nil, origin: origin(2000))
            // An assignment of long ago, which nobody keeps any longer.
            let old = try await self.lead(first, self.a)
            _ = try await first.claim(.shard, [self.claim(1, .none, "t-1")], leaderEpoch: old)
            try await first.checkpoint([ShardID(1): WallInstant(milliseconds: 90_000_000)], leaderEpoch: old)
            try await database.run("UPDATE assignment_history SET at = at - interval '10 years'")
            let new = try await self.lead(second, self.b)

            #expect(try await first.removeSettled(limit: 100, leaderEpoch: old) == 0)
            #expect(
                try await first.settleNamespace("guest", limit: 10, origin: origin(3000), leaderEpoch: old) == [])
            #expect(try await second.timer(namespace: "guest", name: "settled") != nil)
            #expect(try await second.schedule(namespace: "guest", name: "a")?.pause == nil)
            #expect(try await second.assignmentHistory(AssignmentFilter(), before: nil, limit: 9).count == 1)

            #expect(try await second.removeSettled(limit: 100, leaderEpoch: new) > 0)
            #expect(
                try await second.settleNamespace("guest", limit: 10, origin: origin(3000), leaderEpoch: new)
                    == [ShardID(1)])
            #expect(try await second.timer(namespace: "guest", name: "settled") == nil)
            #expect(try await second.schedule(namespace: "guest", name: "a")?.pause?.scope == .namespace)
            #expect(try await second.assignmentHistory(AssignmentFilter(), before: nil, limit: 9) == [])
        }
    }

    @Test func `a removal that meets a take-over waits for it and then removes nothing`() async throws {
        try await self.withCluster { database, first, second in
            let old = try await self.lead(first, self.a)
            _ = try await first.claim(.shard, [self.claim(1, .none, "t-1")], leaderEpoch: old)
            try await database.run("UPDATE assignment_history SET at = at - interval '10 years'")
            let taker = database.connection()
            try await taker.run(PostgresStatement(once: "BEGIN")())
            try await taker.run(PostgresStatement(once: "UPDATE leader SET epoch = epoch + 1, beat = beat + 1")())
            async let removed = first.removeSettled(limit: 100, leaderEpoch: old)
            try await database.untilBlocked(named: "\(database.schema)-1")
            try await taker.run(PostgresStatement(once: "COMMIT")())
            await taker.close()
            #expect(try await removed == 0)
            #expect(try await second.assignmentHistory(AssignmentFilter(), before: nil, limit: 9).count == 1)
        }
    }

    @Test func `a take-over that meets a fenced write waits for it and then succeeds`() async throws {
        try await self.withCluster { database, first, second in
            let old = try await self.lead(first, self.a)
            let writer = database.connection()
            try await writer.run(PostgresStatement(once: "BEGIN")())
            // The fence and the write of the leader, as one of its statements has them.
            try await writer.run(
                PostgresStatement(
                    once: """
                        WITH l AS (SELECT epoch FROM leader WHERE epoch = $1::bigint FOR SHARE)
                        UPDATE shard SET epoch = 7 FROM l WHERE shard_id = 1
                        """)(.int(Int64(old.rawValue))))
            let seen = try await second.observeLeader()
            async let taken = second.takeLeadership(
                from: seen, holder: self.b, node: NodeID("c-2"), address: "c:2")
            try await database.untilBlocked(named: "\(database.schema)-2")
            try await writer.run(PostgresStatement(once: "COMMIT")())
            await writer.close()
            let new = try #require(try await taken)
            #expect(new > old)
            #expect(try await second.loadOwnership().shards[1].epoch == Epoch(7), "what was fenced counts")
        }
    }

    @Test func `a paused leader that wakes finds its claim refused`() async throws {
        // Needs the right to stop the server's process.
        guard geteuid() == 0 else { return }
        let server = try await PostgresServer()
        let database = try await PostgresDatabase.make(in: server)
        var options = PostgresStoreOptions()
        // Patient enough to be stopped in the middle.
        options.lockLimits = PostgresLimits(
            statement: .seconds(60), lock: .seconds(60), answer: .seconds(90), backoffMax: .seconds(1))
        let first = database.store(named: "sleeper", options: options)
        let second = database.store(named: "other", options: options)
        _ = try await first.establish(ClusterSettings(cluster: "test", shardCount: 4, laneCount: 2))
        let old = try await self.lead(first, self.a)
        let process = try #require(try await database.processes(named: "sleeper", running: "UPDATE leader").first)
        kill(process, SIGSTOP)
        async let late = first.claim(.shard, [self.claim(1, .none, "t-1")], leaderEpoch: old)
        let new = try await self.lead(second, self.b)
        let valid = try await second.claim(.shard, [self.claim(1, .none, "t-2")], leaderEpoch: new)
        kill(process, SIGCONT)
        #expect(try await late == .deposed)
        #expect(valid != .deposed)
        #expect(try await second.loadOwnership().shards[1].owner == NodeID("t-2"))
        await first.close()
        await second.close()
    }

    @Test func `take-overs and claims at random leave a history in which no epoch goes back`() async throws {
        try await self.withCluster { _, first, second in
            try await withThrowingTaskGroup(of: Int.self) { group in
                for (store, who) in [(first, self.a), (second, self.b)] {
                    group.addTask {
                        var claimed = 0
                        var epoch = Epoch.none
                        for round in 0..<40 {
                            if round % 4 == 0 {
                                let seen = try await store.observeLeader()
                                epoch =
                                    try await store.takeLeadership(
                                        from: seen, holder: who, node: NodeID("c"), address: "c:1") ?? epoch
                            }
                            let rows = try await store.loadOwnership().shards
                            let claims = rows.map { self.claim($0.number, $0.epoch, "t-\(who.uid.low)") }
                            let outcome = try await store.claim(.shard, claims, leaderEpoch: epoch)
                            if case .claimed(let epochs) = outcome { claimed += epochs.compactMap { $0 }.count }
                        }
                        return claimed
                    }
                }
                var claimed = 0
                for try await count in group { claimed += count }
                #expect(claimed > 0)
                let history = try await first.assignmentHistory(AssignmentFilter(), before: nil, limit: 10_000)
                #expect(history.count == claimed, "what was answered is what was written")
                for number in UInt16(0)..<4 {
                    let own = history.filter { $0.number == number }.sorted { $0.epoch < $1.epoch }
                    #expect(Set(own.map(\.epoch)).count == own.count)
                    for (earlier, later) in zip(own, own.dropFirst()) {
                        #expect(earlier.leaderEpoch <= later.leaderEpoch)
                    }
                }
            }
        }
    }
}
