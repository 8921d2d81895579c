package import EscapementModel
package import Store

/// Creating, changing and ending schedules.
///
/// What a change leads to is decided by `StoredSchedule.successor` from what was read; the statement writes it only
/// when the schedule is still at the generation that was read, else everything is done again.
extension PostgresStore {
    package func createSchedule(
        _ new: NewSchedule, origin: ChangeOrigin
    ) async throws(StoreError) -> Keyed<CreateOutcome<StoredSchedule>> {
        let operation = "create schedule"
        for _ in 1...Self.attemptsMax {
            if let key = origin.key, try await self.recall(key) != .unknown { return .repeated }
            let pause = try await self.namespace(new.namespace).pause
            let stored = StoredSchedule(new, namespacePause: pause, revision: .none)
            let call = PostgresCall(
                statement: self.schedules.create,
                values: try self.values(
                    stored, before: nil, action: .create, origin: origin, operation: operation))
            guard let result = try await self.runKeyed(operation, key: origin.key, call) else { return .repeated }
            let answer = try self.read(operation) { () throws(PostgresFailure) in
                try result.first { row throws(PostgresFailure) in
                    (hasShard: try row.bool(), revision: try row.optionalUnsigned())
                }
            }
            guard let answer, answer.hasShard else {
                throw StoreError(.refused, operation: operation, detail: "there is no shard \(new.shard)")
            }
            if let revision = answer.revision {
                return .outcome(
                    .created(StoredSchedule(new, namespacePause: pause, revision: Revision(revision))))
            }
            // The name may have been taken by the same request, sent twice at once.
            if let key = origin.key, try await self.recall(key) != .unknown { return .repeated }
            if let current = try await self.schedule(namespace: new.namespace, name: new.name) {
                return .outcome(current.body.saysSame(as: new.body) ? .duplicate(current) : .conflict(current))
            }
            // Deleted between the two statements: the name is free again.
        }
        throw StoreError(.contended, operation: operation, detail: "the name comes and goes")
    }

