import EscapementModel
import Store
import Testing

struct StoreLoadingTests {
    @Test(arguments: StoreKind.available)
    func `a snapshot has what the cursor leaves to be done, in pages of one revision`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            for index in 0..<4 { _ = try await store.createSchedule(Rows.schedule("s\(index)")) }
            _ = try await store.createSchedule(Rows.schedule("foreign", shard: 2))
            _ = try await store.createTimers((0..<10).map { Rows.timer("t\($0)", due: Double($0) * 10) })
            let revision = try #require(try await store.revisions()[ShardID(1)])
            // Due before the watermark, and made after the cursor's revision: late, and to be fired.
            let late = try await store.createTimers([Rows.timer("late", due: 5)])[0].stored
            let cursor = Cursor(
                cron: .start, delay: Watermark(instant: Rows.at(35), tie: .zero), revision: revision)
            let (page, count) = try await store.wholeSnapshot(cursor: cursor, horizon: Rows.at(70))
            #expect(page.last && count > 2)
            #expect(page.revision == late.revision)
            #expect(page.schedules.count == 4)
            #expect(Set(page.timers.map(\.name)) == ["late", "t4", "t5", "t6", "t7"])
        }
    }

    @Test(arguments: StoreKind.available)
    func `an empty shard has one empty page`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let (page, count) = try await store.wholeSnapshot(of: 5)
            #expect(count == 1 && page.last && page.revision == .none && page.schedules.isEmpty)
            let changes = try await store.changes(of: ShardID(5), after: .none)
            #expect(changes.last && changes.schedules.isEmpty && changes.timers.isEmpty)
        }
    }

    @Test(arguments: StoreKind.available)
    func `an ended version is loaded until the cursor has passed its end and a day of jitter`(
        kind: StoreKind
    ) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a"))
            let ended = try #require(
                try await store.deleteSchedule(
                    namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(10)
                ).after)
            func loaded(_ revision: Revision?, _ seconds: Double) async throws -> Int {
                let cursor = Cursor(
                    cron: Watermark(instant: Rows.at(seconds), tie: .zero), delay: .start,
                    revision: revision ?? .none)
                return try await store.wholeSnapshot(cursor: cursor).page.schedules.count
            }
            #expect(try await loaded(ended.createdRevision, 90_000) == 1, "not known to have ended")
            #expect(try await loaded(ended.endedRevision, 86_410) == 1)
            #expect(try await loaded(ended.endedRevision, 86_410.001) == 0)
        }
    }

    @Test(arguments: StoreKind.available)
    func `changes come in order of revision and lead from any revision to the last`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let first = try await store.createSchedule(Rows.schedule("a")).stored
            let timer = try await store.createTimers([Rows.timer("t", due: 9)])[0].stored
            let second = try await store.createSchedule(Rows.schedule("b")).stored
            let ended = try #require(
                try await store.deleteSchedule(
                    namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(3)
                ).after)
            let all = try await store.changes(of: ShardID(1), after: .none)
            #expect(all.revision == ended.endedRevision && all.last)
            #expect(all.schedules == [ended, second])
            #expect(all.timers == [timer])
            let later = try await store.changes(of: ShardID(1), after: timer.revision)
            #expect(later.schedules == [second, ended] && later.timers == [])
            let none = try await store.changes(of: ShardID(1), after: all.revision)
            #expect(none.schedules.isEmpty && none.timers.isEmpty && none.revision == all.revision)
            #expect(first.createdRevision < timer.revision && timer.revision < second.createdRevision)
        }
    }

    @Test(arguments: StoreKind.available)
    func `more changes than a page holds come in parts that are complete in themselves`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let batch = StoreRules.changesPerPageMax - 100
            _ = try await store.createTimers((0..<batch).map { Rows.timer(due: Double($0)) })
            _ = try await store.createTimers((0..<batch).map { Rows.timer(due: Double($0)) })
            let early = try await store.createTimers([Rows.timer("x", due: 1)])[0].stored
            _ = try await store.cancelTimer(namespace: "guest", name: "x", origin: Rows.origin(1))
            var from = Revision.none
            var rows = 0
            var parts = 0
            var last = false
            while !last {
                let page = try await store.changes(of: ShardID(1), after: from)
                #expect(page.revision > from)
                #expect(page.timers.allSatisfy { $0.revision <= page.revision })
                if page.revision == early.revision {
                    #expect(page.timers.allSatisfy { $0.endedRevision == nil }, "as it stood at that revision")
                }
                from = page.revision
                rows += page.timers.count
                parts += 1
                last = page.last
            }
            #expect(parts >= 2)
            #expect(rows >= 2 * batch + 1)
            #expect(try await store.revisions()[ShardID(1)] == from)
        }
    }

    @Test(arguments: StoreKind.available)
    func `concurrent changes of a shard have revisions without a tie, in the order of commits`(
        kind: StoreKind
    ) async throws {
        try await kind.withStore { store in
            let revisions = try await withThrowingTaskGroup(of: Revision.self) { group in
                for index in 0..<40 {
                    group.addTask {
                        try await store.createSchedule(Rows.schedule("s\(index)")).stored.createdRevision
                    }
                }
                // What a reader sees at a revision never changes afterwards.
                var seen: Revision = .none
                var count = 0
                while count < 40 {
                    let page = try await store.changes(of: ShardID(1), after: seen)
                    #expect(page.schedules.allSatisfy { $0.createdRevision > seen })
                    seen = page.revision
                    count += page.schedules.count
                }
                var all: [Revision] = []
                for try await revision in group { all.append(revision) }
                return all
            }
            #expect(Set(revisions).count == 40)
        }
    }
}
