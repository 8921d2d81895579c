import EscapementModel
import Store

// Namespaces, the audit trail, and answers to requests that may be repeated.
extension InMemoryContents {
    func namespace(_ name: String) -> NamespaceSettings {
        self.namespaces[name] ?? NamespaceSettings(namespace: name)
    }

    func allNamespaces(after: String?, limit: Int) -> [NamespaceSettings] {
        let names = Set(self.namespaces.keys).union(self.current.keys.map(\.namespace))
            .filter { name in after.map { $0.utf8.lexicographicallyPrecedes(name.utf8) } ?? true }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.prefix(max(0, limit))
            .map { self.namespace($0) }
    }

    mutating func changeNamespace(
        _ name: String, _ change: NamespaceChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) -> ChangeOutcome<NamespaceSettings> {
        guard self.admits(origin.key) else { return .repeated }
        let before = self.namespace(name)
        if let ifGeneration, ifGeneration != before.generation { return .stale(current: before) }
        guard let after = before.successor(change, origin: origin) else { return .unchanged(before) }
        self.namespaces[name] = after
        self.append(
            AuditEntry(
                origin, namespace: name, object: .namespace, name: name, action: change.action,
                generation: after.generation))
        self.keep(origin.key)
        return .changed(before: before, after: after)
    }

    mutating func settleNamespace(
        _ name: String, limit: Int, origin: ChangeOrigin, leaderEpoch: Epoch?
    ) throws(StoreError) -> [ShardID] {
        if let leaderEpoch, self.leader.epoch != leaderEpoch { return [] }
        var shards: [ShardID] = []
        let limit = min(limit, StoreRules.settledAtOnceMax)
        let schedules = self.currentSchedules(namespace: name, matching: ScheduleFilter(), after: nil, limit: .max)
        for schedule in schedules.sorted(by: { ($0.shard, $0.uid) < ($1.shard, $1.uid) }) where shards.count < limit {
            let outcome = try self.changeSchedule(
                namespace: name, name: schedule.name, ScheduleChange(), ifGeneration: nil, origin: origin)
            if case .changed = outcome { shards.append(schedule.shard) }
        }
        return shards
    }

    func usage(of namespace: String, upTo limit: Int) -> NamespaceUsage {
        NamespaceUsage(
            schedules: min(limit, self.current.keys.count { $0.namespace == namespace }),
            pendingTimers: self.pendingTimers(namespace: namespace, after: nil, limit: limit).count)
    }

    mutating func append(_ entry: AuditEntry) {
        var entry = entry
        entry.id = (self.audit.last?.id ?? 0) + 1
        self.audit.append(entry)
    }

    func auditTrail(_ filter: AuditFilter, before: UInt64?, limit: Int) -> [AuditEntry] {
        let found = self.audit.reversed().filter { entry in
            filter.admits(entry) && (before.map { entry.id < $0 } ?? true)
        }
        return Array(found.prefix(max(0, limit)))
    }

    /// Whether a request with `key` may have its effect.
    func admits(_ key: IdempotencyKey?) -> Bool { key.map { self.recall($0) == .unknown } ?? true }

    mutating func keep(_ key: IdempotencyKey?) {
        guard let key else { return }
        self.answers[Name(namespace: key.namespace, name: key.key)] = key
    }

    func recall(_ key: IdempotencyKey) -> KeyState {
        guard let stored = self.answers[Name(namespace: key.namespace, name: key.key)],
            key.at < stored.at.advanced(by: StoreRules.idempotencyRetention)
        else { return .unknown }
        if stored.digest != key.digest { return .otherRequest }
        return stored.answer.map { .answered($0) } ?? .unanswered(since: stored.at)
    }

    mutating func remember(_ answer: [UInt8], for key: IdempotencyKey) {
        let name = Name(namespace: key.namespace, name: key.key)
        guard self.answers[name]?.digest == key.digest, self.answers[name]?.answer == nil else { return }
        self.answers[name]?.answer = answer
    }
}
