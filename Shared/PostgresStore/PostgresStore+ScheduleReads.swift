package import EscapementModel
package import Store

extension PostgresStore {
    package func schedule(namespace: String, name: String) async throws(StoreError) -> StoredSchedule? {
        let operation = "read schedule"
        let result = try await self.run(operation, self.schedules.find(.text(namespace), .text(name)))[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.first(StoredSchedule.init(row:))
        }
    }

    package func schedules(
        namespace: String, matching filter: ScheduleFilter, after: String?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule] {
        let operation = "list schedules"
        let tags = LabelTags.Query(filter.labels)
        let isPaused: PostgresValue = filter.state.map { .bool($0 == .paused) } ?? .null
        let call = self.schedules.list(
            .text(namespace), .text(after ?? ""), .text(filter.containing), .int(Int64(max(0, limit))),
            .texts(tags.required), .texts(tags.forbidden), .texts(tags.choices.map(\.tag)),
            .ints(tags.choices.map(\.group)), isPaused, .int(filter.at.milliseconds))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(StoredSchedule.init(row:)) }
    }

    package func versions(
        namespace: String, name: String, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [StoredSchedule] {
        let operation = "read versions"
        let call = self.schedules.versions(
            .text(namespace), .text(name), .int(before.map { Int64(clamping: $0) }), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(StoredSchedule.init(row:)) }
    }

    package func lives(namespace: String, name: String, limit: Int) async throws(StoreError) -> [ScheduleLife] {
        let operation = "read lives"
        let call = self.schedules.lives(.text(namespace), .text(name), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        let rows = try self.read(operation) { () throws(PostgresFailure) in
            try result.map { row throws(PostgresFailure) in
                let version = try StoredSchedule(row: &row)
                return (version: version, endedAt: try row.optionalInt().map { WallInstant(milliseconds: $0) })
            }
        }
        return ScheduleLife.grouping(rows)
    }

    package func countSchedules(at: WallInstant) async throws(StoreError) -> [ScheduleFilter.State: Int] {
        let operation = "count schedules"
        let result = try await self.run(operation, self.schedules.count(.int(at.milliseconds)))[0]
        let counts = try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in (all: Int(try row.int()), paused: Int(try row.int())) }
        }
        guard let counts else { return [:] }
        return [.active: counts.all - counts.paused, .paused: counts.paused]
    }

    package func scheduleNames(
        namespace: String, endedAfter: WallInstant, after: String?, limit: Int
    ) async throws(StoreError) -> [String] {
        let operation = "list names"
        let call = self.schedules.names(
            .text(namespace), .int(endedAfter.milliseconds), .text(after ?? ""), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            try result.map { row throws(PostgresFailure) in try row.text() }
        }
    }
}
