import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import NIOCore
import ScheduleDocuments
import Store
import WireProtocol

extension APIServer {
    /// What could not be delivered, and its second chance.
    var deadLetterRoutes: [Route] {
        let collection = "/v1/namespaces/{namespace}/deadletters"
        return [
            Route(
                .get, collection, id: "listDeadLetters", "Fires that could not be delivered, newest first",
                needs: .read,
                query: [
                    Route.Parameter("schedule", ["type": "string"], "Only of this schedule or timer"),
                    Route.Parameter("from", OpenAPI.instant, "Scheduled at or after"),
                    Route.Parameter("to", OpenAPI.instant, "Scheduled before"),
                ] + OpenAPI.paging, answers: [200: "ActivationList"],
                handler: { try await self.listDeadLetters($0) }),
            Route(
                .post, "\(collection)/replay", id: "replayDeadLetters",
                "Fires again, now; asking twice fires once", needs: .operate, body: "ReplayInput",
                answers: [200: "ReplayResult"], handler: { try await self.replayDeadLetters($0) }),
        ]
    }

    /// Dead letters of one request.
    private static let replayedMax = 100

    private func listDeadLetters(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let document = JSONValue.record([
            "namespace": .string(call.namespace), "outcome": .string(Outcome.failed.name),
            "schedule": query.text("schedule").map { .string($0) },
            "from": query.instant("from").map { .string($0.description) },
            "to": query.instant("to").map { .string($0.description) },
            "pageSize": query.integer("pageSize", in: 1...self.settings.pageSizeMax).map { .string("\($0)") },
            "pageToken": query.text("pageToken").map { .string($0) },
        ])
        try query.finish()
        return Answer.bytes(try await self.cluster.activations(document.bytes))
    }

    private func replayDeadLetters(_ call: APICall) async throws -> Response {
        var reader = ObjectReader(try await call.document(), at: "")
        reader.require("activationIds")
        let texts = reader.strings("activationIds", countMax: Self.replayedMax) ?? []
        for (index, text) in texts.enumerated() where UID(text: text) == nil {
            reader.note(at: index, of: "activationIds", ProblemCode.invalidValue, "is not 32 hexadecimal digits")
        }
        let reason = self.reason(&reader)
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        let origin = self.origin(call, at: self.clocks.wallNow(), reason: reason, key: nil)
        var items: [JSONValue] = []
        for id in texts.compactMap({ UID(text: $0) }) {
            items.append(try await self.replay(ActivationID(id), call, origin))
        }
        return Answer.json(["items": .array(items)])
    }

    /// Makes a one-shot of the dead letter's schedule or timer. Its id is drawn from the activation's, so that a
    /// second request finds the first one's.
    private func replay(_ id: ActivationID, _ call: APICall, _ origin: ChangeOrigin) async throws -> JSONValue {
        func result(_ status: String, _ detail: String? = nil, activation: ActivationID? = nil) -> JSONValue {
            .record([
                "activationId": .string(id.description), "status": .string(status),
                "detail": detail.map { .string($0) }, "replayedAs": activation.map { .string($0.description) },
            ])
        }
        let query: JSONValue = [
            "namespace": .string(call.namespace), "activationId": .string(id.description), "pageSize": 1,
        ]
        let answer = try JSONParser.parse(try await self.cluster.activations(query.bytes))
        guard let record = answer["items"]?[0] else { return result("not-found", "there is no such record") }
        guard record["outcome"]?.stringValue == Outcome.failed.name else {
            return result("not-failed", "it was \(record["outcome"]?.stringValue ?? "settled")")
        }
        let name = record["schedule"]?.stringValue ?? ""
        guard let template = try await self.template(of: name, call.namespace, isTimer: record["kind"] == "delay")
        else {
            return result("gone", "'\(name)' is no longer kept; create it anew")
        }
        let shard = ShardID(UInt16(id.uid.low % UInt64(self.settings.shardCount)))
        let timer = NewTimer(
            uid: ShardPlacement.timerUID(shard: shard, priority: .normal, drawn: id.uid), namespace: call.namespace,
            name: "replay-\(id)", due: origin.at, expireAfterMilliseconds: 0,
            template: template,
            document: JSONValue.record(["labels": ["escapement/replay-of": .string(id.description)]]).bytes,
            contentDigest: Array(id.description.utf8), createdAt: origin.at, createdBy: origin.by)
        switch try await self.store.createTimers([timer]).first {
        case .created(let stored)?:
            self.cluster.changed(stored.shard)
            try await self.store.record(
                AuditEntry(origin, namespace: call.namespace, object: .schedule, name: name, action: .replay))
            return result("replayed", activation: self.activation(of: stored))
        case .duplicate(let stored)?, .conflict(let stored)?:
            return result("replayed-before", "at \(stored.due)", activation: self.activation(of: stored))
        case .withheld?, nil: throw StoreError(.corrupt, operation: "replay", detail: "no outcome for the timer")
        }
    }

    private func activation(of timer: StoredTimer) -> ActivationID {
        ActivationID(cluster: self.settings.cluster, kind: .delay, uid: timer.uid, scheduledTime: timer.due)
    }

    /// What is published, without an expiry, which is over; `nil` when the object is not kept any more.
    private func template(of name: String, _ namespace: String, isTimer: Bool) async throws -> [UInt8]? {
        if isTimer {
            guard let timer = try await self.store.timer(namespace: namespace, name: name) else { return nil }
            return try Self.withoutExpiry(timer.template)
        }
        let versions = try await self.store.versions(namespace: namespace, name: name, before: nil, limit: 1)
        guard let version = versions.first else { return nil }
        return try Self.withoutExpiry(version.body.template)
    }

    private static func withoutExpiry(_ bytes: [UInt8]) throws(StoreError) -> [UInt8] {
        do throws(WireError) {
            var template = try FireTemplate(decoding: ByteBuffer(bytes: bytes))
            template.expireAfterMilliseconds = 0
            return Array(template.encoded().readableBytesView)
        } catch {
            throw StoreError(.corrupt, operation: "replay", detail: "\(error)")
        }
    }
}
