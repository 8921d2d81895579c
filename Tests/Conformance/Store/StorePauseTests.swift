import EscapementModel
import Store
import Testing

struct StorePauseTests {
    private func change(
        _ store: any ScheduleStore, name: String = "a", body: ScheduleBody? = nil,
        _ pause: ScheduleChange.PauseChange, _ seconds: Double, reason: String? = nil
    ) async throws -> StoredSchedule {
        let outcome = try await store.changeSchedule(
            namespace: "guest", name: name, ScheduleChange(body: body, pause: pause), ifGeneration: nil,
            origin: Rows.origin(seconds, reason: reason))
        return try #require(outcome.after)
    }

    @Test(arguments: StoreKind.available)
    func `a paused schedule stays listed and holds no occurrence until it is resumed`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let first = try await store.createSchedule(Rows.schedule("a")).stored
            let paused = try await self.change(store, .pause(until: nil), 10, reason: "INC-1")
            #expect(paused.isPaused(at: Rows.at(1_000_000)) && paused.isEmpty && paused.generation == 2)
            #expect(paused.pause?.reason == "INC-1" && paused.pause?.since == Rows.at(10))
            #expect(try await store.schedule(namespace: "guest", name: "a") == paused)
            // Tickers hear of the end of the old version only.
            let changes = try await store.changes(of: ShardID(1), after: first.createdRevision)
            #expect(changes.schedules.map(\.generation) == [1])
            #expect(changes.schedules.first?.until == Rows.at(10))
            #expect(changes.revision == paused.createdRevision)
            let cursor = Cursor(cron: .start, delay: .start, revision: .none)
            #expect(try await store.wholeSnapshot(cursor: cursor).page.schedules.map(\.generation) == [1])

