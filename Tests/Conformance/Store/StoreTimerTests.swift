import EscapementModel
import Store
import Testing

struct StoreTimerTests {
    @Test(arguments: StoreKind.available)
    func `timers are stored with one revision for each shard and call`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let new = [
                Rows.timer("a", due: 30), Rows.timer("b", due: 10, shard: 2), Rows.timer("c", due: 20),
            ]
            let outcomes = try await store.createTimers(new)
            let stored = outcomes.map(\.stored)
            #expect(outcomes == stored.map { .created($0) })
            #expect(stored[0].revision == stored[2].revision)
            #expect(stored.map(\.shard.rawValue) == [1, 2, 1])
            #expect(try await store.timer(namespace: "guest", name: "b") == stored[1])
            #expect(try await store.timer(namespace: "guest", name: "z") == nil)
            let listed = try await store.timers(namespace: "guest", after: nil, limit: 2)
            #expect(listed.map(\.name) == ["b", "c"])
            let rest = try await store.timers(namespace: "guest", after: listed.last?.watermark, limit: 2)
            #expect(rest.map(\.name) == ["a"])
        }
    }

    @Test(arguments: StoreKind.available)
    func `a name that is taken is a duplicate or a conflict and stops no other`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let first = try await store.createTimers([Rows.timer("a", due: 1, content: 1)])[0].stored
            let outcomes = try await store.createTimers([
                Rows.timer("a", due: 1, content: 1), Rows.timer("a", due: 1, content: 2),
                Rows.timer("n", due: 2, content: 3), Rows.timer("n", due: 2, content: 3),
                Rows.timer("n", due: 2, content: 4),
            ])
            #expect(outcomes[0] == .duplicate(first))
            #expect(outcomes[1] == .conflict(first))
            guard case .created(let new) = outcomes[2] else {
                Issue.record("\(outcomes[2])")
                return
            }
            #expect(outcomes[3] == .duplicate(new))
            #expect(outcomes[4] == .conflict(new))
        }
    }

    @Test(arguments: StoreKind.available)
    func `an atomic call with a name that is taken stores nothing and leaves its key unused`(
        kind: StoreKind
    ) async throws {
        try await kind.withStore { store in
            let first = try await store.createTimers([Rows.timer("a", due: 1, content: 1)])[0].stored
            let key = Rows.key("atomic")
            func create(_ content: UInt8) async throws -> Keyed<[CreateOutcome<StoredTimer>]> {
                try await store.createTimers(
                    [Rows.timer("n", due: 2, content: 3), Rows.timer("a", due: 1, content: content)], key: key,
                    isAtomic: true)
            }
            // Others that are stored in the same moment do not suffer for it.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<8 {
                    group.addTask { _ = try await store.createTimers([Rows.timer("other\(index)", due: 9)]) }
                }
                #expect(try await create(2) == .outcome([.withheld, .conflict(first)]))
                try await group.waitForAll()
            }
            #expect(try await store.timer(namespace: "guest", name: "n") == nil)
            #expect(try await store.recall(key) == .unknown)
            guard case .outcome(let outcomes) = try await create(1), case .created = outcomes[0] else {
                Issue.record("what is there already with the same content is no obstacle")
                return
            }
            #expect(outcomes[1] == .duplicate(first))
            #expect(try await create(1) == .repeated)
            for index in 0..<8 {
                #expect(try await store.timer(namespace: "guest", name: "other\(index)") != nil)
            }
        }
    }

    @Test(arguments: StoreKind.available)
    func `all of a call or nothing is stored`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let error = await #expect(throws: StoreError.self) {
                try await store.createTimers([Rows.timer("a", due: 1), Rows.timer("b", due: 1, shard: 4000)])
            }
            #expect(error?.code == .refused)
            let found = try await store.timer(namespace: "guest", name: "a")
            #expect(found == nil)
            let revisions = try await store.revisions()
            #expect(revisions.isEmpty)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a cancelled timer keeps its name and is told once to the ticker`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let made = try await store.createTimers([Rows.timer("a", due: 100, content: 1)])[0].stored
            let ended = try #require(
                try await store.cancelTimer(namespace: "guest", name: "a", origin: Rows.origin(5)))
            #expect(ended.endedRevision.map { $0 > made.revision } == true)
            #expect(try await store.cancelTimer(namespace: "guest", name: "a", origin: Rows.origin(6)) == ended)
            #expect(try await store.cancelTimer(namespace: "guest", name: "x", origin: Rows.origin(6)) == nil)
            #expect(try await store.timers(namespace: "guest", after: nil, limit: 5) == [])
            #expect(
                try await store.createTimers([Rows.timer("a", due: 100, content: 1)]) == [.duplicate(ended)])
            let changes = try await store.changes(of: ShardID(1), after: made.revision)
            #expect(changes.timers == [ended] && changes.revision == ended.endedRevision)
            #expect(
                try await store.timers(of: ShardID(1), after: .start, through: .distantFuture, limit: 9) == [])
        }
    }

    @Test(arguments: StoreKind.available)
    func `pages up to the horizon follow each other in order of due and uid`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let new = (0..<40).map { Rows.timer(due: Double($0 / 4), content: UInt8($0)) }
            _ = try await store.createTimers(new)
            var after = Watermark.start
            var seen: [StoredTimer] = []
            while case let page = try await store.timers(of: ShardID(1), after: after, through: Rows.at(7), limit: 7),
                let last = page.last
            {
                seen += page
                after = last.watermark
            }
            #expect(seen.count == 32)
            #expect(seen.map(\.watermark) == seen.map(\.watermark).sorted())
            #expect(Set(seen.map(\.uid)).count == 32)
        }
    }

    @Test(arguments: StoreKind.available)
    func `what is settled for an hour is removed, and nothing else`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createTimers([
                Rows.timer("old", due: 100), Rows.timer("young", due: 4000), Rows.timer("far", due: 90_000),
                Rows.timer("late", due: 50, created: 4000), Rows.timer("cancelled", due: 90_000),
                Rows.timer("elsewhere", due: 100, shard: 2),
            ])
            _ = try await store.cancelTimer(namespace: "guest", name: "cancelled", origin: Rows.origin(200))
            let record = try await store.observeLeader()
            let epoch = try #require(
                try await store.takeLeadership(
                    from: record, holder: Incarnation(UID(high: 1, low: 1)), node: NodeID("c"), address: "c:1"))
            #expect(try await store.removeSettled(limit: 100, leaderEpoch: epoch) == 0)
            try await store.checkpoint([ShardID(1): Rows.at(4500)], leaderEpoch: epoch)
            try await store.checkpoint([ShardID(1): Rows.at(100)], leaderEpoch: epoch)
            // A shard that has never settled anything keeps no other from being cleaned.
            try await store.checkpoint([ShardID(3): .distantPast], leaderEpoch: epoch)
            let listed = try await store.timers(namespace: "guest", after: nil, limit: 10).map(\.name)
            #expect(listed == ["elsewhere", "far"], "what the checkpoint settles is not listed")
            #expect(try await store.removeSettled(limit: 100, leaderEpoch: record.epoch) == 0, "not by a leader of old")
            #expect(try await store.timer(namespace: "guest", name: "old") != nil)
            #expect(try await store.removeSettled(limit: 1, leaderEpoch: epoch) == 1)
            #expect(try await store.removeSettled(limit: 100, leaderEpoch: epoch) == 1)
            for name in ["old", "cancelled"] {
                #expect(try await store.timer(namespace: "guest", name: name) == nil)
            }
            for name in ["young", "far", "late", "elsewhere"] {
                #expect(try await store.timer(namespace: "guest", name: name) != nil)
            }
        }
    }

    @Test(arguments: StoreKind.available)
    func `ended versions are kept a week and the current one as long as it is`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a"))
            _ = try await store.createSchedule(Rows.schedule("gone"))
            _ = try await store.changeSchedule(
                namespace: "guest", name: "a", ScheduleChange(pause: .pause(until: nil)), ifGeneration: nil,
                origin: Rows.origin(10))
            _ = try await store.deleteSchedule(
                namespace: "guest", name: "gone", ifGeneration: nil, origin: Rows.origin(10))
            let epoch = try #require(
                try await store.takeLeadership(
                    from: try await store.observeLeader(), holder: Incarnation(UID(high: 1, low: 1)),
                    node: NodeID("c"), address: "c:1"))
            try await store.checkpoint([ShardID(1): Rows.at(7 * 86_400)], leaderEpoch: epoch)
            #expect(try await store.removeSettled(limit: 100, leaderEpoch: epoch) == 0)
            try await store.checkpoint([ShardID(1): Rows.at(7 * 86_400 + 10)], leaderEpoch: epoch)
            #expect(try await store.removeSettled(limit: 100, leaderEpoch: epoch) == 2)
            let left = try await store.versions(namespace: "guest", name: "a", before: nil, limit: 9)
            #expect(left.map(\.generation) == [2], "a paused schedule is not forgotten")
            #expect(try await store.versions(namespace: "guest", name: "gone", before: nil, limit: 9) == [])
            #expect(try await store.schedule(namespace: "guest", name: "a")?.isPaused(at: Rows.at(20)) == true)
        }
    }
}
