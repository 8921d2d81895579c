import EscapementModel
import Store
import Testing

struct StoreScheduleTests {
    @Test(arguments: StoreKind.available)
    func `a schedule is stored once under a name and given back as it was`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let new = Rows.schedule("nightly", body: Rows.body(labels: ["team": "billing", "empty": ""]))
            guard case .created(let stored) = try await store.createSchedule(new) else {
                Issue.record("not created")
                return
            }
            #expect(stored.generation == 1)
            #expect(stored.from == new.createdAt)
            #expect(stored.createdRevision > .none)
            #expect(try await store.schedule(namespace: "guest", name: "nightly") == stored)
            #expect(try await store.schedule(namespace: "other", name: "nightly") == nil)
            var again = Rows.schedule("nightly", body: new.body)
            #expect(try await store.createSchedule(again) == .duplicate(stored))
            again.body.template = [7]
            #expect(
                try await store.createSchedule(again) == .duplicate(stored),
                "another release may write the template differently")
            again.body = Rows.body("5 * * * *")
            #expect(try await store.createSchedule(again) == .conflict(stored))
            let revision = try await store.revisions()[ShardID(1)]
            #expect(revision == stored.createdRevision, "what was refused leaves no trace")
        }
    }

    @Test(arguments: StoreKind.available)
    func `an unknown shard is refused`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let error = await #expect(throws: StoreError.self) {
                try await store.createSchedule(Rows.schedule("x", shard: 800))
            }
            #expect(error?.code == .refused)
            let found = try await store.schedule(namespace: "guest", name: "x")
            #expect(found == nil)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a change ends one version and begins the next at the same instant and revision`(kind: StoreKind) async throws
    {
        try await kind.withStore { store in
            let first = try await store.createSchedule(Rows.schedule("a")).stored
            let outcome = try await store.changeSchedule(
                namespace: "guest", name: "a", ScheduleChange(body: Rows.body("5 * * * *")), ifGeneration: 1,
                origin: Rows.origin(10, by: "token:other", reason: "moved"))
            guard case .changed(let before, let after) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect(before == first)
            #expect(after.generation == 2 && after.replaces && after.from == Rows.at(10))
            #expect(after.uid == first.uid && after.createdAt == first.createdAt)
            #expect(after.updatedBy == "token:other" && after.changeReason == "moved")
            #expect(try await store.schedule(namespace: "guest", name: "a") == after)
            let versions = try await store.versions(namespace: "guest", name: "a", before: nil, limit: 10)
            #expect(versions == [after, first.ended(at: Rows.at(10), revision: after.createdRevision)])
            #expect(try await store.versions(namespace: "guest", name: "a", before: 2, limit: 10).count == 1)
            let changes = try await store.changes(of: ShardID(1), after: first.createdRevision)
            #expect(changes.schedules.map(\.generation).sorted() == [1, 2])
            #expect(changes.last && changes.revision == after.createdRevision)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a change of another generation, of nothing, or to the same is told`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let first = try await store.createSchedule(Rows.schedule("a")).stored
            func change(_ name: String, _ body: ScheduleBody, _ generation: UInt64?) async throws
                -> ChangeOutcome<StoredSchedule>
            {
                try await store.changeSchedule(
                    namespace: "guest", name: name, ScheduleChange(body: body), ifGeneration: generation,
                    origin: Rows.origin(1))
            }
            #expect(try await change("a", Rows.body("5 * * * *"), 2) == .stale(current: first))
            #expect(try await change("b", Rows.body(), nil) == .missing)
            #expect(try await change("a", first.body, nil) == .unchanged(first))
            var rewritten = first.body
            rewritten.template = [7]
            #expect(try await change("a", rewritten, nil) == .unchanged(first))
            #expect(try await store.revisions()[ShardID(1)] == first.createdRevision)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a change that claims to be older than the version takes effect where that began`(kind: StoreKind) async throws
    {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a", at: 10))
            let after = try await store.changeSchedule(
                namespace: "guest", name: "a", ScheduleChange(body: Rows.body("5 * * * *")), ifGeneration: nil,
                origin: Rows.origin(3)
            ).after
            #expect(after?.from == Rows.at(10))
            let versions = try await store.versions(namespace: "guest", name: "a", before: nil, limit: 10)
            #expect(versions.last?.until == Rows.at(10), "no instant belongs to both")
        }
    }

    @Test(arguments: StoreKind.available)
    func `a deleted schedule frees its name and its versions stay readable`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let first = try await store.createSchedule(Rows.schedule("a")).stored
            #expect(
                try await store.deleteSchedule(
                    namespace: "guest", name: "a", ifGeneration: 7, origin: Rows.origin(4)) == .stale(current: first))
            let outcome = try await store.deleteSchedule(
                namespace: "guest", name: "a", ifGeneration: 1, origin: Rows.origin(5))
            let ended = try #require(outcome.after)
            #expect(ended.until == Rows.at(5) && ended.endedRevision != nil)
            #expect(try await store.schedule(namespace: "guest", name: "a") == nil)
            #expect(
                try await store.deleteSchedule(
                    namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(6)) == .missing)
            #expect(try await store.versions(namespace: "guest", name: "a", before: nil, limit: 9) == [ended])
            let second = try await store.createSchedule(Rows.schedule("a", at: 7)).stored
            #expect(second.uid != first.uid && second.generation == 1)
            #expect(try await store.versions(namespace: "guest", name: "a", before: nil, limit: 9) == [second])
            let lives = try await store.lives(namespace: "guest", name: "a", limit: 9)
            #expect(lives.map(\.versions) == [[second], [ended]])
            #expect(lives.map(\.endedAt) == [nil, Rows.at(5)])
            _ = try await store.deleteSchedule(
                namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(9))
            _ = try await store.createSchedule(Rows.schedule("b"))
            _ = try await store.createSchedule(Rows.schedule("c", namespace: "other"))
            func names(_ seconds: Double, after: String? = nil) async throws -> [String] {
                try await store.scheduleNames(
                    namespace: "guest", endedAfter: Rows.at(seconds), after: after, limit: 9)
            }
            #expect(try await names(9) == ["a", "b"])
            #expect(try await names(9, after: "a") == ["b"])
            #expect(try await names(9.001) == ["b"], "what ended before is of no interest")
        }
    }

    @Test(arguments: StoreKind.available)
    func `schedules are listed by name in pages, by text, label and state`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let labels: [(String, [String: String])] = [
                ("alpha", ["team": "billing", "tier": "gold"]), ("Beta", ["team": "search"]),
                ("gamma", ["team": "billing", "tier": "silver"]), ("delta-alpha", [:]),
            ]
            for (index, (name, labels)) in labels.enumerated() {
                _ = try await store.createSchedule(
                    Rows.schedule(name, shard: UInt16(index), body: Rows.body(labels: labels)))
            }
            _ = try await store.createSchedule(Rows.schedule("alpha", namespace: "other"))
            func names(_ filter: ScheduleFilter, after: String? = nil, limit: Int = 10) async throws -> [String] {
                try await store.schedules(namespace: "guest", matching: filter, after: after, limit: limit).map(\.name)
            }
            func names(_ labels: LabelRequirement...) async throws -> [String] {
                try await names(ScheduleFilter(labels: labels))
            }
            #expect(try await names(ScheduleFilter()) == ["Beta", "alpha", "delta-alpha", "gamma"])
            #expect(try await names(ScheduleFilter(), after: "Beta", limit: 2) == ["alpha", "delta-alpha"])
            #expect(try await names(ScheduleFilter(containing: "alpha")) == ["alpha", "delta-alpha"])
            #expect(try await names(ScheduleFilter(containing: "%")) == [])
            #expect(try await names(.isOneOf(name: "team", values: ["billing"])) == ["alpha", "gamma"])
            #expect(try await names(.isOneOf(name: "tier", values: ["gold", "silver"])) == ["alpha", "gamma"])
            #expect(try await names(.isOneOf(name: "tier", values: [])) == [])
            #expect(try await names(.isNoneOf(name: "tier", values: ["gold"])) == ["Beta", "delta-alpha", "gamma"])
            #expect(try await names(.exists(name: "tier")) == ["alpha", "gamma"])
            #expect(try await names(.isAbsent(name: "team")) == ["delta-alpha"])
            #expect(
                try await names(.exists(name: "team"), .isAbsent(name: "tier")) == ["Beta"])
            _ = try await store.changeSchedule(
                namespace: "guest", name: "gamma", ScheduleChange(pause: .pause(until: Rows.at(100))),
                ifGeneration: nil,
                origin: Rows.origin(5))
            #expect(try await names(ScheduleFilter(state: .paused, at: Rows.at(6))) == ["gamma"])
            #expect(try await names(ScheduleFilter(state: .active, at: Rows.at(6))).contains("gamma") == false)
            #expect(try await names(ScheduleFilter(state: .paused, at: Rows.at(100))) == [])
        }
    }
}
