import CoordinatorService
import EscapementModel
import JSON
import Scheduling
import Store

/// What the journal says of one occurrence.
enum JournalFinding: Sendable {
    /// Its record; whether its shard is settled beyond it, as far as is known; whether all that was written since it was
    /// due has been looked at.
    case answer(JSONValue?, isSettled: Bool?, isComplete: Bool)
    /// It cannot be read now, or no dispatcher could be asked.
    case unreadable(ClusterError)
    /// The dispatcher that was asked runs an older version.
    case unsupported
}

/// Looks for activation records of one schedule.
struct RecordSearch: Sendable {
    let cluster: any ClusterGateway
    let namespace: String
    /// `nil` for every one.
    let name: String?

    /// The kinds that a schedule's own occurrences have; triggers and backfills bear its name too.
    private static let ownKinds: Set<String> = ["cron", "interval", "at"]
    /// Runs of skipped occurrences looked at, before an instant.
    private static let runsMax = 20
    private static let pageSize = 1000

    /// The record of the occurrence at `instant`: its own, or that of a run of skipped ones that it belongs to.
    func record(at instant: WallInstant) async throws -> JSONValue? {
        let next = WallInstant(milliseconds: instant.milliseconds + 1)
        let exact = try await self.page(from: instant, to: next, outcome: nil, size: 10, token: nil).items
        if let own = exact.first(where: Self.isOwn) { return own }
        let runs = try await self.page(from: nil, to: next, outcome: .skipped, size: Self.runsMax, token: nil).items
        return runs.first { Self.isOwn($0) && Self.covers($0, instant) }
    }

    /// All own records scheduled in `from..<to`, and the run that began before and reaches into it; at most `limit`.
    ///
    /// - Throws: `ClusterError.activationStoreUnavailable` also when a dispatcher could only answer from memory.
    func records(from: WallInstant, to: WallInstant, limit: Int) async throws -> [JSONValue] {
        let before = try await self.page(
            from: nil, to: from, outcome: .skipped, size: Self.runsMax, token: nil, isWhole: true
        ).items
        var found = before.filter { Self.isOwn($0) && Self.covers($0, from) }
        var token: String?
        repeat {
            let page = try await self.page(
                from: from, to: to, outcome: nil, size: Self.pageSize, token: token, isWhole: true)
            found += page.items.filter(Self.isOwn)
            token = page.next
        } while token != nil && found.count < limit
        return found
    }

    /// Asks a dispatcher to look for the occurrence in the journal.
    func journal(of occurrence: Occurrence, _ version: StoredSchedule) async throws -> JournalFinding {
        try await self.journal(
            uid: version.uid, shard: version.shard, scheduled: occurrence.scheduled, due: occurrence.due,
            kind: version.body.kind)
    }

    func journal(
        uid: UID, shard: ShardID, scheduled: WallInstant, due: WallInstant, kind: FireKind
    ) async throws -> JournalFinding {
        let question: JSONValue = [
            // What an older dispatcher answers, which looks into the store only.
            "namespace": .string(self.namespace), "schedule": .string(self.name ?? ""), "pageSize": 1,
            "journal": [
                "shard": .integer(shard.rawValue), "uid": .string(uid.hex), "kind": .string(kind.name),
                "scheduledAt": .string(scheduled.description), "dueAt": .string(due.description),
            ],
        ]
        let answer: JSONValue
        do {
            answer = try JSONParser.parse(try await self.cluster.activations(question.bytes))
        } catch let error as ClusterError {
            return .unreadable(error)
        }
        guard let journal = answer["journal"] else { return .unsupported }
        return .answer(
            answer["items"]?[0], isSettled: journal["settled"]?.boolValue,
            isComplete: journal["complete"]?.boolValue == true)
    }

    /// All records of timers of the namespace scheduled in `from..<to`; at most `limit`.
    static func timerRecords(
        _ cluster: any ClusterGateway, namespace: String, from: WallInstant, to: WallInstant, limit: Int
    ) async throws -> [JSONValue] {
        let search = RecordSearch(cluster: cluster, namespace: namespace, name: nil)
        var found: [JSONValue] = []
        var token: String?
        repeat {
            let page = try await search.page(
                from: from, to: to, outcome: nil, kind: .delay, size: Self.pageSize, token: token, isWhole: true)
            found += page.items
            token = page.next
        } while token != nil && found.count < limit
        return found
    }

    private func page(
        from: WallInstant?, to: WallInstant?, outcome: Outcome?, kind: FireKind? = nil, size: Int, token: String?,
        isWhole: Bool = false
    ) async throws -> (items: [JSONValue], next: String?) {
        let query = JSONValue.record([
            "namespace": .string(self.namespace), "schedule": self.name.map { .string($0) },
            "kind": kind.map { .string($0.name) },
            "from": from.map { .string($0.description) }, "to": to.map { .string($0.description) },
            "outcome": outcome.map { .string($0.name) }, "pageSize": .integer(size),
            "pageToken": token.map { .string($0) },
        ])
        let answer = try JSONParser.parse(try await self.cluster.activations(query.bytes))
        if isWhole, answer["storeAvailable"] == false {
            throw ClusterError(
                ClusterError.activationStoreUnavailable, "the activation store is away; what is recorded cannot be told"
            )
        }
        return (answer["items"]?.arrayValue ?? [], answer["nextPageToken"]?.stringValue)
    }

    static func isOwn(_ record: JSONValue) -> Bool {
        record["kind"]?.stringValue.map { self.ownKinds.contains($0) } ?? false
    }

    /// Whether the record, perhaps of a run, stands for `instant`.
    static func covers(_ record: JSONValue, _ instant: WallInstant) -> Bool {
        guard let first = record["scheduled_at"]?.stringValue.flatMap({ WallInstant(text: $0) }) else { return false }
        let last = record["through_at"]?.stringValue.flatMap { WallInstant(text: $0) } ?? first
        return first <= instant && instant <= last
    }
}
