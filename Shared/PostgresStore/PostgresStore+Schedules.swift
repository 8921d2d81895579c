import EscapementModel
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

extension PostgresRow {
    mutating func shard() throws(PostgresFailure) -> ShardID {
        guard let number = UInt16(exactly: try self.int()) else { throw .corrupt("the number of a shard") }
        return ShardID(number)
    }
}
