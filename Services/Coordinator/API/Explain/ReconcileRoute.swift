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
    /// Occurrences that are compared in one answer; a schedule that has more goes on in the next one.
    private static let occurrencesMax = 20_000
    /// Records that are read for them: there may be more than occurrences.
    private static let recordsMax = 5 * Self.occurrencesMax
    /// Differences listed for one schedule; the counts are of all.
    private static let differencesMax = 1000
    /// How long a record may be on its way.
    private static let settlingTime = Duration.seconds(30)
    /// Timers of one answer.
    private static let timersAtOnce = 1000
    /// How long an answer may ask the journal about what is missing, all its schedules together.
    static let journalTime = Duration.seconds(5)

    func reconcile(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let given = (query.instant("from"), query.instant("to"))
        let only = query.text("schedule")
        let token = query.text("pageToken")
        let asksJournal = !query.flag("withoutJournal")
        for (name, value) in [("from", given.0), ("to", given.1)] where value == nil && query.faults.isEmpty {
            query.note(name, ProblemCode.missingField, "is required")
        }
        if let from = given.0, let to = given.1, to <= from {
            query.note("to", ProblemCode.conflictingFields, "must be after from")
        }
        try query.finish()
        guard let from = given.0, let to = given.1 else { throw Problem.invalid(query.faults) }
        let end = min(to, self.view.now)
        let deadline = self.clocks.monotonicNow().advanced(by: asksJournal ? Self.journalTime : .zero)
        // First the schedules by name, each from its first occurrence on, then the timers by time; the token says where.
        var place = ReconciledPlace.after(nil)
        if let token {
            do throws(Problem) {
                place = try ReconciledPlace(token)
            } catch {
                let after = try PageToken.watermark(token)
                return try await self.reconcileTimers(
                    call.namespace, from: from, to: end, after: after, journalUntil: deadline)
            }
        }
        var items: [JSONValue] = []
        var left = Self.occurrencesMax
        /// Compares a schedule from `start` on; returns where it goes on when the answer is full.
        func add(_ name: String, _ start: WallInstant) async throws -> ReconciledPlace? {
            let part = try await self.reconciliation(
                call.namespace, name, from: start, to: end, limit: left, journalUntil: deadline)
            items.append(.object([JSONMember("schedule", .string(name))] + self.members(of: part.result)))
            left -= part.result.expected
            if let next = part.next { return .within(name, next) }
            return left > 0 ? nil : .after(name)
        }
        var next: ReconciledPlace?
        var last: String?
        switch place {
        case .within(let name, let start):
            next = try await add(name, start)
            last = name
        case .after(let name):
            last = name
            if let only { next = try await add(only, from) }
        }
        if only != nil {
            guard case .within? = next else { return Answer.json(["items": .array(items)]) }
            return Answer.json(["items": .array(items), "nextPageToken": .string(next?.token ?? "")])
        }
        if next == nil {
            let found = try await self.store.scheduleNames(
                namespace: call.namespace, endedAfter: from, after: last, limit: Self.reconciledAtOnce + 1)
            for name in found.prefix(Self.reconciledAtOnce) where next == nil {
                next = try await add(name, from)
                last = name
            }
            if next == nil, found.count > Self.reconciledAtOnce { next = .after(last) }
        }
        return Answer.json([
            "items": .array(items), "nextPageToken": .string(next?.token ?? PageToken.make(.start)),
        ])
    }

    /// What should have been settled of one name's schedules beside what is recorded: the oldest `limit` occurrences.
    ///
    /// - Parameter deadline: until when the journal may be asked about what is missing.
    /// - Returns: also from where on there are more; `nil` when that was all.
    func reconciliation(
        _ namespace: String, _ name: String, from: WallInstant, to: WallInstant, limit: Int = Self.occurrencesMax,
        journalUntil deadline: MonotonicInstant
    ) async throws -> (result: Reconciliation, next: WallInstant?) {
        let history = try await self.history(namespace: namespace, name: name)
        let view = self.view
        var expected = try history.expected(from: from, to: to, limit: limit + 1, compile: view.compiled)
        let next = expected.count > limit ? expected.last?.occurrence.scheduled : nil
        if next != nil { expected.removeLast() }
        let to = next ?? to
        let search = RecordSearch(cluster: self.cluster, namespace: namespace, name: name)
        let records = try await search.records(from: from, to: to, limit: Self.recordsMax)
        var result = Reconciliation(
            expected: expected.map(\.occurrence),
            belated: try history.belated(from: from, to: to, limit: limit, compile: view.compiled),
            records: records, from: from, to: to,
            settledBefore: view.now.advanced(by: .zero - Self.settlingTime))
        let versions = Dictionary(expected.map { ($0.occurrence.scheduled, $0) }) { first, _ in first }
        try await self.askJournal(of: &result, until: deadline) { difference in
            guard let (occurrence, version) = versions[difference.at] else { return .unsupported }
            return try await search.journal(of: occurrence, version)
        }
        return (result, next)
    }

    /// Timers that were not cancelled, while the store has them: for an hour after they were settled.
    private func reconcileTimers(
        _ namespace: String, from: WallInstant, to: WallInstant, after: Watermark,
        journalUntil deadline: MonotonicInstant
    ) async throws -> Response {
        let timers = try await self.store.timers(
            namespace: namespace, from: from, to: to, after: after, limit: Self.timersAtOnce)
        guard let first = timers.first, let last = timers.last else { return Answer.json(["items": []]) }
        let records = try await RecordSearch.timerRecords(
            self.cluster, namespace: namespace, from: first.due,
            to: WallInstant(milliseconds: last.due.milliseconds + 1), limit: Self.recordsMax)
        var result = Reconciliation(
            timers: timers, records: records, settledBefore: self.view.now.advanced(by: .zero - Self.settlingTime))
        let byName = Dictionary(timers.map { ($0.name, $0) }) { first, _ in first }
        try await self.askJournal(of: &result, until: deadline) { difference in
            guard let timer = difference.timer.flatMap({ byName[$0] }) else { return .unsupported }
            return try await RecordSearch(cluster: self.cluster, namespace: namespace, name: timer.name).journal(
                uid: timer.uid, shard: timer.shard, scheduled: timer.due, due: timer.due, kind: .delay)
        }
        let isMore = timers.count == Self.timersAtOnce
        return Answer.json([
            "items": .array([.object([JSONMember("timers", .integer(timers.count))] + self.members(of: result))]),
            "nextPageToken": isMore ? .string(PageToken.make(last.watermark)) : .null,
        ])
    }

    /// Adds to what is missing what the journal says of it, as far as time allows.
    private func askJournal(
        of result: inout Reconciliation, until deadline: MonotonicInstant,
        _ ask: (Reconciliation.Difference) async throws -> JournalFinding
    ) async throws {
        for index in result.differences.indices where result.differences[index].kind == .missing {
            guard self.clocks.monotonicNow() < deadline else { return }
            guard case .answer(let record?, _, _) = try await ask(result.differences[index]) else { continue }
            let outcome = record["outcome"]?.stringValue ?? "?"
            let kafka = record["kafka"].map { " to \(Explainer.place($0))" }
            result.differences[index].detail += "; the journal says: \(outcome)\(kafka ?? "")"
        }
    }

    private func members(of result: Reconciliation) -> [JSONMember] {
        let items = result.differences.prefix(Self.differencesMax).map { difference in
            JSONValue.record([
                "kind": .string(difference.kind.rawValue), "at": .string(difference.at.description),
                "timer": difference.timer.map { .string($0) }, "detail": .string(difference.detail),
            ])
        }
        return [
            JSONMember("expected", .integer(result.expected)), JSONMember("recorded", .integer(result.recorded)),
            JSONMember("pending", .integer(result.pending)),
            JSONMember("belated", .integer(result.belated)),
            JSONMember("differences", .integer(result.differences.count)), JSONMember("items", .array(items)),
        ]
    }
}

/// Where an audit of schedules goes on.
private enum ReconciledPlace {
    /// With the schedule after this name; `nil` for the first.
    case after(String?)
    /// With this schedule, from the instant on.
    case within(String, WallInstant)

    init(_ token: String) throws(Problem) {
        do throws(Problem) {
            self = .after(try PageToken.key("c", token))
        } catch {
            let parts = try PageToken.key("p", token).split(separator: " ", maxSplits: 1)
            guard parts.count == 2, let milliseconds = Int64(parts[0]) else { throw .badPageToken }
            self = .within(String(parts[1]), WallInstant(milliseconds: milliseconds))
        }
    }

    var token: String {
        switch self {
        case .after(let name): PageToken.make("c", name ?? "")
        case .within(let name, let instant): PageToken.make("p", "\(instant.milliseconds) \(name)")
        }
    }
}
