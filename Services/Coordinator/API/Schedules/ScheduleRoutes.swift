import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Scheduling
import Store

extension APIServer {
    /// Schedules: create, read, list, replace, merge, delete.
    var scheduleRoutes: [Route] {
        let collection = "/v1/namespaces/{namespace}/schedules"
        let item = "\(collection)/{name}"
        return [
            Route(
                .get, collection, id: "listSchedules", "Schedules in order of name", needs: .read,
                query: [
                    Route.Parameter("q", ["type": "string"], "Only names that hold this text"),
                    Route.Parameter("labelSelector", ["type": "string"], "As of Kubernetes: team=billing,!legacy"),
                    Route.Parameter("state", ["type": "string", "enum": ["active", "paused"]], "Only in this state"),
                ] + OpenAPI.paging, answers: [200: "ScheduleList"], handler: { try await self.listSchedules($0) }),
            Route(
                .post, collection, id: "createSchedule", "Creates a schedule", needs: .write,
                query: [OpenAPI.dryRun], body: "ScheduleInput", answers: [201: "Schedule", 200: "Schedule"],
                handler: { try await self.createSchedule($0) }),
            Route(
                .get, item, id: "getSchedule", "One schedule", needs: .read, answers: [200: "Schedule"],
                handler: { try await self.getSchedule($0) }),
            Route(
                .put, item, id: "putSchedule", "Creates or replaces a schedule", needs: .write,
                query: [OpenAPI.dryRun], body: "ScheduleInput", answers: [200: "Schedule", 201: "Schedule"],
                handler: { try await self.putSchedule($0) }),
            Route(
                .patch, item, id: "patchSchedule", "Merges into a schedule (RFC 7396)", needs: .write,
                query: [OpenAPI.dryRun], body: "SchedulePatch", bodyMediaType: "application/merge-patch+json",
                answers: [200: "Schedule"], handler: { try await self.patchSchedule($0) }),
            Route(
                .delete, item, id: "deleteSchedule", "Ends a schedule; its name is free again", needs: .write,
                query: [OpenAPI.dryRun], answers: [200: "Schedule"], handler: { try await self.deleteSchedule($0) }),
            Route(
                .get, "\(item)/upcoming", id: "listUpcoming", "The next fires of a schedule", needs: .read,
                query: [OpenAPI.count, Route.Parameter("from", OpenAPI.instant, "After this instant; now")],
                answers: [200: "FireList"], handler: { try await self.listUpcoming($0) }),
        ]
    }

    var view: ScheduleView { ScheduleView(zones: self.zones, programs: self.programs, now: self.clocks.wallNow()) }

    func shard(namespace: String, name: String) -> ShardID {
        ShardPlacement.shard(namespace: namespace, name: name, shardCount: self.settings.shardCount)
    }

    func answer(_ stored: StoredSchedule, status: Int = 200, isDeleted: Bool = false) throws -> WriteAnswer {
        WriteAnswer(
            status, try self.view.document(stored, isDeleted: isDeleted), etag: "\"\(stored.generation)\"",
            location: status == 201 ? "/v1/namespaces/\(stored.namespace)/schedules/\(stored.name)" : nil)
    }

    /// The current version of the path's schedule.
    func existing(_ call: APICall) async throws -> StoredSchedule {
        let name = call.parameter("name")
        guard let stored = try await self.store.schedule(namespace: call.namespace, name: name) else {
            throw Self.noSchedule(name, call.namespace)
        }
        return stored
    }

    static func noSchedule(_ name: String, _ namespace: String) -> Problem {
        .notFound("schedule '\(ObjectReader.clipped(name))' in the namespace '\(namespace)'")
    }

    // MARK: Reading

    /// The filters of lists and of what is done to many at once.
    func filter(_ query: inout QueryReader) -> ScheduleFilter {
        var filter = ScheduleFilter(containing: query.text("q"), at: self.clocks.wallNow())
        if let text = query.text("labelSelector") {
            do throws(LabelSelector.Fault) {
                filter.labels = try LabelSelector.parse(text)
            } catch {
                query.note("labelSelector", ProblemCode.invalidValue, error.detail)
            }
        }
        filter.state = query.word("state", ScheduleFilter.State.allCases.map(\.rawValue))
            .flatMap { ScheduleFilter.State(rawValue: $0) }
        return filter
    }