            let resumed = try await self.change(store, .resume, 50)
            #expect(resumed.generation == 3 && resumed.from == Rows.at(50) && resumed.pause == nil)
            #expect(try await self.change(store, .resume, 60) == resumed, "to resume twice changes nothing")
            let versions = try await store.versions(namespace: "guest", name: "a", before: nil, limit: 9)
            #expect(versions.map(\.generation) == [3, 2, 1])
        }
    }

    @Test(arguments: StoreKind.available)
    func `a pause with an end needs nobody to end it`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a"))
            let paused = try await self.change(store, .pause(until: Rows.at(100)), 10)
            #expect(paused.from == Rows.at(100) && paused.endedRevision == nil)
            #expect(paused.isPaused(at: Rows.at(99)) && !paused.isPaused(at: Rows.at(100)))
            // Edited while paused: still paused until then.
            let edited = try await self.change(store, body: Rows.body("7 * * * *"), .keep, 20)
            #expect(edited.from == Rows.at(100) && edited.isPaused(at: Rows.at(30)))
            #expect(edited.pause == paused.pause)
            // Resumed early, then nothing of the other versions is left ahead.
            let resumed = try await self.change(store, .resume, 40)
            #expect(resumed.from == Rows.at(40) && !resumed.isPaused(at: Rows.at(40)))
            let versions = try await store.versions(namespace: "guest", name: "a", before: nil, limit: 9)
            #expect(versions.dropFirst().map(\.until) == [Rows.at(100), Rows.at(100), Rows.at(10)])
            #expect(versions.dropFirst().dropLast().allSatisfy { $0.from == $0.until })
        }
    }

    @Test(arguments: StoreKind.available)
    func `schedules are counted by state, deleted ones not at all`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            #expect(try await store.countSchedules(at: Rows.at(0)) == [.active: 0, .paused: 0])
            for name in ["a", "b", "c", "d"] { _ = try await store.createSchedule(Rows.schedule(name)) }
            _ = try await self.change(store, .pause(until: nil), 10)
            _ = try await self.change(store, name: "b", .pause(until: Rows.at(100)), 10)
            _ = try await store.deleteSchedule(namespace: "guest", name: "c", ifGeneration: nil, at: Rows.at(11))
            #expect(try await store.countSchedules(at: Rows.at(50)) == [.active: 1, .paused: 2])
            #expect(try await store.countSchedules(at: Rows.at(100)) == [.active: 2, .paused: 1])
        }
    }

    @Test(arguments: StoreKind.available)
    func `a pause that is changed keeps when it began`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a"))
            _ = try await self.change(store, .pause(until: Rows.at(100)), 10, reason: "one")
            let longer = try await self.change(store, .pause(until: nil), 20, reason: "two")
            #expect(longer.pause?.since == Rows.at(10) && longer.pause?.reason == "two" && longer.isEmpty)
            let edited = try await self.change(store, body: Rows.body("9 * * * *"), .keep, 30)
            #expect(edited.isEmpty && edited.pause == longer.pause && edited.body == Rows.body("9 * * * *"))
        }
    }

    @Test(arguments: StoreKind.available)
    func `a schedule can be born paused and be deleted while paused`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let pause = SchedulePause(scope: .schedule, since: Rows.at(0), until: nil, reason: "not yet")
            let born = try await store.createSchedule(Rows.schedule("a", pause: pause)).stored
            #expect(born.isEmpty && born.pause == pause)
            #expect(try await store.schedule(namespace: "guest", name: "a") == born)
            #expect(try await store.wholeSnapshot().page.schedules == [])
            let outcome = try await store.deleteSchedule(
                namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(5))
            #expect(outcome == .changed(before: born, after: born))
            #expect(try await store.schedule(namespace: "guest", name: "a") == nil)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a namespace's pause reaches its schedules and leaves them as they were`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            for index in 0..<5 { _ = try await store.createSchedule(Rows.schedule("s\(index)", shard: UInt16(index))) }
            _ = try await store.createSchedule(Rows.schedule("elsewhere", namespace: "other"))
            let own = try await self.change(store, name: "s4", .pause(until: nil), 5, reason: "own")
            let outcome = try await store.changeNamespace(
                "guest", .pause(until: nil), ifGeneration: 0, origin: Rows.origin(10, reason: "freeze"))
            #expect(outcome.after?.isPaused(at: Rows.at(11)) == true && outcome.after?.generation == 1)
            #expect(try await store.namespace("guest") == outcome.after)

            let born = try await store.createSchedule(Rows.schedule("s5", at: 11)).stored
            #expect(born.isEmpty && born.pause?.scope == .namespace && born.pause?.reason == "freeze")

            var shards: [ShardID] = []
            while case let some = try await store.settleNamespace(
                "guest", limit: 3, origin: Rows.origin(12), leaderEpoch: nil),
                !some.isEmpty
            { shards += some }
            #expect(shards.map(\.rawValue).sorted() == [0, 1, 2, 3])
            let paused = try await store.schedules(
                namespace: "guest", matching: ScheduleFilter(state: .paused, at: Rows.at(13)), after: nil, limit: 10)
            #expect(paused.count == 6)
            #expect(paused.first { $0.name == "s4" } == own, "its own pause stays its own")
            let resumedWithin = try await self.change(store, name: "s0", .resume, 14)
            #expect(resumedWithin.isPaused(at: Rows.at(15)), "a namespace's pause holds for all")

            _ = try await store.changeNamespace("guest", .resume, ifGeneration: nil, origin: Rows.origin(20))
            while case let some = try await store.settleNamespace(
                "guest", limit: 100, origin: Rows.origin(21), leaderEpoch: nil),
                !some.isEmpty
            {}
            let left = try await store.schedules(
                namespace: "guest", matching: ScheduleFilter(state: .paused, at: Rows.at(22)), after: nil, limit: 10)
            #expect(left.map(\.name) == ["s4"])
            let fifth = try await store.schedule(namespace: "guest", name: "s5")
            #expect(fifth?.from == Rows.at(21) && fifth?.pause == nil)
        }
    }

    @Test(arguments: StoreKind.available)
    func `of two pauses with an end the later one counts`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a"))
            _ = try await store.createSchedule(Rows.schedule("b"))
            _ = try await self.change(store, .pause(until: Rows.at(50)), 5)
            _ = try await store.changeNamespace(
                "guest", .pause(until: Rows.at(80)), ifGeneration: nil, origin: Rows.origin(10))
            #expect(
                try await store.settleNamespace("guest", limit: 100, origin: Rows.origin(11), leaderEpoch: nil).count
                    == 2)
            #expect(
                try await store.settleNamespace("guest", limit: 100, origin: Rows.origin(12), leaderEpoch: nil) == [])
            let both = try await store.schedule(namespace: "guest", name: "a")
            #expect(both?.from == Rows.at(80) && both?.pause?.until == Rows.at(50))
            _ = try await store.changeNamespace("guest", .resume, ifGeneration: nil, origin: Rows.origin(20))
            #expect(
                try await store.settleNamespace("guest", limit: 100, origin: Rows.origin(21), leaderEpoch: nil).count
                    == 2)
            #expect(try await store.schedule(namespace: "guest", name: "a")?.from == Rows.at(50))
            #expect(try await store.schedule(namespace: "guest", name: "b")?.from == Rows.at(21))
        }
    }

    @Test(arguments: StoreKind.available)
    func `a namespace has quotas, a tag and a list`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            #expect(try await store.namespace("guest") == NamespaceSettings(namespace: "guest"))
            let quota = NamespaceQuota(schedulesMax: 10, pendingTimersMax: 1000, payloadBytesMax: 65_536)
            let first = try await store.changeNamespace(
                "guest", .setQuota(quota), ifGeneration: 0, origin: Rows.origin(1))
            #expect(first.after?.quota == quota && first.after?.updatedBy == "token:test")
            let again = try await store.changeNamespace(
                "guest", .setQuota(quota), ifGeneration: nil, origin: Rows.origin(2))
            #expect(again == .unchanged(try #require(first.after)))
            let stale = try await store.changeNamespace(
                "guest", .pause(until: nil), ifGeneration: 0, origin: Rows.origin(3))
            #expect(stale == .stale(current: try #require(first.after)))
            _ = try await store.createSchedule(Rows.schedule("a", namespace: "Zoo"))
            _ = try await store.createSchedule(Rows.schedule("b", namespace: "Zoo"))
            _ = try await store.createTimers([Rows.timer(due: 5, namespace: "Zoo")])
            #expect(try await store.namespaces(after: nil, limit: 10).map(\.namespace) == ["Zoo", "guest"])
            #expect(try await store.namespaces(after: "Zoo", limit: 10).map(\.generation) == [1])
            #expect(
                try await store.usage(of: "Zoo", upTo: 10) == NamespaceUsage(schedules: 2, pendingTimers: 1))
            #expect(try await store.usage(of: "Zoo", upTo: 1) == NamespaceUsage(schedules: 1, pendingTimers: 1))
        }
    }
}
