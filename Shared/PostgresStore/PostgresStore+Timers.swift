package import EscapementModel
package import Store

extension PostgresStore {
    package func createTimers(
        _ new: [NewTimer], key: IdempotencyKey?, isAtomic: Bool
    ) async throws(StoreError) -> Keyed<[CreateOutcome<StoredTimer>]> {
        guard !new.isEmpty else { return .outcome([]) }
        guard new.count <= StoreRules.timersPerRequestMax else {
            throw StoreError(.refused, operation: Self.creating, detail: "too many timers in one request")
        }
        if let key, new.contains(where: { $0.namespace != key.namespace }) {
            throw StoreError(.refused, operation: Self.creating, detail: "the key is of another namespace")
        }
        let answer = await withCheckedContinuation { (continuation: CheckedContinuation<TimerQueue.Answer, Never>) in
            let request = TimerQueue.Request(timers: new, key: key, isAtomic: isAtomic, completion: continuation)
            switch self.timerQueue.add(request) {
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
        return try answer.get()
    }

    private static let creating = "create timers"

    private func writeTimers() async {
        while true {
            let requests = self.timerQueue.next()
            if requests.isEmpty { return }
            for (request, answer) in zip(requests, await self.answers(to: requests)) {
                request.completion.resume(returning: answer)
            }
        }
    }

    private func answers(to requests: [TimerQueue.Request]) async -> [TimerQueue.Answer] {
        do throws(StoreError) {
            return try await self.insertTimers(requests).map { .success($0) }
        } catch {
            guard error.code == .refused else { return requests.map { _ in .failure(error) } }
            if requests.count == 1 {
                return [requests[0].isAtomic ? await self.withheld(requests[0], error) : .failure(error)]
            }
            // One of them is at fault; the others must not suffer for it.
            var alone: [TimerQueue.Answer] = []
            for request in requests { alone += await self.answers(to: [request]) }
            return alone
        }
    }

    /// Why an atomic request was refused: which of its names are taken. The error, when none is.
    private func withheld(_ request: TimerQueue.Request, _ error: StoreError) async -> TimerQueue.Answer {
        do throws(StoreError) {
            if let key = request.key, try await self.recall(key) != .unknown { return .success(.repeated) }
            let found = try await self.findTimers(request.timers)
            var firsts: [TimerName: NewTimer] = [:]
            let outcomes = request.timers.map { timer -> CreateOutcome<StoredTimer> in
                let name = TimerName(timer)
                if let row = found[name] {
                    return row.digest == timer.contentDigest ? .duplicate(row.timer) : .conflict(row.timer)
                }
                guard let first = firsts[name] else {
                    firsts[name] = timer
                    return .withheld
                }
                return first.contentDigest == timer.contentDigest
                    ? .withheld : .conflict(StoredTimer(first, revision: .none))
            }
            let isExplained = outcomes.contains { if case .conflict = $0 { true } else { false } }
            return isExplained ? .success(.outcome(outcomes)) : .failure(error)
        } catch {
            return .failure(error)
        }
    }

    /// One transaction for all that are new, then a look at those whose names were taken; one answer for each request.
    private func insertTimers(
        _ requests: [TimerQueue.Request]
    ) async throws(StoreError) -> [Keyed<[CreateOutcome<StoredTimer>]>] {
        let new = requests.flatMap { request in request.timers.map { (timer: $0, key: request.key) } }
        var outcomes = [CreateOutcome<StoredTimer>?](repeating: nil, count: new.count)
        var open = Array(new.indices)
        let whole = requests.filter(\.isAtomic).flatMap(\.timers)
        let first = try await self.insert(new.map { $0 }, keys: requests.compactMap(\.key), whole: whole)
        // In later rounds the keys are ours already.
        var made = first.made
        let repeated = Set(requests.compactMap(\.key).map { KeyName($0) }).subtracting(first.keys)
        open.removeAll { index in new[index].key.map { repeated.contains(KeyName($0)) } ?? false }
        for _ in 1...Self.attemptsMax {
            var taken: [Int] = []
            var used: Set<UID> = []
            for index in open {
                // Of equal names in one call the first was inserted; a later one may even have its uid.
                let timer = new[index].timer
                if let revision = made[timer.uid], used.insert(timer.uid).inserted {
                    outcomes[index] = .created(StoredTimer(timer, revision: revision))
                } else {
                    taken.append(index)
                }
            }
            guard !taken.isEmpty else { break }
            let found = try await self.findTimers(taken.map { new[$0].timer })
            for index in taken {
                // Missing: removed between the two transactions, so the name is free again.
                guard let row = found[TimerName(new[index].timer)] else { continue }
                outcomes[index] =
                    row.digest == new[index].timer.contentDigest ? .duplicate(row.timer) : .conflict(row.timer)
            }
            open = open.filter { outcomes[$0] == nil }
            if open.isEmpty { break }
            made = try await self.insert(open.map { (timer: new[$0].timer, key: nil) }, keys: [], whole: []).made
        }
        var rest = outcomes[...]
        return try requests.map { request throws(StoreError) in
            let own = rest.prefix(request.timers.count)
            rest = rest.dropFirst(request.timers.count)
            if let key = request.key, repeated.contains(KeyName(key)) { return .repeated }
            return .outcome(
                try own.map { outcome throws(StoreError) in
                    guard let outcome else {
                        throw StoreError(.contended, operation: Self.creating, detail: "a name comes and goes")
                    }
                    return outcome
                })
        }
    }

    /// - Parameter whole: fails as refused, and stores nothing, unless all of these are there with their content
    ///   afterwards.
    private func insert(
        _ new: [(timer: NewTimer, key: IdempotencyKey?)], keys: [IdempotencyKey], whole: [NewTimer]
    ) async throws(StoreError) -> (made: [UID: Revision], keys: Set<KeyName>) {
        let timers = new.map(\.timer)
        let shards = timers.map { Int64(ShardPlacement.shard(ofTimer: $0.uid).rawValue) }
        let expiries = try timers.map { timer throws(StoreError) in
            guard let value = Int64(exactly: timer.expireAfterMilliseconds) else {
                throw StoreError(.refused, operation: Self.creating, detail: "a duration is above 2^63 - 1 ms")
            }
            return value
        }
        var calls = [
            self.timers.lockShards(.ints(Array(Set(shards)).sorted())),
            self.timers.insert(
                .ints(shards), .uids(timers.map(\.uid)), .texts(timers.map(\.namespace)), .texts(timers.map(\.name)),
                .ints(timers.map(\.due.milliseconds)), .ints(expiries), .blobs(timers.map(\.template)),
                .blobs(timers.map(\.document)), .blobs(timers.map(\.contentDigest)),
                .ints(timers.map(\.createdAt.milliseconds)), .texts(timers.map(\.createdBy)),
                .texts(new.map { $0.key?.key }), .texts(keys.map(\.namespace)), .texts(keys.map(\.key)),
                .blobs(keys.map(\.digest)), .ints(keys.map(\.at.milliseconds)), .blobs(keys.map(\.answer)),
                .int(StoreRules.idempotencyRetention.wholeMilliseconds)),
        ]
        if !whole.isEmpty {
            calls.append(
                self.timers.insistAll(
                    .texts(whole.map(\.namespace)), .texts(whole.map(\.name)), .blobs(whole.map(\.contentDigest))))
        }
        let results = try await self.run(Self.creating, calls)
        return try self.read(Self.creating) { () throws(PostgresFailure) in
            var made: [UID: Revision] = [:]
            var fresh: Set<KeyName> = []
            for index in 0..<results[1].rowCount {
                var row = results[1].row(index)
                let uid = try row.optionalUID()
                let revision = try row.optionalUnsigned()
                if let uid, let revision {
                    made[uid] = Revision(revision)
                } else {
                    fresh.insert(KeyName(namespace: try row.text(), key: try row.text()))
                }
            }
            return (made, fresh)
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

    package func timers(
        namespace: String, from: WallInstant, to: WallInstant, after: Watermark?, limit: Int
    ) async throws(StoreError) -> [StoredTimer] {
        let operation = "list due timers"
        let after = after ?? .start
        let call = self.timers.due(
            .text(namespace), .int(from.milliseconds), .int(to.milliseconds), .int(after.instant.milliseconds),
            .uid(after.tie), .int(Int64(max(0, limit))))
        let result = try await self.run(operation, call)[0]
        return try self.read(operation) { () throws(PostgresFailure) in try result.map(StoredTimer.init(row:)) }
    }

    package func cancelTimer(
        namespace: String, name: String, origin: ChangeOrigin
    ) async throws(StoreError) -> StoredTimer? {
        let operation = "cancel timer"
        let call = self.timers.cancel(
            .text(namespace), .text(name), .int(origin.at.milliseconds), .text(origin.by), .text(origin.address),
            .text(origin.reason))
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
