package import EscapementModel
package import Store

extension PostgresStore {
    package func establish(_ settings: ClusterSettings) async throws(StoreError) -> ClusterSettings {
        let operation = "establish cluster"
        var calls = [
            self.schedules.settle(
                .text(settings.cluster), .int(Int64(settings.shardCount)), .int(Int64(settings.laneCount))),
            self.schedules.settings(),
        ]
        calls += self.schedules.makeRows.map { $0() }
        calls.append(self.schedules.makeLeader())
        let results = try await self.retrying(operation) { () async throws(PostgresFailure) in
            try await self.leastBusy().run(calls)
        }
        let stored = try self.read(operation) { () throws(PostgresFailure) in
            try results[1].first { row throws(PostgresFailure) in
                ClusterSettings(
                    cluster: try row.text(), shardCount: Int(try row.int()), laneCount: Int(try row.int()))
            }
        }
        guard let stored else {
            throw StoreError(.corrupt, operation: operation, detail: "the settings are missing")
        }
        return stored
    }

    package func createSchedule(
        _ new: NewSchedule
    ) async throws(StoreError) -> CreateOutcome<StoredSchedule> {
        let operation = "create schedule"
        let body = new.body
        let call = self.schedules.create(
            .uid(new.uid), .int(Int64(new.shard.rawValue)), .text(new.namespace), .text(new.name),
            .int(new.createdAt.milliseconds), .text(new.createdBy), .int(Int64(body.kind.rawValue)),
            .bytes(body.when), .int(Int64(body.misfirePolicy)),
            try self.signed(body.misfireToleranceMilliseconds, operation),
            try self.signed(body.misfireWindowMilliseconds, operation), .int(Int64(body.misfireLimit)),
            .bytes(body.template), .bytes(body.document))
        for _ in 1...Self.attemptsMax {
            let result = try await self.run(operation, call)[0]
            let answer = try self.read(operation) { () throws(PostgresFailure) in
                try result.first { row throws(PostgresFailure) in
                    (hasShard: try row.bool(), revision: try row.optionalUnsigned())
                }
            }
            guard let answer, answer.hasShard else {
                throw StoreError(.refused, operation: operation, detail: "there is no shard \(new.shard)")
            }
            if let revision = answer.revision {
                return .created(StoredSchedule(new, revision: Revision(revision)))
            }
            if let live = try await self.schedule(namespace: new.namespace, name: new.name) {
                return live.body == new.body ? .duplicate(live) : .conflict(live)
            }
            // Deleted between the two statements: the name is free again.
        }
        throw StoreError(.contended, operation: operation, detail: "the name comes and goes")
    }

    package func schedule(namespace: String, name: String) async throws(StoreError) -> StoredSchedule? {
        let operation = "read schedule"
        let result = try await self.run(operation, self.schedules.find(.text(namespace), .text(name)))[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.first(StoredSchedule.init(row:))
        }
    }

    package func schedules(
        namespace: String, after: String?, containing: String?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule] {
        let operation = "list schedules"
        let call = self.schedules.list(
            .text(namespace), .text(after), .text(containing), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(StoredSchedule.init(row:)) }
    }

    package func deleteSchedule(
        namespace: String, name: String, ifGeneration: UInt64?, at: WallInstant
    ) async throws(StoreError) -> StoredSchedule? {
        let operation = "delete schedule"
        let generation: PostgresValue =
            if let ifGeneration { try self.signed(ifGeneration, operation) } else { .null }
        let call = self.schedules.end(.text(namespace), .text(name), generation, .int(at.milliseconds))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.first(StoredSchedule.init(row:))
        }
    }

    package func checkSchema() async throws(StoreError) -> SchemaState {
        let operation = "check schema"
        let statement = PostgresStatement("schema_version", "SELECT max(version) FROM schema_migration")
        let found: Int
        do throws(StoreError) {
            let result = try await self.run(operation, statement())[0]
            let newest: Int64?? = try self.read(operation) { () throws(PostgresFailure) -> Int64?? in
                try result.first { (row: inout PostgresRow) throws(PostgresFailure) -> Int64? in try row.optionalInt() }
            }
            found = Int((newest ?? nil) ?? 0)
        } catch {
            guard error.code == .schemaMismatch else { throw error }
            found = 0
        }
        let needed = Migration.latestVersion
        if found < needed { return .older(version: found, needed: needed) }
        return found > needed ? .newer(version: found, known: needed) : .current(version: found)
    }
}

extension StoredSchedule {
    /// Generation 1 of a new schedule.
    init(_ new: NewSchedule, revision: Revision) {
        self.init(
            uid: new.uid, shard: new.shard, namespace: new.namespace, name: new.name, generation: 1,
            createdRevision: revision, replaces: false, from: new.createdAt, endedRevision: nil, until: nil,
            createdAt: new.createdAt, createdBy: new.createdBy, updatedAt: new.createdAt, body: new.body)
    }

    /// Reads `ScheduleStatements.columns`.
    init(row: inout PostgresRow) throws(PostgresFailure) {
        let uid = try row.uid()
        let shard = try row.shard()
        let namespace = try row.text()
        let name = try row.text()
        let generation = try row.unsigned()
        let createdRevision = Revision(try row.unsigned())
        let replaces = try row.bool()
        let from = WallInstant(milliseconds: try row.int())
        let endedRevision = try row.optionalUnsigned().map { Revision($0) }
        let until = try row.optionalInt().map { WallInstant(milliseconds: $0) }
        let createdAt = WallInstant(milliseconds: try row.int())
        let createdBy = try row.text()
        let updatedAt = WallInstant(milliseconds: try row.int())
        guard let kind = UInt8(exactly: try row.int()).flatMap({ FireKind(rawValue: $0) }) else {
            throw .corrupt("the kind of a schedule")
        }
        let when = try row.bytes()
        guard let policy = UInt8(exactly: try row.int()) else { throw .corrupt("a misfire policy") }
        let tolerance = try row.unsigned()
        let window = try row.unsigned()
        guard let limit = UInt32(exactly: try row.int()) else { throw .corrupt("a misfire limit") }
        self.init(
            uid: uid, shard: shard, namespace: namespace, name: name, generation: generation,
            createdRevision: createdRevision, replaces: replaces, from: from, endedRevision: endedRevision,
            until: until, createdAt: createdAt, createdBy: createdBy, updatedAt: updatedAt,
            body: ScheduleBody(
                kind: kind, when: when, misfirePolicy: policy, misfireToleranceMilliseconds: tolerance,
                misfireWindowMilliseconds: window, misfireLimit: limit, template: try row.bytes(),
                document: try row.bytes()))
    }
}

extension PostgresRow {
    mutating func shard() throws(PostgresFailure) -> ShardID {
        guard let number = UInt16(exactly: try self.int()) else { throw .corrupt("the number of a shard") }
        return ShardID(number)
    }
}
