import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Store
import WireProtocol

extension APIServer {
    /// One-shots: create, read, list, cancel.
    var timerRoutes: [Route] {
        let collection = "/v1/namespaces/{namespace}/timers"
        return [
            Route(
                .get, collection, id: "listTimers", "Timers that are still to fire, in order of due time",
                needs: .read, query: OpenAPI.paging, answers: [200: "TimerList"],
                handler: { try await self.listTimers($0) }),
            Route(
                .post, collection, id: "createTimer", "Creates a timer", needs: .write, query: [OpenAPI.dryRun],
                body: "TimerInput", answers: [201: "Timer", 200: "Timer"],
                handler: { try await self.createTimer($0) }),
            Route(
                .post, "\(collection)/batch", id: "createTimers", "Creates up to 10,000 timers at once",
                needs: .write,
                query: [
                    Route.Parameter(
                        "mode", ["type": "string", "enum": ["partial", "atomic"]],
                        "Whether one rejected timer rejects them all; partial"),
                    Route.Parameter(
                        "results", ["type": "string", "enum": ["all", "exceptions"]],
                        "Whether plainly accepted ones are listed too; exceptions"),
                    OpenAPI.dryRun,
                ], body: "TimerBatchLine", bodyMediaType: "application/x-ndjson", answers: [200: "TimerBatchResult"],
                handler: { try await self.createTimers($0) }),
            Route(
                .get, "\(collection)/{id}", id: "getTimer", "One timer", needs: .read, answers: [200: "Timer"],
                handler: { try await self.getTimer($0) }),
            Route(
                .delete, "\(collection)/{id}", id: "cancelTimer", "Cancels a timer that has not fired",
                needs: .operate, query: [OpenAPI.dryRun], answers: [200: "Timer"],
                handler: { try await self.cancelTimer($0) }),
        ]
    }

    private var timerView: TimerView { TimerView(cluster: self.settings.cluster, now: self.clocks.wallNow()) }

    private func answer(
        _ stored: StoredTimer, status: Int = 200, adding members: [JSONMember] = []
    ) throws -> WriteAnswer {
        let document = (try self.timerView.document(stored).objectValue ?? []) + members
        return WriteAnswer(
            status, .object(document), etag: TimerView.etag(of: stored),
            location: status == 201 ? TimerView.path(of: stored) : nil)
    }

    private func createTimer(_ call: APICall) async throws -> Response {
        let bytes = try await call.documentBytes()
        let reading = try await self.reading(call)
        let draft = try TimerDraft.read(try call.parse(bytes), reading)
        let repetition = try Repetition(call, body: bytes, now: reading.now)
        var uids = TimerUIDs(repetition, shardCount: self.settings.shardCount)
        let new = draft.timer(
            uid: uids.next(draft.priority), namespace: call.namespace, now: reading.now, by: call.caller.identity,
            traceparent: call.traceparent)
        if call.isDryRun { return try self.answer(StoredTimer(preview: new)).response() }
        try await self.checkTimerQuota(call.namespace, adding: 1)
        return try await self.once(repetition) { key in
            guard case .outcome(let outcomes) = try await self.store.createTimers([new], key: key) else {
                return .repeated
            }
            switch outcomes.first {
            case .created(let stored)?:
                self.cluster.changed(stored.shard)
                return .answered(try self.answer(stored, status: 201))
            case .duplicate(let stored)?: return .answered(try self.answer(stored))
            case .conflict(let stored)?:
                throw Problem(
                    409, Problem.Code.alreadyExists, "the timer '\(stored.name)' exists with other content",
                    faults: [.init(.pointer("/id"), Problem.Code.alreadyExists, "the id is taken")])
            case .withheld?, nil:
                throw StoreError(.corrupt, operation: "create timer", detail: "no outcome for the timer")
            }
        }
    }

    private func existingTimer(_ call: APICall) async throws -> StoredTimer {
        let id = call.parameter("id")
        guard let stored = try await self.store.timer(namespace: call.namespace, name: id) else {
            throw Problem.notFound("timer '\(ObjectReader.clipped(id))' in the namespace '\(call.namespace)'")
        }
        return stored
    }

    private func getTimer(_ call: APICall) async throws -> Response {
        let stored = try await self.existingTimer(call)
        let etag = TimerView.etag(of: stored)
        if call.knows(etag) { return Response(status: .notModified, headers: [.eTag: etag]) }
        return try self.answer(stored).response()
    }

    private func listTimers(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let after = try token.map { (token: String) throws(Problem) in try PageToken.watermark(token) }
        let found = try await self.store.timers(namespace: call.namespace, after: after, limit: size + 1)
        let view = self.timerView
        return Answer.json([
            "items": .array(try found.prefix(size).map { try view.document($0) }),
            "nextPageToken": found.count > size ? .string(PageToken.make(found[size - 1].watermark)) : .null,
        ])
    }

    private func cancelTimer(_ call: APICall) async throws -> Response {
        let stored = try await self.existingTimer(call)
        if let expected = try call.expectedGeneration(), "\"\(expected)\"" != TimerView.etag(of: stored) {
            throw Problem.staleETag(
                "\"\(expected)\"", current: max(stored.revision, stored.endedRevision ?? .none).rawValue)
        }
        if call.isDryRun { return try self.answer(stored).response() }
        let ended = try await self.store.cancelTimer(
            namespace: call.namespace, name: stored.name,
            origin: self.origin(call, at: self.clocks.wallNow(), key: nil))
        guard let ended, let revision = ended.endedRevision else {
            throw Problem.notFound("timer '\(stored.name)' in the namespace '\(call.namespace)'")
        }
        self.cluster.changed(ended.shard)
        let query = SettledQuery(shard: ended.shard, uid: ended.uid, due: ended.due, revision: revision)
        switch await self.cluster.settled(query) {
        case .fired:
            throw Problem(
                409, Problem.Code.alreadyFired, "the timer '\(ended.name)' was handed on before the cancellation came")
        case .cancelled:
            return try self.answer(ended, adding: [JSONMember("confirmed", true)]).response()
        case .unknown:
            // Stored, so it takes effect; only whether it came in time is not known.
            return try self.answer(ended, adding: [JSONMember("confirmed", false)]).response()
        }
    }
}

extension StoredTimer {
    /// What storing `new` would lead to, for dry runs.
    init(preview new: NewTimer) {
        self.init(
            uid: new.uid, shard: ShardPlacement.shard(ofTimer: new.uid), namespace: new.namespace, name: new.name,
            revision: .none, due: new.due, endedRevision: nil, expireAfterMilliseconds: new.expireAfterMilliseconds,
            template: new.template, document: new.document, createdAt: new.createdAt, createdBy: new.createdBy)
    }
}
