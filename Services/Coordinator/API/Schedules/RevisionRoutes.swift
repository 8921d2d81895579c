import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Store

extension APIServer {
    /// Who changed what.
    var revisionRoutes: [Route] {
        let item = "/v1/namespaces/{namespace}/schedules/{name}/revisions"
        return [
            Route(
                .get, item, id: "listRevisions", "The versions of a schedule, newest first", needs: .read,
                query: OpenAPI.paging, answers: [200: "RevisionList"], handler: { try await self.listRevisions($0) }),
            Route(
                .get, "\(item)/{generation}", id: "getRevision", "One version, and what it changed", needs: .read,
                answers: [200: "Revision"], handler: { try await self.getRevision($0) }),
            Route(
                .get, "/v1/namespaces/{namespace}/audit", id: "listAudit",
                "Who did what, when, from where and why, newest first", needs: .read,
                query: [
                    Route.Parameter(
                        "object", ["type": "string", "enum": ["schedule", "timer", "namespace", "cluster"]],
                        "Only of this kind"),
                    Route.Parameter("name", ["type": "string"], "Only of this object"),
                    Route.Parameter("from", OpenAPI.instant, "From this instant on"),
                    Route.Parameter("to", OpenAPI.instant, "Before this instant"),
                ] + OpenAPI.paging, answers: [200: "AuditList"], handler: { try await self.listAudit($0) }),
        ]
    }

    private func listRevisions(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let before = try token.map { (token: String) throws(Problem) in try PageToken.number("r", token) }
        let name = call.parameter("name")
        let found = try await self.store.versions(
            namespace: call.namespace, name: name, before: before, limit: size + 1)
        if found.isEmpty, before == nil { throw Self.noSchedule(name, call.namespace) }
        let items = try found.prefix(size).enumerated().map { index, version in
            try Self.revision(version, after: index + 1 < found.count ? found[index + 1] : nil)
        }
        return Answer.json([
            "items": .array(items),
            "nextPageToken": found.count > size ? .string(PageToken.make("r", "\(found[size - 1].generation)")) : .null,
        ])
    }

    private func getRevision(_ call: APICall) async throws -> Response {
        let name = call.parameter("name")
        let text = call.parameter("generation")
        let missing = Problem.notFound(
            "generation \(ObjectReader.clipped(text)) of the schedule '\(ObjectReader.clipped(name))'")
        guard let number = UInt64(text), number < .max else { throw missing }
        let found = try await self.store.versions(
            namespace: call.namespace, name: name, before: number + 1, limit: 2)
        guard let version = found.first, version.generation == number else { throw missing }
        return Answer.json(try Self.revision(version, after: found.count > 1 ? found[1] : nil))
    }

    private static func revision(_ version: StoredSchedule, after previous: StoredSchedule?) throws -> JSONValue {
        let document = try JSONParser.parse(version.body.document)
        var changes: [JSONValue] = []
        if let previous, previous.uid == version.uid {
            let before = try JSONParser.parse(previous.body.document)
            changes = DocumentDifference.between(before, document).map(\.document)
            if previous.pause != version.pause {
                changes.append(
                    .record([
                        "pointer": "/pause", "before": previous.pause.map(ScheduleView.document) ?? .null,
                        "after": version.pause.map(ScheduleView.document) ?? .null,
                    ]))
            }
        }
        return .record([
            "generation": .integer(version.generation), "uid": .string(version.uid.uuid),
            "at": .string(version.updatedAt.description), "by": .string(version.updatedBy),
            "reason": version.changeReason.map { .string($0) }, "from": .string(version.from.description),
            "until": version.until.map { .string($0.description) }, "pause": version.pause.map(ScheduleView.document),
            "changes": .array(changes), "document": document,
        ])
    }

    private func listAudit(_ call: APICall) async throws -> Response {
        var query = QueryReader(call)
        let objects = ["schedule", "timer", "namespace", "cluster"]
        let filter = AuditFilter(
            namespace: call.namespace,
            object: query.word("object", objects).flatMap { AuditObject(rawValue: $0) }, name: query.text("name"),
            from: query.instant("from"), to: query.instant("to"))
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let before = try token.map { (token: String) throws(Problem) in try PageToken.number("a", token) }
        let found = try await self.store.auditTrail(filter, before: before, limit: size + 1)
        return Answer.json([
            "items": .array(try found.prefix(size).map(Self.document)),
            "nextPageToken": found.count > size ? .string(PageToken.make("a", "\(found[size - 1].id)")) : .null,
        ])
    }

    private static func document(_ entry: AuditEntry) throws -> JSONValue {
        let before = try entry.before.map { (bytes: [UInt8]) in try JSONParser.parse(bytes) }
        let after = try entry.after.map { (bytes: [UInt8]) in try JSONParser.parse(bytes) }
        return .record([
            "id": .integer(entry.id), "at": .string(entry.at.description), "object": .string(entry.object.rawValue),
            "name": .string(entry.name), "action": .string(entry.action.rawValue),
            "generation": entry.generation == 0 ? nil : .integer(entry.generation), "by": .string(entry.by),
            "address": entry.address.map { .string($0) }, "reason": entry.reason.map { .string($0) },
            "changes": before != nil && after != nil
                ? .array(DocumentDifference.between(before ?? .null, after ?? .null).map(\.document)) : nil,
        ])
    }
}
