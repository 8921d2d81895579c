import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Scheduling
import Store

extension APIServer {
    /// Schedules: create, read, list, delete.
    var scheduleRoutes: [Route] {
        let collection = "/v1/namespaces/{namespace}/schedules"
        let item = "\(collection)/{name}"
        return [
            Route(
                .get, collection, id: "listSchedules", "Schedules in order of name", needs: .read,
                query: [Route.Parameter("q", ["type": "string"], "Only names that hold this text")] + OpenAPI.paging,
                answers: [200: "ScheduleList"], handler: { try await self.listSchedules($0) }),
            Route(
                .post, collection, id: "createSchedule", "Creates a schedule", needs: .write,
                query: [OpenAPI.dryRun], body: "ScheduleInput", answers: [201: "Schedule", 200: "Schedule"],
                handler: { try await self.createSchedule($0) }),
            Route(
                .get, item, id: "getSchedule", "One schedule", needs: .read, answers: [200: "Schedule"],
                handler: { try await self.getSchedule($0) }),
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

    func reading(_ call: APICall) -> DocumentReading {
        DocumentReading(
            settings: self.settings, zones: self.zones, namespace: call.namespace, now: self.clocks.wallNow())
    }

    func path(of stored: StoredSchedule) -> String { "/v1/namespaces/\(stored.namespace)/schedules/\(stored.name)" }

    func answer(_ stored: StoredSchedule, status: HTTPResponse.Status = .ok) throws -> Response {
        var headers: HTTPFields = [.eTag: "\"\(stored.generation)\""]
        if status == .created { headers[.location] = self.path(of: stored) }
        return Answer.json(try self.view.document(stored), status: status, headers: headers)
    }

    /// The live schedule of the path.
    func existing(_ call: APICall) async throws -> StoredSchedule {
        let name = call.parameter("name")
        guard let stored = try await self.store.schedule(namespace: call.namespace, name: name) else {
            throw Problem.notFound("schedule '\(ObjectReader.clipped(name))' in the namespace '\(call.namespace)'")
        }
        return stored
    }

    private func listSchedules(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let text = query.text("q")
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let after = try token.map { (token: String) throws(Problem) in try PageToken.key("s", token) }
        // One more than a page, to know whether there is another.
        let found = try await self.store.schedules(
            namespace: call.namespace, after: after, containing: text, limit: size + 1)
        let view = self.view
        let items = try found.prefix(size).map { try view.document($0) }
        return Answer.json([
            "items": .array(items),
            "nextPageToken": found.count > size ? .string(PageToken.make("s", found[size - 1].name)) : .null,
        ])
    }

    private func createSchedule(_ call: APICall) async throws -> Response {
        let document = try await call.document()
        var generator = SystemRandomNumberGenerator()
        let uid = UID.random(using: &generator)
        let reading = self.reading(call)
        let draft = try ScheduleDraft.read(document, name: nil, uid: uid, reading)
        let new = NewSchedule(
            uid: uid, shard: self.shard(namespace: call.namespace, name: draft.name), namespace: call.namespace,
            name: draft.name, createdAt: reading.now, createdBy: call.caller.identity,
            body: draft.body(namespace: call.namespace))
        if call.isDryRun { return try self.answer(StoredSchedule(preview: new)) }
        switch try await self.store.createSchedule(new) {
        case .created(let stored):
            self.cluster.changed(stored.shard)
            return try self.answer(stored, status: .created)
        case .duplicate(let stored):
            return try self.answer(stored)
        case .conflict(let stored):
            throw Problem(
                409, Problem.Code.alreadyExists,
                "the schedule '\(stored.name)' exists with other content; PUT replaces it, another name avoids it",
                faults: [.init(.pointer("/name"), Problem.Code.alreadyExists, "the name is taken")])
        }
    }

    func shard(namespace: String, name: String) -> ShardID {
        ShardPlacement.shard(namespace: namespace, name: name, shardCount: self.settings.shardCount)
    }

    private func getSchedule(_ call: APICall) async throws -> Response {
        let stored = try await self.existing(call)
        if call.knows("\"\(stored.generation)\"") {
            return Response(status: .notModified, headers: [.eTag: "\"\(stored.generation)\""])
        }
        return try self.answer(stored)
    }

    private func deleteSchedule(_ call: APICall) async throws -> Response {
        let expected = try call.expectedGeneration()
        let stored = try await self.existing(call)
        if let expected, expected != stored.generation {
            throw Problem.staleETag("\"\(expected)\"", current: stored.generation)
        }
        if call.isDryRun { return try self.answer(stored) }
        let ended = try await self.store.deleteSchedule(
            namespace: call.namespace, name: stored.name, ifGeneration: expected, at: self.clocks.wallNow())
        guard let ended else {
            // Somebody else was faster.
            let current = try await self.existing(call)
            throw Problem.staleETag("\"\(stored.generation)\"", current: current.generation)
        }
        self.cluster.changed(ended.shard)
        return try self.answer(ended)
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
}

extension StoredSchedule {
    /// What storing `new` would lead to, for dry runs.
    init(preview new: NewSchedule) {
        self.init(
            uid: new.uid, shard: new.shard, namespace: new.namespace, name: new.name, generation: 1,
            createdRevision: .none, replaces: false, from: new.createdAt, endedRevision: nil, until: nil,
            createdAt: new.createdAt, createdBy: new.createdBy, updatedAt: new.createdAt, body: new.body)
    }
}
