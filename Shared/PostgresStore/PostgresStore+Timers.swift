package import EscapementModel
package import Store

extension PostgresStore {
    package func createTimers(_ new: [NewTimer]) async throws(StoreError) -> [CreateOutcome<StoredTimer>] {
        guard !new.isEmpty else { return [] }
        guard new.count <= StoreRules.timersPerRequestMax else {
            throw StoreError(.refused, operation: Self.creating, detail: "too many timers in one request")
        }
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<[CreateOutcome<StoredTimer>], StoreError>, Never>) in
            switch self.timerQueue.add(TimerQueue.Request(timers: new, completion: continuation)) {
            case .refused:
                continuation.resume(
                    returning: .failure(
                        StoreError(.unavailable, operation: Self.creating, detail: "too many timers wait already")))
            case .queued: break
            case .queuedForNewWriter:
                // Ends by itself when nothing waits any more; every failure goes to the requests it concerns.
                Task { await self.writeTimers() }
            }
        }
        return try result.get()
    }

    private static let creating = "create timers"

    private func writeTimers() async {
        while true {
            let requests = self.timerQueue.next()
            if requests.isEmpty { return }
            let outcome = await self.attempt(requests.flatMap(\.timers))
            switch outcome {
            case .success(let outcomes):
                var rest = outcomes[...]
                for request in requests {
                    request.completion.resume(returning: .success(Array(rest.prefix(request.timers.count))))
                    rest = rest.dropFirst(request.timers.count)
                }
            case .failure(let error) where error.code == .refused && requests.count > 1:
                // One of them is at fault; the others must not suffer for it.
                for request in requests {
                    request.completion.resume(returning: await self.attempt(request.timers))
                }
            case .failure(let error):
                for request in requests { request.completion.resume(returning: .failure(error)) }
            }
        }
    }

    private func attempt(_ new: [NewTimer]) async -> Result<[CreateOutcome<StoredTimer>], StoreError> {
        do throws(StoreError) {
            return .success(try await self.insertTimers(new))
        } catch {
            return .failure(error)
        }
    }

    /// One transaction for all that are new, then a look at those whose names were taken.
    private func insertTimers(_ new: [NewTimer]) async throws(StoreError) -> [CreateOutcome<StoredTimer>] {
        var outcomes = [CreateOutcome<StoredTimer>?](repeating: nil, count: new.count)
        for _ in 1...Self.attemptsMax {
            let open = outcomes.indices.filter { outcomes[$0] == nil }
            if open.isEmpty { break }
            let revisions = try await self.insert(open.map { new[$0] })
            var taken: [Int] = []
            var used: Set<UID> = []
            for index in open {
                // Of equal names in one call the first was inserted; a later one may even have its uid.
                if let revision = revisions[new[index].uid], used.insert(new[index].uid).inserted {
                    outcomes[index] = .created(StoredTimer(new[index], revision: revision))
                } else {
                    taken.append(index)
                }
            }
            guard !taken.isEmpty else { break }
            let found = try await self.findTimers(taken.map { new[$0] })
            for index in taken {
                // Missing: removed between the two transactions, so the name is free again.
                guard let row = found[TimerName(new[index])] else { continue }
                outcomes[index] =
                    row.digest == new[index].contentDigest ? .duplicate(row.timer) : .conflict(row.timer)
            }
        }
        return try outcomes.map { outcome throws(StoreError) in
            guard let outcome else {
                throw StoreError(.contended, operation: Self.creating, detail: "a name comes and goes")
            }
            return outcome
        }
    }

    private func insert(_ new: [NewTimer]) async throws(StoreError) -> [UID: Revision] {
        let shards = new.map { Int64(ShardPlacement.shard(ofTimer: $0.uid).rawValue) }
        let expiries = try new.map { timer throws(StoreError) in
            guard let value = Int64(exactly: timer.expireAfterMilliseconds) else {
                throw StoreError(.refused, operation: Self.creating, detail: "a duration is above 2^63 - 1 ms")
            }
            return value
        }
        let results = try await self.run(
            Self.creating, self.timers.lockShards(.ints(Array(Set(shards)).sorted())),
            self.timers.insert(
                .ints(shards), .uids(new.map(\.uid)), .texts(new.map(\.namespace)), .texts(new.map(\.name)),
                .ints(new.map(\.due.milliseconds)), .ints(expiries), .blobs(new.map(\.template)),
                .blobs(new.map(\.document)), .blobs(new.map(\.contentDigest)),
                .ints(new.map(\.createdAt.milliseconds)), .texts(new.map(\.createdBy))))
        return try self.read(Self.creating) { () throws(PostgresFailure) in
            let pairs = try results[1].map { row throws(PostgresFailure) in
                (try row.uid(), Revision(try row.unsigned()))
            }
            return Dictionary(pairs) { first, _ in first }
        }
    }

    private func findTimers(
        _ new: [NewTimer]
    ) async throws(StoreError) -> [TimerName: (timer: StoredTimer, digest: [UInt8])] {
        let names = Array(Set(new.map { TimerName($0) }))
        let result = try await self.run(
            Self.creating, self.timers.findMany(.texts(names.map(\.namespace)), .texts(names.map(\.name))))[0]
        return try self.read(Self.creating) { () throws(PostgresFailure) in
            let rows = try result.map { row throws(PostgresFailure) in
                (timer: try StoredTimer(row: &row), digest: try row.bytes())
            }
            return Dictionary(rows.map { (TimerName($0.timer), $0) }) { first, _ in first }
        }
    }

    package func timer(namespace: String, name: String) async throws(StoreError) -> StoredTimer? {
        let operation = "read timer"
        let result = try await self.run(operation, self.timers.find(.text(namespace), .text(name)))[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.first(StoredTimer.init(row:)) }
    }

    package func timers(
        namespace: String, after: Watermark?, limit: Int
    ) async throws(StoreError) -> [StoredTimer] {
        let operation = "list timers"
        let after = after ?? .start
        let call = self.timers.list(
            .text(namespace), .int(after.instant.milliseconds), .uid(after.tie), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(StoredTimer.init(row:)) }
    }

    package func cancelTimer(
        namespace: String, name: String, at: WallInstant
    ) async throws(StoreError) -> StoredTimer? {
        let operation = "cancel timer"
        let call = self.timers.cancel(.text(namespace), .text(name), .int(at.milliseconds))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.first(StoredTimer.init(row:)) }
    }
}

