import EscapementModel
import PostgresStore
import PostgresSupport
import Store
import Testing

/// A database that goes away, comes back, or takes a commit and says nothing.
@Suite(.enabled(if: PostgresDatabase.isAvailable, "PostgreSQL is not installed and PGHOST is not set"))
struct DatabaseFaultTests {
    private let settings = ClusterSettings(cluster: "test", shardCount: 4, laneCount: 2)

    private func timer(_ name: String, shard: UInt16 = 1) -> NewTimer {
        var random = SystemRandomNumberGenerator()
        return NewTimer(
            uid: ShardPlacement.timerUID(shard: ShardID(shard), using: &random), namespace: "guest", name: name,
            due: WallInstant(milliseconds: 1_900_000_000_000), expireAfterMilliseconds: 0, template: [1],
            document: [2], contentDigest: Array(name.utf8.prefix(32)),
            createdAt: WallInstant(milliseconds: 1_800_000_000_000), createdBy: "test")
    }

    /// Creates until there is an answer: what a client does that does not know.
    private func createStubbornly(_ store: PostgresStore, _ timer: NewTimer) async throws -> CreateOutcome<StoredTimer>
    {
        let deadline = ContinuousClock().now.advanced(by: .seconds(60))
        while true {
            do throws(StoreError) {
                if let outcome = try await store.createTimers([timer]).first { return outcome }
            } catch {
                guard error.isRetriable, ContinuousClock().now < deadline else { throw error }
            }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test func `a store lives through a crash of the database and keeps what it answered`() async throws {
        guard PostgresServer.programs != nil else { return }
        let server = try await PostgresServer()
        let database = try await PostgresDatabase.make(in: server)
        let store = database.store()
        _ = try await store.establish(self.settings)
        let before = try await self.createStubbornly(store, self.timer("before"))
        try await server.stop(.immediate)
        let error = await #expect(throws: StoreError.self) { try await store.createTimers([self.timer("while")]) }
        #expect(error?.code == .unavailable)
        let other = await #expect(throws: StoreError.self) { try await store.observeLeader() }
        #expect(other?.code == .unavailable)
        try await server.start()
        let after = try await self.createStubbornly(store, self.timer("after"))
        guard case .created(let first) = before, case .created(let second) = after else {
            Issue.record("\(before), \(after)")
            return
        }
        #expect(second.revision > first.revision)
        #expect(try await store.timer(namespace: "guest", name: "before") == first)
        try await database.until("the lock connection stands") {
            do { return try await store.observeLeader().holder == nil } catch { return false }
        }
        await store.close()
    }

    @Test func `commits whose answers are lost are found again and made once`() async throws {
        let database = try await PostgresDatabase.make()
        let name = "victim-\(database.schema)"
        let store = database.store(named: name)
        _ = try await store.establish(self.settings)
        let created = try await withThrowingTaskGroup(of: [StoredTimer].self) { group in
            for writer in 0..<8 {
                group.addTask {
                    var stored: [StoredTimer] = []
                    for number in 0..<60 {
                        let timer = self.timer("w\(writer)-\(number)", shard: UInt16(writer % 4))
                        switch try await self.createStubbornly(store, timer) {
                        case .created(let made): stored.append(made)
                        case .duplicate(let found):
                            // The commit had happened though its answer said otherwise.
                            #expect(found.uid == timer.uid)
                            stored.append(found)
                        case .conflict(let other): Issue.record("\(other.name) has other content")
                        case .withheld: Issue.record("withheld, and not atomic")
                        }
                    }
                    return stored
                }
            }
            for _ in 0..<25 {
                try await database.terminateSessions(named: name)
                try await Task.sleep(for: .milliseconds(15))
            }
            var all: [StoredTimer] = []
            for try await some in group { all += some }
            return all
        }
        #expect(created.count == 480)
        let rows = try await database.run("SELECT count(*), count(DISTINCT name), max(rev) FROM timer").first {
            row throws(PostgresFailure) in (try row.int(), try row.int(), try row.unsigned())
        }
        #expect(rows?.0 == 480 && rows?.1 == 480)
        let revisions = try await store.revisions()
        #expect(created.allSatisfy { timer in revisions[timer.shard].map { timer.revision <= $0 } ?? false })
        #expect(revisions.values.max()?.rawValue == rows?.2)
        for shard in UInt16(0)..<4 {
            let page = try await store.changes(of: ShardID(shard), after: .none)
            #expect(page.timers.count == 120)
        }
        await store.close()
        try await database.drop()
    }

    @Test func `what only lost against others is done again`() async throws {
        let database = try await PostgresDatabase.make()
        // The first two attempts fail as a serializable transaction may; a sequence does not roll back.
        try await database.run("CREATE SEQUENCE attempts")
        try await database.run(
            """
            CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF nextval('attempts') <= 2 THEN RAISE EXCEPTION 'made to fail' USING ERRCODE = '40001'; END IF;
                RETURN NEW;
            END $$
            """)
        try await database.withStore { store in
            _ = try await store.establish(self.settings)
            try await database.run(
                "CREATE TRIGGER stumble BEFORE UPDATE ON shard_rev FOR EACH ROW EXECUTE FUNCTION stumble()")
            let outcome = try await store.createTimers([self.timer("a")])
            guard case .created? = outcome.first else {
                Issue.record("\(outcome)")
                return
            }
            let attempts = try await database.run("SELECT last_value FROM attempts").first {
                row throws(PostgresFailure) in
                try row.int()
            }
            #expect(attempts == 3)
        }
        try await database.drop()
    }

    @Test func `what loses again and again is given up as contended`() async throws {
        let database = try await PostgresDatabase.make()
        try await database.run(
            """
            CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'made to fail' USING ERRCODE = '40P01'; END $$
            """)
        try await database.withStore { store in
            _ = try await store.establish(self.settings)
            try await database.run(
                "CREATE TRIGGER stumble BEFORE UPDATE ON shard_rev FOR EACH ROW EXECUTE FUNCTION stumble()")
            let error = await #expect(throws: StoreError.self) { try await store.createTimers([self.timer("a")]) }
            #expect(error?.code == .contended && error?.isRetriable == true)
        }
        try await database.drop()
    }

    @Test func `a lock that nobody gives back ends a statement in time`() async throws {
        let database = try await PostgresDatabase.make()
        var options = PostgresStoreOptions()
        options.scheduleLimits = PostgresLimits(
            statement: .milliseconds(400), lock: .milliseconds(200), answer: .seconds(30), backoffMax: .seconds(1))
        try await database.withStore(options: options) { store in
            _ = try await store.establish(self.settings)
            let holder = database.connection()
            try await holder.run(PostgresStatement(once: "BEGIN")())
            try await holder.run(PostgresStatement(once: "SELECT FROM shard_rev FOR UPDATE")())
            let error = await #expect(throws: StoreError.self) { try await store.createTimers([self.timer("a")]) }
            #expect(error?.code == .contended)
            try await holder.run(PostgresStatement(once: "ROLLBACK")())
            await holder.close()
            guard case .created? = try await store.createTimers([self.timer("a")]).first else {
                Issue.record("the connection is of no use any more")
                return
            }
        }
        try await database.drop()
    }
}
