import EscapementModel
import Hummingbird
import JSON
import ScheduleDocuments
import Store

extension APIServer {
    /// Who was given what, when and why.
    var handoverRoutes: [Route] {
        let range = [
            Route.Parameter("from", OpenAPI.instant, "From this instant on"),
            Route.Parameter("to", OpenAPI.instant, "Up to this instant"),
        ]
        return [
            Route(
                .get, "/v1/cluster/handovers", id: "listHandovers", "Changes of owner, newest first", needs: .read,
                query: [
                    Route.Parameter("kind", ["type": "string", "enum": ["shard", "lane"]], "Only of these"),
                    Route.Parameter("member", ["type": "string"], "Only to this member"),
                ] + range + OpenAPI.paging, answers: [200: "HandoverList"],
                handler: { try await self.listHandovers($0, shard: nil) }),
            Route(
                .get, "/v1/cluster/shards/{shard}/history", id: "getShardHistory",
                "The owners of a shard, newest first", needs: .read, query: range + OpenAPI.paging,
                answers: [200: "HandoverList"],
                handler: { call in
                    let text = call.parameter("shard")
                    guard let number = UInt16(text), Int(number) < self.settings.shardCount else {
                        throw Problem.notFound("shard '\(ObjectReader.clipped(text))'")
                    }
                    return try await self.listHandovers(call, shard: number)
                }),
        ]
    }

    private func listHandovers(_ call: APICall, shard: UInt16?) async throws -> Response {
        var query = QueryReader(call)
        var filter = AssignmentFilter(
            kind: shard == nil ? nil : .shard, number: shard, from: query.instant("from"), to: query.instant("to"))
        if shard == nil {
            filter.kind = query.word("kind", ["shard", "lane"]).flatMap { OwnedKind(rawValue: $0) }
            filter.owner = query.text("member").map { NodeID($0) }
        }
        let size = query.integer("pageSize", in: 1...self.settings.pageSizeMax) ?? self.settings.pageSizeDefault
        let token = query.text("pageToken")
        try query.finish()
        let before = try token.map { (token: String) throws(Problem) in try PageToken.number("h", token) }
        let found = try await self.store.assignmentHistory(filter, before: before, limit: size + 1)
        return Answer.json([
            "items": .array(
                found.prefix(size).map { record in
                    .record([
                        "at": .string(record.at.description), "kind": .string(record.kind.rawValue),
                        "number": .integer(record.number), "epoch": .integer(record.epoch.rawValue),
                        "owner": record.owner.map { .string($0.name) } ?? .null,
                        "incarnation": record.incarnation.map { .string($0.description) },
                        "reason": .string(record.reason), "leaderEpoch": .integer(record.leaderEpoch.rawValue),
                    ])
                }),
            "nextPageToken": found.count > size ? .string(PageToken.make("h", "\(found[size - 1].id)")) : .null,
        ])
    }
}