private struct TimerName: Hashable {
    var namespace: String
    var name: String

    init(_ timer: NewTimer) {
        self.namespace = timer.namespace
        self.name = timer.name
    }

    init(_ timer: StoredTimer) {
        self.namespace = timer.namespace
        self.name = timer.name
    }
}

extension StoredTimer {
    init(_ new: NewTimer, revision: Revision) {
        self.init(
            uid: new.uid, shard: ShardPlacement.shard(ofTimer: new.uid), namespace: new.namespace, name: new.name,
            revision: revision, due: new.due, endedRevision: nil,
            expireAfterMilliseconds: new.expireAfterMilliseconds, template: new.template, document: new.document,
            createdAt: new.createdAt, createdBy: new.createdBy)
    }

    /// Reads `TimerStatements.columns`.
    init(row: inout PostgresRow) throws(PostgresFailure) {
        let uid = try row.uid()
        let shard = try row.shard()
        let namespace = try row.text()
        let name = try row.text()
        let revision = Revision(try row.unsigned())
        let due = WallInstant(milliseconds: try row.int())
        let endedRevision = try row.optionalUnsigned().map { Revision($0) }
        let expireAfter = try row.unsigned()
        let template = try row.bytes()
        let document = try row.bytes()
        self.init(
            uid: uid, shard: shard, namespace: namespace, name: name, revision: revision, due: due,
            endedRevision: endedRevision, expireAfterMilliseconds: expireAfter, template: template,
            document: document, createdAt: WallInstant(milliseconds: try row.int()), createdBy: try row.text())
    }
}