    package func changeSchedule(
        namespace: String, name: String, _ change: ScheduleChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<StoredSchedule> {
        let operation = "change schedule"
        for _ in 1...Self.attemptsMax {
            if let key = origin.key, try await self.recall(key) != .unknown { return .repeated }
            guard let before = try await self.schedule(namespace: namespace, name: name) else { return .missing }
            if let ifGeneration, ifGeneration != before.generation { return .stale(current: before) }
            let pause = try await self.namespace(namespace).pause
            func next(_ revision: Revision) -> StoredSchedule? {
                before.successor(change, origin: origin, namespacePause: pause, revision: revision)
            }
            guard let planned = next(.none) else { return .unchanged(before) }
            let call = try self.changing(before, to: planned, change.action, origin, nil, operation)
            guard let result = try await self.runKeyed(operation, key: origin.key, call) else { return .repeated }
            if let revision = try self.revision(in: result, operation), let after = next(revision) {
                return .changed(before: before, after: after)
            }
        }
        throw StoreError(.contended, operation: operation, detail: "others change it all the time")
    }

    package func deleteSchedule(
        namespace: String, name: String, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<StoredSchedule> {
        let operation = "delete schedule"
        for _ in 1...Self.attemptsMax {
            if let key = origin.key, try await self.recall(key) != .unknown { return .repeated }
            guard let before = try await self.schedule(namespace: namespace, name: name) else { return .missing }
            if let ifGeneration, ifGeneration != before.generation { return .stale(current: before) }
            let values: [PostgresValue] = [
                .uid(before.uid), .int(Int64(before.shard.rawValue)), .text(namespace), .text(name),
                try self.signed(before.generation, operation), .int(origin.at.milliseconds), .text(origin.by),
                .text(origin.address), .text(origin.reason), .bytes(before.body.document),
            ]
            let call = PostgresCall(statement: self.schedules.end, values: values + self.values(origin.key))
            guard let result = try await self.runKeyed(operation, key: origin.key, call) else { return .repeated }
            if let revision = try self.revision(in: result, operation) {
                return .changed(before: before, after: before.ended(at: origin.at, revision: revision))
            }
        }
        throw StoreError(.contended, operation: operation, detail: "others change it all the time")
    }

    package func settleNamespace(
        _ name: String, limit: Int, origin: ChangeOrigin, leaderEpoch: Epoch?
    ) async throws(StoreError) -> [ShardID] {
        let operation = "settle namespace"
        let pause = try await self.namespace(name).pause
        let holding = pause.flatMap { $0.holds(at: origin.at) ? $0 : nil }
        let query = self.schedules.outOfLine(
            .text(name), .int(origin.at.milliseconds), .bool(holding != nil), .int(holding?.until?.milliseconds),
            .text(holding?.reason), .int(Int64(max(0, min(limit, StoreRules.settledAtOnceMax)))))
        let found = try await self.run(operation, query)[0]
        let schedules = try self.read(operation) { () throws(PostgresFailure) in
            try found.map(StoredSchedule.init(row:))
        }
        var calls: [PostgresCall] = []
        var changed: [StoredSchedule] = []
        let change = ScheduleChange()
        for before in schedules {
            guard
                let after = before.successor(change, origin: origin, namespacePause: holding, revision: .none)
            else { continue }
            calls.append(
                try self.changing(
                    before, to: after, after.pause == nil ? .resume : .pause, origin, leaderEpoch, operation))
            changed.append(before)
        }
        guard !changed.isEmpty else { return [] }
        let shards = changed.map { Int64($0.shard.rawValue) }
        let locks = [
            self.schedules.lockMany(.ints(shards), .uids(changed.map(\.uid))),
            self.timers.lockShards(.ints(Array(Set(shards)).sorted())),
        ]
        let unit = locks + calls
        let results = try await self.retrying(operation) { () async throws(PostgresFailure) in
            try await self.leastBusy().run(unit)
        }
        // One that somebody else changed meanwhile has no row, and is looked at again by the next call.
        return zip(changed, results.dropFirst(locks.count)).filter { $1.rowCount > 0 }.map { $0.0.shard }
    }

    private func changing(
        _ before: StoredSchedule, to after: StoredSchedule, _ action: AuditAction, _ origin: ChangeOrigin,
        _ leaderEpoch: Epoch?, _ operation: String
    ) throws(StoreError) -> PostgresCall {
        let epoch = try leaderEpoch.map { epoch throws(StoreError) in try self.signed(epoch.rawValue, operation) }
        return PostgresCall(
            statement: self.schedules.change,
            values: try self.values(after, before: before, action: action, origin: origin, operation: operation)
                + [epoch ?? .int(Int64?.none)])
    }

    private func revision(
        in result: PostgresResult, _ operation: String
    ) throws(StoreError) -> Revision? {
        try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in Revision(try row.unsigned()) }
        }
    }

    /// The parameters of `ScheduleStatements.create` and `change`.
    private func values(
        _ version: StoredSchedule, before: StoredSchedule?, action: AuditAction, origin: ChangeOrigin,
        operation: String
    ) throws(StoreError) -> [PostgresValue] {
        let body = version.body
        let pause = version.pause
        let values: [PostgresValue] = [
            .uid(version.uid), .int(Int64(version.shard.rawValue)), .text(version.namespace), .text(version.name),
            try self.signed(version.generation, operation), .int(version.from.milliseconds), .bool(version.isEmpty),
            .int(version.updatedAt.milliseconds), .text(version.updatedBy), .text(version.changeReason),
            .int(Int64(body.kind.rawValue)), .bytes(body.when), .int(Int64(body.misfirePolicy)),
            try self.signed(body.misfireToleranceMilliseconds, operation),
            try self.signed(body.misfireWindowMilliseconds, operation), .int(Int64(body.misfireLimit)),
            .bytes(body.template), .bytes(body.document), .texts(LabelTags.tags(body.labels)),
            .int(pause.map { Int64($0.scope.rawValue) }), .int(pause?.since.milliseconds),
            .int(pause?.until?.milliseconds), .text(pause?.reason), .text(action.rawValue), .text(origin.address),
            .bytes(before?.body.document),
        ]
        return values + self.values(origin.key)
    }
}