    private func listSchedules(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let filter = self.filter(&query)
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let after = try token.map { (token: String) throws(Problem) in try PageToken.key("s", token) }
        // One more than a page, to know whether there is another.
        let found = try await self.store.schedules(
            namespace: call.namespace, matching: filter, after: after, limit: size + 1)
        let view = self.view
        let items = try found.prefix(size).map { try view.document($0) }
        return Answer.json([
            "items": .array(items),
            "nextPageToken": found.count > size ? .string(PageToken.make("s", found[size - 1].name)) : .null,
        ])
    }

    private func getSchedule(_ call: APICall) async throws -> Response {
        let stored = try await self.existing(call)
        if call.knows("\"\(stored.generation)\"") {
            return Response(status: .notModified, headers: [.eTag: "\"\(stored.generation)\""])
        }
        return try self.answer(stored).response()
    }

    private func listUpcoming(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let count = query.integer("count", in: 1...self.settings.upcomingMax) ?? 20
        let from = query.instant("from")
        try query.finish()
        let stored = try await self.existing(call)
        let view = self.view
        let compiled = try view.compiled(stored)
        let list = FireList(
            compiled: compiled,
            occurrences: view.upcoming(compiled, of: stored, after: from ?? view.now, count: count))
        return Answer.json([
            "text": .string(compiled.text), "items": .array(list.documents), "warnings": .array(list.warnings),
        ])
    }

    // MARK: Creating

    private func createSchedule(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        let reading = try await self.reading(call)
        let repetition = try Repetition(call, body: bytes, now: reading.now)
        var generator = SystemRandomNumberGenerator()
        let drawn = repetition?.uid(0) ?? UID.random(using: &generator)
        let draft = try ScheduleDraft.read(try call.parse(bytes), name: nil, drawn: drawn, reading)
        let new = self.new(draft, call, reading)
        if call.isDryRun { return try self.answer(StoredSchedule(new, revision: .none)).response() }
        try await self.checkScheduleQuota(call.namespace)
        return try await self.once(repetition) { key in
            let origin = self.origin(call, at: reading.now, key: key)
            switch try await self.store.createSchedule(new, origin: origin) {
            case .outcome(.created(let stored)):
                self.cluster.changed(stored.shard)
                return .answered(try self.answer(stored, status: 201))
            case .outcome(.duplicate(let stored)): return .answered(try self.answer(stored))
            case .outcome(.conflict(let stored)): throw Self.nameTaken(stored.name)
            case .outcome(.withheld):
                throw StoreError(.corrupt, operation: "create schedule", detail: "one alone was withheld")
            case .repeated: return .repeated
            }
        }
    }

    func new(_ draft: ScheduleDraft, _ call: APICall, _ reading: DocumentReading) -> NewSchedule {
        NewSchedule(
            uid: draft.uid, shard: self.shard(namespace: call.namespace, name: draft.name), namespace: call.namespace,
            name: draft.name, createdAt: reading.now, createdBy: call.caller.identity,
            body: draft.body(namespace: call.namespace),
            pause: draft.paused == true
                ? SchedulePause(scope: .schedule, since: reading.now, until: nil, reason: "created paused") : nil)
    }

    static func nameTaken(_ name: String) -> Problem {
        Problem(
            409, Problem.Code.alreadyExists,
            "the schedule '\(name)' exists with other content; PUT replaces it, another name avoids it",
            faults: [.init(.pointer("/name"), Problem.Code.alreadyExists, "the name is taken")])
    }

    // MARK: Deleting

    private func deleteSchedule(_ call: APICall) async throws -> Response {
        let expected = try call.expectedGeneration()
        let stored = try await self.existing(call)
        if let expected, expected != stored.generation {
            throw Problem.staleETag("\"\(expected)\"", current: stored.generation)
        }
        if call.isDryRun { return try self.answer(stored).response() }
        let outcome = try await self.store.deleteSchedule(
            namespace: call.namespace, name: stored.name, ifGeneration: expected,
            origin: self.origin(call, at: self.clocks.wallNow(), key: nil))
        switch outcome {
        case .changed(_, let ended), .unchanged(let ended):
            self.cluster.changed(ended.shard)
            return try self.answer(ended, isDeleted: true).response()
        case .stale(let current): throw Problem.staleETag("\"\(expected ?? 0)\"", current: current.generation)
        case .missing, .repeated: throw Self.noSchedule(stored.name, call.namespace)
        }
    }
}
