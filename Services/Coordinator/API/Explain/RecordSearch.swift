import CoordinatorService
import EscapementModel
import JSON

/// Looks for activation records of one schedule.
struct RecordSearch: Sendable {
    let cluster: any ClusterGateway
    let namespace: String
    let name: String

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
    func records(from: WallInstant, to: WallInstant, limit: Int) async throws -> [JSONValue] {
        let before = try await self.page(from: nil, to: from, outcome: .skipped, size: Self.runsMax, token: nil).items
        var found = before.filter { Self.isOwn($0) && Self.covers($0, from) }
        var token: String?
        repeat {
            let page = try await self.page(from: from, to: to, outcome: nil, size: Self.pageSize, token: token)
            found += page.items.filter(Self.isOwn)
            token = page.next
        } while token != nil && found.count < limit
        return found
    }

    private func page(
        from: WallInstant?, to: WallInstant?, outcome: Outcome?, size: Int, token: String?
    ) async throws -> (items: [JSONValue], next: String?) {
        let query = JSONValue.record([
            "namespace": .string(self.namespace), "schedule": .string(self.name),
            "from": from.map { .string($0.description) }, "to": to.map { .string($0.description) },
            "outcome": outcome.map { .string($0.name) }, "pageSize": .integer(size),
            "pageToken": token.map { .string($0) },
        ])
        let answer = try JSONParser.parse(try await self.cluster.activations(query.bytes))
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
