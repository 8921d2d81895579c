import EscapementModel
import Store
import Testing

struct StoreKeyTests {
    @Test(arguments: StoreKind.available)
    func `a key is kept with the effect of its request and with nothing else`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let key = Rows.key("k1", answer: [1, 2])
            #expect(try await store.recall(key) == .unknown)
            let made = try await store.createSchedule(Rows.schedule("a"), origin: Rows.origin(0, key: key))
            guard case .outcome(.created(let stored)) = made else {
                Issue.record("\(made)")
                return
            }
            #expect(try await store.recall(key) == .answered([1, 2]))
            #expect(try await store.recall(Rows.key("k1", 2)) == .otherRequest)
            #expect(try await store.createSchedule(Rows.schedule("b"), origin: Rows.origin(1, key: key)) == .repeated)
            #expect(try await store.schedule(namespace: "guest", name: "b") == nil)
            let other = Rows.key("k2")
            let taken = try await store.createSchedule(
                Rows.schedule("a", body: Rows.body("9 * * * *")), origin: Rows.origin(1, key: other))
            #expect(taken == .outcome(.conflict(stored)))
            #expect(try await store.recall(other) == .unknown, "a refusal may be tried again")
        }
    }

    @Test(arguments: StoreKind.available)
    func `changes and deletions are done once for a key`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(Rows.schedule("a"))
            let pause = ScheduleChange(pause: .pause(until: nil))
            let key = Rows.key("pause")
            let first = try await store.changeSchedule(
                namespace: "guest", name: "a", pause, ifGeneration: nil, origin: Rows.origin(1, key: key))
            #expect(first.after?.generation == 2)
            _ = try await store.changeSchedule(
                namespace: "guest", name: "a", ScheduleChange(pause: .resume), ifGeneration: nil,
                origin: Rows.origin(2))
            let second = try await store.changeSchedule(
                namespace: "guest", name: "a", pause, ifGeneration: nil, origin: Rows.origin(3, key: key))
            #expect(second == .repeated)
            #expect(try await store.schedule(namespace: "guest", name: "a")?.generation == 3)
            #expect(try await store.recall(key) == .unanswered(since: Rows.at(0)))
            try await store.remember([7], for: key)
            try await store.remember([8], for: key)
            #expect(try await store.recall(key) == .answered([7]), "the first answer stays")
            let gone = Rows.key("delete")
            _ = try await store.deleteSchedule(
                namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(4, key: gone))
            _ = try await store.createSchedule(Rows.schedule("a", at: 5))
            let repeated = try await store.deleteSchedule(
                namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(6, key: gone))
            #expect(repeated == .repeated)
            #expect(try await store.schedule(namespace: "guest", name: "a") != nil)
            let quota = NamespaceChange.setQuota(NamespaceQuota(schedulesMax: 1))
            let setting = Rows.origin(7, key: Rows.key("quota"))
            _ = try await store.changeNamespace("guest", quota, ifGeneration: nil, origin: setting)
            #expect(
                try await store.changeNamespace(
                    "guest", .setQuota(NamespaceQuota(schedulesMax: 2)), ifGeneration: nil, origin: setting)
                    == .repeated)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a key is free again after a day`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            _ = try await store.createSchedule(
                Rows.schedule("a"), origin: Rows.origin(0, key: Rows.key("k", answer: [1])))
            let later = Rows.key("k", 9, at: 86_401, answer: [2])
            #expect(try await store.recall(later) == .unknown)
            _ = try await store.createSchedule(Rows.schedule("b"), origin: Rows.origin(86_401, key: later))
            #expect(try await store.recall(later) == .answered([2]))
            let timers = try await store.createTimers(
                [Rows.timer("t", due: 5)], key: Rows.key("k", 3, at: 2 * 86_401 + 5))
            #expect(timers != .repeated)
        }
    }

    @Test(arguments: StoreKind.available)
    func `timers of one key are made once, whole`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let key = Rows.key("batch")
            let some = [Rows.timer("t1", due: 1), Rows.timer("t2", due: 2)]
            guard case .outcome(let outcomes) = try await store.createTimers(some, key: key) else {
                Issue.record("repeated")
                return
            }
            #expect(outcomes.count == 2)
            #expect(try await store.createTimers([Rows.timer("t3", due: 3)], key: key) == .repeated)
            #expect(try await store.timer(namespace: "guest", name: "t3") == nil)
            #expect(try await store.recall(key) == .unanswered(since: Rows.at(0)))
            // Requests at once, some of them with one key: one of these has its effect.
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for index in 0..<8 {
                    group.addTask {
                        let key = index < 4 ? Rows.key("same") : nil
                        let answer = try await store.createTimers([Rows.timer("c\(index)", due: 9)], key: key)
                        return index < 4 && answer != .repeated
                    }
                }
                var done = 0
                for try await isDone in group where isDone { done += 1 }
                #expect(done == 1)
            }
        }
    }

    @Test(arguments: StoreKind.available)
    func `the same request sent several times at once has its effect once`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let key = Rows.key("once", answer: [1])
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        let outcome = try await store.createSchedule(
                            Rows.schedule("a"), origin: Rows.origin(0, key: key))
                        if case .outcome(.created) = outcome { return true }
                        #expect(outcome == .repeated)
                        return false
                    }
                }
                var made = 0
                for try await isMade in group where isMade { made += 1 }
                #expect(made == 1)
            }
        }
    }

    @Test(arguments: StoreKind.available)
    func `every change leaves a line with who, why, before and after`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let first = try await store.createSchedule(Rows.schedule("a"), origin: Rows.origin(0))
            #expect(first != .repeated)
            let body = Rows.body("5 * * * *")
            _ = try await store.changeSchedule(
                namespace: "guest", name: "a", ScheduleChange(body: body), ifGeneration: nil,
                origin: Rows.origin(1, by: "token:x", reason: "why"))
            _ = try await store.deleteSchedule(
                namespace: "guest", name: "a", ifGeneration: nil, origin: Rows.origin(2))
            _ = try await store.createTimers([Rows.timer("t", due: 50)])
            _ = try await store.cancelTimer(namespace: "guest", name: "t", origin: Rows.origin(3))
            _ = try await store.cancelTimer(namespace: "guest", name: "t", origin: Rows.origin(4))
            _ = try await store.changeNamespace(
                "guest", .pause(until: nil), ifGeneration: nil, origin: Rows.origin(5))
            try await store.record(
                AuditEntry(
                    Rows.origin(6), namespace: "", object: .cluster, name: "ticker-1", action: .drain))
            let all = try await store.auditTrail(AuditFilter(), before: nil, limit: 100)
            #expect(all.map(\.action) == [.drain, .pause, .cancel, .delete, .replace, .create])
            let change = try #require(all.first { $0.action == .replace })
            #expect(change.by == "token:x" && change.reason == "why" && change.address == "192.0.2.1")
            #expect(change.before == Rows.body().document && change.after == body.document && change.generation == 2)
            #expect(change.at == Rows.at(1) && change.object == .schedule && change.name == "a")
            let named = AuditFilter(namespace: "guest", object: .schedule, name: "a", from: Rows.at(1), to: Rows.at(2))
            #expect(try await store.auditTrail(named, before: nil, limit: 100).map(\.action) == [.replace])
            let older = try await store.auditTrail(AuditFilter(), before: all[1].id, limit: 2)
            #expect(older.map(\.action) == [.cancel, .delete])
        }
    }
}
