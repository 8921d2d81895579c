import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Scheduling
import Store

extension APIServer {
    /// Schedules of one answer; each costs a search or more.
    private static let reconciledAtOnce = 20
    /// Occurrences of one schedule that are compared; a longer stretch has to be asked for in parts.
    private static let occurrencesMax = 100_000
    /// Differences listed for one schedule; the counts are of all.
    private static let differencesMax = 1000
    /// How long a record may be on its way.
    private static let settlingTime = Duration.seconds(30)

    func reconcile(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let given = (query.instant("from"), query.instant("to"))
        let only = query.text("schedule")
        let token = query.text("pageToken")
        for (name, value) in [("from", given.0), ("to", given.1)] where value == nil && query.faults.isEmpty {
            query.note(name, ProblemCode.missingField, "is required")
        }
        if let from = given.0, let to = given.1, to <= from {
            query.note("to", ProblemCode.conflictingFields, "must be after from")
        }
        try query.finish()
        guard let from = given.0, let to = given.1 else { throw Problem.invalid(query.faults) }
        let after = try token.map { (token: String) throws(Problem) in try PageToken.key("c", token) }
        var names: [String] = []
        var next: String?
        if let only {
            names = [only]
        } else {
            let found = try await self.store.schedules(
                namespace: call.namespace, matching: ScheduleFilter(), after: after, limit: Self.reconciledAtOnce + 1)
            names = found.prefix(Self.reconciledAtOnce).map(\.name)
            if found.count > Self.reconciledAtOnce { next = names.last.map { PageToken.make("c", $0) } }
        }
        var items: [JSONValue] = []
        for name in names {
            items.append(try await self.reconcile(call.namespace, name, from: from, to: to))
        }
        return Answer.json(["items": .array(items), "nextPageToken": next.map { .string($0) } ?? .null])
    }

    private func reconcile(
        _ namespace: String, _ name: String, from: WallInstant, to: WallInstant
    ) async throws -> JSONValue {
        let history = try await self.history(namespace: namespace, name: name)
        let view = self.view
        let end = min(to, view.now)
        let expected = try history.expected(
            from: from, to: end, limit: Self.occurrencesMax + 1, compile: view.compiled
        ).map(\.occurrence)
        guard expected.count <= Self.occurrencesMax else {
            throw Problem.invalid([
                Problem.Fault(
                    .parameter("to"), ProblemCode.outOfRange,
                    "'\(name)' has more than \(Self.occurrencesMax) occurrences in this time; ask for a shorter one")
            ])
        }
        let search = RecordSearch(cluster: self.cluster, namespace: namespace, name: name)
        let records = try await search.records(from: from, to: end, limit: Self.occurrencesMax + 1)
        let result = Reconciliation(
            expected: expected, records: records, from: from, to: end,
            settledBefore: view.now.advanced(by: .zero - Self.settlingTime))
        return [
            "schedule": .string(name), "expected": .integer(result.expected), "recorded": .integer(result.recorded),
            "pending": .integer(result.pending), "differences": .integer(result.differences.count),
            "items": .array(
                result.differences.prefix(Self.differencesMax).map { difference in
                    [
                        "kind": .string(difference.kind.rawValue), "at": .string(difference.at.description),
                        "detail": .string(difference.detail),
                    ]
                }),
        ]
    }
}
