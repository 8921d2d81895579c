package import EscapementModel
package import Store

/// What tickers load. A row changes only once after it was made, by ending, and both changes carry the shard's revision;
/// counters move in commit order. So once a revision has been read, the state of a shard at that revision can be put
/// together by statements of their own: no transaction stays open while a page is on its way to a ticker.
extension PostgresStore {
    package func revisions() async throws(StoreError) -> [ShardID: Revision] {
        let operation = "read revisions"
        let result = try await self.run(operation, self.schedules.revisions())[0]
        return try self.read(operation) { () throws(PostgresFailure) in
            let pairs = try result.map { row throws(PostgresFailure) in
                (try row.shard(), Revision(try row.unsigned()))
            }
            return Dictionary(pairs) { first, _ in first }
        }
    }

    package func snapshot(
        of shard: ShardID, cursor: Cursor, horizon: WallInstant, page: @Sendable (ShardPage) async -> Bool
    ) async throws(StoreError) {
        let operation = "snapshot of shard"
        let result = try await self.run(operation, self.schedules.revision(.int(Int64(shard.rawValue))))[0]
        let revision = try self.read(operation) { () throws(PostgresFailure) in
            try result.first { row throws(PostgresFailure) in Revision(try row.unsigned()) }
        }
        guard let revision else {
            throw StoreError(.refused, operation: operation, detail: "there is no shard \(shard)")
        }
        let reader = SnapshotReader(
            store: self, shard: shard, revision: revision, cursor: cursor, horizon: horizon, operation: operation)
        // One page is held back, because only the last one may say that it is.
        var held = ShardPage(revision: revision, schedules: [], timers: [], last: false)
        func give(_ schedules: [StoredSchedule], _ timers: [StoredTimer]) async -> Bool {
            if !held.schedules.isEmpty || !held.timers.isEmpty, await !page(held) { return false }
            held.schedules = schedules
            held.timers = timers
            return true
        }
        var lastVersion: StoredSchedule?
        while let schedules = try await reader.schedules(after: lastVersion) {
            lastVersion = schedules.last
            guard await give(schedules.map { $0.asOf(revision) }, []) else { return }
        }
        // First what was due before the cursor's watermark and came after its revision, then what lies ahead.
        var after = Watermark.start
        while let timers = try await reader.lateTimers(after: after) {
            after = timers.last?.watermark ?? after
            guard await give([], timers.map { $0.asOf(revision) }) else { return }
        }
        after = cursor.delay
        while let timers = try await reader.timersAhead(after: after) {
            after = timers.last?.watermark ?? after
            guard await give([], timers.map { $0.asOf(revision) }) else { return }
        }
        held.last = true
        _ = await page(held)
    }

    package func changes(of shard: ShardID, after: Revision) async throws(StoreError) -> ShardPage {
        let operation = "changes of shard"
        let number = PostgresValue.int(Int64(shard.rawValue))
        let from = try self.signed(after.rawValue, operation)
        let extent = try await self.run(
            operation,
            self.schedules.extent(
                number, from, .int(Int64(StoreRules.changesPerPageMax)), .int(Int64(self.options.pageBytesMax))))[0]
        let range = try self.read(operation) { () throws(PostgresFailure) in
            try extent.first { row throws(PostgresFailure) in
                (current: try row.unsigned(), cut: try row.optionalUnsigned(), first: try row.optionalUnsigned())
            }
        }
        guard let range else {
            throw StoreError(.refused, operation: operation, detail: "there is no shard \(shard)")
        }
        // A revision is given whole or not at all, and the first one always.
        let through = range.cut.map { max($0 - 1, range.first ?? 0) } ?? range.current
        let to = try self.signed(through, operation)
        let revision = Revision(through)
        let results = try await self.run(
            operation, self.schedules.changed(number, from, to), self.timers.changed(number, from, to))
        return try self.read(operation) { () throws(PostgresFailure) in
            ShardPage(
                revision: revision,
                schedules: try results[0].map(StoredSchedule.init(row:)).map { $0.asOf(revision) },
                timers: try results[1].map(StoredTimer.init(row:)).map { $0.asOf(revision) },
                last: through == range.current)
        }
    }

