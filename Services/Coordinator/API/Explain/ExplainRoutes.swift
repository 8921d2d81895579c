import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Scheduling
import Store

extension APIServer {
    /// Owners of a shard looked at, the newest, between an occurrence's due time and its end.
    private static let ownersMax = 1000

    /// Why something happened, and whether everything did.
    var explainRoutes: [Route] {
        [
            Route(
                .get, "/v1/namespaces/{namespace}/schedules/{name}/explain", id: "explainSchedule",
                "Why a schedule fired, or did not, at an instant", needs: .read,
                query: [Route.Parameter("at", OpenAPI.instant, "The instant; required")],
                answers: [200: "Explanation"], handler: { try await self.explain($0) }),
            Route(
                .get, "/v1/namespaces/{namespace}/reconciliation", id: "reconcile",
                "Compares what should have fired with what is recorded, some schedules at a time, then timers",
                needs: .read,
                query: [
                    Route.Parameter("from", OpenAPI.instant, "Scheduled at or after; required"),
                    Route.Parameter("to", OpenAPI.instant, "Scheduled before; required"),
                    Route.Parameter("schedule", ["type": "string"], "Only this schedule"),
                    Route.Parameter(
                        "withoutJournal", ["type": "boolean"], "Do not look into the journal for what is missing"),
                    Route.Parameter("pageToken", ["type": "string"], "nextPageToken of the page before"),
                ], answers: [200: "Reconciliation"], handler: { try await self.reconcile($0) }),
        ]
    }

    private func explain(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let instant = query.instant("at")
        if instant == nil, query.faults.isEmpty { query.note("at", ProblemCode.missingField, "is required") }
        try query.finish()
        let name = call.parameter("name")
        let history = try await self.history(namespace: call.namespace, name: name)
        let view = self.view
        var explainer = Explainer(history: history, at: instant ?? view.now, now: view.now)
        let explanation: Explanation
        switch try explainer.rule(compile: view.compiled) {
        case .decided(let decided):
            let record = try await self.belatedRecord(history, at: explainer.at)
            explanation = record.map { explainer.belated($0) } ?? decided
        case .due(let occurrence, let version):
            if occurrence.due > view.now {
                explanation = explainer.ahead(occurrence)
            } else {
                explanation = try await self.past(occurrence, version, &explainer)
            }
        case .dueOnRecord:
            let search = RecordSearch(cluster: self.cluster, namespace: call.namespace, name: name)
            if let record = try await search.record(at: explainer.at) {
                explanation = explainer.recorded(record)
            } else {
                explanation = explainer.explanation(
                    .notDue, .notDue,
                    "No outcome is recorded for this instant, and the definition of that time is no longer kept.")
            }
        }
        return Answer.json(explanation.document(schedule: "\(call.namespace)/\(name)", at: explainer.at))
    }

    /// The record of an instant that a version named which had just ended; `nil` when there is none, or nobody knows.
    private func belatedRecord(_ history: ScheduleHistory, at instant: WallInstant) async throws -> JSONValue? {
        let next = WallInstant(milliseconds: instant.milliseconds + 1)
        let view = self.view
        guard instant <= view.now,
            try history.belated(from: instant, to: next, limit: 1000, compile: view.compiled).contains(instant)
        else { return nil }
        do {
            return try await RecordSearch(cluster: self.cluster, namespace: history.namespace, name: history.name)
                .record(at: instant)
        } catch let error as ClusterError where error.code == ClusterError.activationStoreUnavailable {
            return nil
        }
    }

    /// What explains a record: the definition of its time, and for what was late the owners of its shard.
    private func facts(
        _ record: JSONValue, _ occurrence: Occurrence, _ version: StoredSchedule
    ) async throws -> RecordedFacts {
        var facts = RecordedFacts(due: occurrence.due, version: version)
        guard Explainer.asksForOwnership(record, version),
            let settledAt = record["@timestamp"]?.stringValue.flatMap({ WallInstant(text: $0) }),
            let epoch = record["epoch"]?.integerValue
        else { return facts }
        let number = version.shard.rawValue
        let then = try await self.store.assignmentHistory(
            AssignmentFilter(kind: .shard, number: number, to: occurrence.due), before: nil, limit: 1)
        let after = WallInstant(milliseconds: occurrence.due.milliseconds + 1)
        let later = try await self.store.assignmentHistory(
            AssignmentFilter(kind: .shard, number: number, from: after, to: max(after, settledAt)), before: nil,
            limit: Self.ownersMax)
        facts.ownership = ShardOwnership(
            shard: version.shard, due: occurrence.due, then: then.first, later: later.reversed(),
            settledUnder: Epoch(UInt64(clamping: epoch)))
        return facts
    }

    private func past(
        _ occurrence: Occurrence, _ version: StoredSchedule, _ explainer: inout Explainer
    ) async throws -> Explanation {
        let search = RecordSearch(cluster: self.cluster, namespace: version.namespace, name: version.name)
        var storeTrouble: String?
        do {
            if let record = try await search.record(at: occurrence.scheduled) {
                return explainer.recorded(record, try await self.facts(record, occurrence, version))
            }
        } catch let error as ClusterError where error.code == ClusterError.activationStoreUnavailable {
            storeTrouble = error.detail
        }
        let journal = try await search.journal(of: occurrence, version)
        if case .answer(let record?, _, _) = journal {
            var facts = try await self.facts(record, occurrence, version)
            facts.absence = explainer.absence(of: occurrence, storeTrouble: storeTrouble)
            return explainer.recorded(record, facts)
        }
        if let blindness = Explainer.blindness(journal, storeTrouble: storeTrouble) { throw blindness }
        let number = version.shard.rawValue
        let then = try await self.store.assignmentHistory(
            AssignmentFilter(kind: .shard, number: number, to: occurrence.due), before: nil, limit: 1)
        let current = try await self.store.assignmentHistory(
            AssignmentFilter(kind: .shard, number: number), before: nil, limit: 1)
        var complaints: [String] = []
        do {
            let status = try JSONParser.parse(try await self.cluster.status())
            complaints = (status["warnings"]?.arrayValue ?? []).compactMap(\.stringValue)
        } catch let error as ClusterError {
            complaints = ["the cluster's status is unknown: \(error.detail)"]
        }
        return explainer.unrecorded(
            occurrence,
            Explainer.Circumstances(
                shard: version.shard, owner: then.first, current: current.first, complaints: complaints,
                journal: journal, storeTrouble: storeTrouble))
    }
}
