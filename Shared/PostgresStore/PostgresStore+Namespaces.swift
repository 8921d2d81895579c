import EscapementModel
package import Store

extension PostgresStore {
    package func namespace(_ name: String) async throws(StoreError) -> NamespaceSettings {
        let operation = "read namespace"
        let result = try await self.run(operation, self.namespaces.find(.text(name)))[0]
        let found = try self.read(operation) { () throws(PostgresFailure) in
            try result.first(NamespaceSettings.init(row:))
        }
        return found ?? NamespaceSettings(namespace: name)
    }

    package func namespaces(after: String?, limit: Int) async throws(StoreError) -> [NamespaceSettings] {
        let operation = "list namespaces"
        let result = try await self.run(
            operation, self.namespaces.list(.text(after), .int(Int64(max(0, limit)))))[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.map(NamespaceSettings.init(row:))
        }
    }

    package func changeNamespace(
        _ name: String, _ change: NamespaceChange, ifGeneration: UInt64?, origin: ChangeOrigin
    ) async throws(StoreError) -> ChangeOutcome<NamespaceSettings> {
        let operation = "change namespace"
        if let key = origin.key, try await self.recall(key) != .unknown { return .repeated }
        for _ in 1...Self.attemptsMax {
            let before = try await self.namespace(name)
            if let ifGeneration, ifGeneration != before.generation { return .stale(current: before) }
            guard let after = before.successor(change, origin: origin) else { return .unchanged(before) }
            func limit(_ value: UInt64?) -> PostgresValue { .int(value.map { Int64(clamping: $0) }) }
            let values: [PostgresValue] = [
                .text(name), try self.signed(after.generation, operation), limit(after.quota.schedulesMax),
                limit(after.quota.pendingTimersMax), limit(after.quota.creationsPerSecondMax),
                limit(after.quota.payloadBytesMax), limit(after.quota.intervalMinMilliseconds),
                .int(after.pause?.since.milliseconds), .int(after.pause?.until?.milliseconds),
                .text(after.pause?.reason), .int(origin.at.milliseconds), .text(origin.by),
                .text(change.action.rawValue), .text(origin.address), .text(origin.reason),
            ]
            let call = PostgresCall(statement: self.namespaces.change, values: values + self.values(origin.key))
            guard let result = try await self.runKeyed(operation, key: origin.key, call) else { return .repeated }
            if result.rowCount > 0 { return .changed(before: before, after: after) }
        }
        throw StoreError(.contended, operation: operation, detail: "others change it all the time")
    }

    package func usage(of namespace: String, upTo limit: Int) async throws(StoreError) -> NamespaceUsage {
        let operation = "count usage"
        let result = try await self.run(
            operation, self.namespaces.usage(.text(namespace), .int(Int64(max(0, limit)))))[0]
        let usage = try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in
                NamespaceUsage(schedules: Int(try row.int()), pendingTimers: Int(try row.int()))
            }
        }
        return usage ?? NamespaceUsage(schedules: 0, pendingTimers: 0)
    }
}

extension NamespaceSettings {
    /// Reads the columns of `NamespaceStatements`.
    fileprivate init(row: inout PostgresRow) throws(PostgresFailure) {
        let name = try row.text()
        let generation = try row.unsigned()
        let quota = NamespaceQuota(
            schedulesMax: try row.optionalUnsigned(), pendingTimersMax: try row.optionalUnsigned(),
            creationsPerSecondMax: try row.optionalUnsigned(), payloadBytesMax: try row.optionalUnsigned(),
            intervalMinMilliseconds: try row.optionalUnsigned())
        let since = try row.optionalInt().map { WallInstant(milliseconds: $0) }
        let until = try row.optionalInt().map { WallInstant(milliseconds: $0) }
        let reason = try row.optionalText()
        self.init(
            namespace: name, generation: generation, quota: quota,
            pause: since.map { SchedulePause(scope: .namespace, since: $0, until: until, reason: reason) },
            updatedAt: try row.optionalInt().map { WallInstant(milliseconds: $0) },
            updatedBy: try row.optionalText())
    }
}
