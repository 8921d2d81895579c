import EscapementModel
import Store

extension InMemoryContents {
    mutating func create(
        _ new: NewSchedule, origin: ChangeOrigin
    ) throws(StoreError) -> Keyed<CreateOutcome<StoredSchedule>> {
        guard self.admits(origin.key) else { return .repeated }
        if let current = self.currentSchedule(namespace: new.namespace, name: new.name) {
            return .outcome(current.body.saysSame(as: new.body) ? .duplicate(current) : .conflict(current))
        }
        let revision = try self.change(new.shard, operation: "createSchedule")
        let stored = StoredSchedule(
            new, namespacePause: self.namespaces[new.namespace]?.pause, revision: revision)
        self.versions.append(stored)
        self.current[Name(namespace: new.namespace, name: new.name)] = new.uid
        self.append(
            AuditEntry(
                origin, namespace: new.namespace, object: .schedule, name: new.name, action: .create, generation: 1,
                after: new.body.document))
        self.keep(origin.key)
        return .outcome(.created(stored))
    }

    private func currentIndex(namespace: String, name: String) -> Int? {
        guard let uid = self.current[Name(namespace: namespace, name: name)] else { return nil }
        return self.versions.lastIndex { $0.uid == uid }
    }

    func currentSchedule(namespace: String, name: String) -> StoredSchedule? {
        self.currentIndex(namespace: namespace, name: name).map { self.versions[$0] }
    }

    func currentSchedules(
        namespace: String, matching filter: ScheduleFilter, after: String?, limit: Int
    ) -> [StoredSchedule] {
        let names = self.current.keys.filter { name in
            name.namespace == namespace && (after.map { $0.utf8.lexicographicallyPrecedes(name.name.utf8) } ?? true)
        }
        let found = names.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
            .compactMap { self.currentSchedule(namespace: namespace, name: $0.name) }
        return Array(found.filter { filter.admits($0) }.prefix(max(0, limit)))
    }

    func countSchedules(at instant: WallInstant) -> [ScheduleFilter.State: Int] {
        let found = self.current.keys.compactMap { self.currentSchedule(namespace: $0.namespace, name: $0.name) }
        let paused = found.count { $0.isPaused(at: instant) }
        return [.active: found.count - paused, .paused: paused]
    }

    mutating func changeSchedule(
        namespace: String, name: String, _ change: ScheduleChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) throws(StoreError) -> ChangeOutcome<StoredSchedule> {
        guard self.admits(origin.key) else { return .repeated }
        guard let index = self.currentIndex(namespace: namespace, name: name) else { return .missing }
        let before = self.versions[index]
        if let ifGeneration, ifGeneration != before.generation { return .stale(current: before) }
        let pause = self.namespaces[namespace]?.pause
        guard before.successor(change, origin: origin, namespacePause: pause, revision: .none) != nil else {
            return .unchanged(before)
        }
        let revision = try self.change(before.shard, operation: "changeSchedule")
        guard let after = before.successor(change, origin: origin, namespacePause: pause, revision: revision) else {
            return .unchanged(before)
        }
        self.versions[index] = before.ended(at: origin.at, revision: revision)
        self.versions.append(after)
        self.append(
            AuditEntry(
                origin, namespace: namespace, object: .schedule, name: name, action: change.action,
                generation: after.generation, before: before.body.document, after: after.body.document))
        self.keep(origin.key)
        return .changed(before: before, after: after)
    }

    mutating func endSchedule(
        namespace: String, name: String, ifGeneration: UInt64?, origin: ChangeOrigin
    ) throws(StoreError) -> ChangeOutcome<StoredSchedule> {
        guard self.admits(origin.key) else { return .repeated }
        guard let index = self.currentIndex(namespace: namespace, name: name) else { return .missing }
        let before = self.versions[index]
        if let ifGeneration, ifGeneration != before.generation { return .stale(current: before) }
        let revision = try self.change(before.shard, operation: "deleteSchedule")
        self.versions[index] = before.ended(at: origin.at, revision: revision)
        self.current[Name(namespace: namespace, name: name)] = nil
        self.ended[before.uid] = origin.at
        self.append(
            AuditEntry(
                origin, namespace: namespace, object: .schedule, name: name, action: .delete,
                generation: before.generation, before: before.body.document))
        self.keep(origin.key)
        return .changed(before: before, after: self.versions[index])
    }

    func lives(namespace: String, name: String, limit: Int) -> [ScheduleLife] {
        func end(_ version: StoredSchedule) -> WallInstant { self.ended[version.uid] ?? .distantFuture }
        let found = self.versions.filter { $0.namespace == namespace && $0.name == name }.sorted { left, right in
            if left.uid == right.uid { return left.generation > right.generation }
            let ends = (end(left), end(right))
            if ends.0 != ends.1 { return ends.0 > ends.1 }
            return left.createdAt == right.createdAt ? left.uid < right.uid : left.createdAt > right.createdAt
        }
        return ScheduleLife.grouping(found.prefix(max(0, limit)).map { ($0, self.ended[$0.uid]) })
    }

    func scheduleNames(namespace: String, endedAfter: WallInstant, after: String?, limit: Int) -> [String] {
        let names = self.versions.filter { version in
            version.namespace == namespace && (self.ended[version.uid].map { $0 >= endedAfter } ?? true)
                && (after.map { $0.utf8.lexicographicallyPrecedes(version.name.utf8) } ?? true)
        }.map(\.name)
        return Array(Set(names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.prefix(max(0, limit)))
    }

    func allVersions(namespace: String, name: String, before: UInt64?, limit: Int) -> [StoredSchedule] {
        let key = Name(namespace: namespace, name: name)
        let last = self.versions.last { $0.namespace == namespace && $0.name == name }
        guard let uid = self.current[key] ?? last?.uid else { return [] }
        let found = self.versions.filter { version in
            version.uid == uid && (before.map { version.generation < $0 } ?? true)
        }
        return Array(found.sorted { $0.generation > $1.generation }.prefix(max(0, limit)))
    }
}
