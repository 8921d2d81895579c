import CoordinatorService
import EscapementModel
import Hummingbird
import JSON
import Observability
import Store

extension APIServer {
    /// What the cluster does.
    var clusterRoutes: [Route] {
        [
            Route(
                .get, "/v1/cluster", id: "getCluster", "The cluster's status", needs: .read,
                answers: [200: "Cluster"],
                handler: { _ in Answer.bytes(try await self.cluster.status()) }),
            Route(
                .get, "/v1/cluster/members", id: "listMembers", "The members of the cluster", needs: .read,
                answers: [200: "MemberList"],
                handler: { _ in try await self.part("members") }),
            Route(
                .get, "/v1/cluster/shards", id: "getShards", "Shards and who owns them", needs: .read,
                answers: [200: "Shards"],
                handler: { _ in Answer.bytes(try await self.cluster.ask(.shards)) }),
            Route(
                .post, "/v1/cluster/members/{member}/drain", id: "drainMember",
                "Empty a ticker or dispatcher by planned moves; it stays and gets nothing new", needs: .administer,
                answers: [200: "Member"],
                handler: { call in
                    try await self.operate(call, .drain(member: call.parameter("member")), .drain)
                }),
            Route(
                .post, "/v1/cluster/members/{member}/resume", id: "resumeMember", "Let a drained member work again",
                needs: .administer, answers: [200: "Member"],
                handler: { call in
                    try await self.operate(call, .resume(member: call.parameter("member")), .resume)
                }),
            Route(
                .post, "/v1/cluster/rebalance", id: "rebalance", "Spread shards and lanes evenly now",
                needs: .administer, answers: [200: "Rebalance"],
                handler: { call in try await self.operate(call, .rebalance, .rebalance) }),
        ]
    }

    /// Asks for a change of the cluster and notes who did.
    private func operate(_ call: APICall, _ request: ClusterRequest, _ action: AuditAction) async throws -> Response {
        let answer = try await self.cluster.ask(request)
        let name = call.parameters.get("member") ?? self.settings.cluster
        try await self.store.record(
            AuditEntry(
                self.origin(call, at: self.clocks.wallNow(), key: nil), namespace: "", object: .cluster, name: name,
                action: action))
        return Answer.bytes(answer)
    }

    /// One member of the status document, as `{"items": …}` when it is a list.
    private func part(_ name: String) async throws -> Response {
        let bytes = try await self.cluster.status()
        guard let part = try JSONParser.parse(bytes)[name] else {
            throw Problem(503, Problem.Code.noLeader, "the leader does not report \(name)", retryAfterSeconds: 5)
        }
        if case .array = part { return Answer.json(["items": part]) }
        return Answer.json(part)
    }
}