    package func timers(
        of shard: ShardID, after: Watermark, through: WallInstant, limit: Int
    ) async throws(StoreError) -> [StoredTimer] {
        let operation = "timers of shard"
        let call = self.timers.upcoming(
            .int(Int64(shard.rawValue)), .int(after.instant.milliseconds), .uid(after.tie),
            .int(through.milliseconds), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(StoredTimer.init(row:)) }
    }

    package func removeSettled(limit: Int, leaderEpoch: Epoch) async throws(StoreError) -> Int {
        let operation = "remove settled"
        let grace = PostgresValue.int(StoreRules.settledGrace.wholeMilliseconds)
        let epoch = try self.signed(leaderEpoch.rawValue, operation)
        var left = max(0, limit)
        let fired = try await self.run(operation, self.timers.removeFired(grace, .int(Int64(left)), epoch))[0]
        left -= fired.changedCount
        let cancelled = try await self.run(operation, self.timers.removeCancelled(grace, .int(Int64(left)), epoch))[0]
        left -= cancelled.changedCount
        let retention = PostgresValue.int(StoreRules.endedVersionRetention.wholeMilliseconds)
        let versions = try await self.run(
            operation, self.schedules.removeVersions(retention, .int(Int64(left)), epoch),
            self.schedules.removeEnded(retention, epoch))[0]
        left -= versions.changedCount
        let rows = PostgresValue.int(Int64(max(0, limit)))
        let others = try await self.run(
            operation, self.audit.removeKeys(.int(StoreRules.idempotencyRetention.wholeMilliseconds), rows, epoch),
            self.audit.removeLines(.int(StoreRules.auditRetention.wholeMilliseconds), rows, epoch),
            self.audit.removeAssignments(.int(StoreRules.assignmentRetention.wholeMilliseconds), rows, epoch))
        return max(max(0, limit) - left, others.map(\.changedCount).max() ?? 0)
    }
}

/// Reads the parts of one snapshot. Each `nil` means that part is at its end.
private struct SnapshotReader {
    var store: PostgresStore
    var shard: ShardID
    var revision: Revision
    var cursor: Cursor
    var horizon: WallInstant
    var operation: String

    private var rows: PostgresValue { .int(Int64(self.store.options.pageRowsMax)) }
    private var bytes: PostgresValue { .int(Int64(self.store.options.pageBytesMax)) }

    func schedules(after last: StoredSchedule?) async throws(StoreError) -> [StoredSchedule]? {
        let settledBefore = self.cursor.cron.instant.advanced(by: .zero - StoreRules.jitterMax)
        let call = self.store.schedules.page(
            .int(Int64(self.shard.rawValue)), try self.store.signed(self.revision.rawValue, self.operation),
            try self.store.signed(self.cursor.revision.rawValue, self.operation), .int(settledBefore.milliseconds),
            .uid(last?.uid ?? .zero), .int(Int64(clamping: last?.generation ?? 0)), self.rows, self.bytes)
        let result = try await self.store.run(self.operation, call)[0]
        let schedules = try self.store.read(self.operation) { () throws(PostgresFailure) in
            try result.map(StoredSchedule.init(row:))
        }
        return schedules.isEmpty ? nil : schedules
    }

    func lateTimers(after: Watermark) async throws(StoreError) -> [StoredTimer]? {
        try await self.timers(
            self.store.timers.pageLate, watermark: self.cursor.delay,
            [.int(after.instant.milliseconds), .uid(after.tie)])
    }

    func timersAhead(after: Watermark) async throws(StoreError) -> [StoredTimer]? {
        try await self.timers(self.store.timers.pageAhead, watermark: after, [])
    }

    private func timers(
        _ statement: PostgresStatement, watermark: Watermark, _ rest: [PostgresValue]
    ) async throws(StoreError) -> [StoredTimer]? {
        let values: [PostgresValue] = [
            .int(Int64(self.shard.rawValue)), try self.store.signed(self.revision.rawValue, self.operation),
            try self.store.signed(self.cursor.revision.rawValue, self.operation),
            .int(watermark.instant.milliseconds), .uid(watermark.tie), .int(self.horizon.milliseconds), self.rows,
            self.bytes,
        ]
        let result = try await self.store.run(
            self.operation, PostgresCall(statement: statement, values: values + rest))[0]
        let timers = try self.store.read(self.operation) { () throws(PostgresFailure) in
            try result.map(StoredTimer.init(row:))
        }
        return timers.isEmpty ? nil : timers
    }
}
