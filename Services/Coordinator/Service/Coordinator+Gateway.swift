package import EscapementModel
import JSON
import NIOCore
package import WireProtocol

/// The API's way into the cluster: a leader answers itself, any other coordinator asks the leader.
extension Coordinator {
    package func changed(_ shard: ShardID) {
        switch self.part {
        case .leading(let leader): leader.hint(shard)
        case .following(let session): session.send(ChangeHint(shard: shard))
        case .waiting: break
        }
    }

    package func status() async throws(ClusterError) -> [UInt8] {
        switch self.part {
        case .leading(let leader): return await leader.status().bytes
        case .following(let session):
            guard let answer = await session.ask(ClusterStatusQuery(), within: self.settings.statusWithin) else {
                return self.leaderlessStatus.bytes
            }
            return try ClusterAnswers.status(answer)
        case .waiting: return self.leaderlessStatus.bytes
        }
    }

    package func ask(_ request: ClusterRequest) async throws(ClusterError) -> [UInt8] {
        switch self.part {
        case .leading(let leader): return try await leader.answer(request).bytes
        case .following(let session):
            let command = ClusterCommand(request)
            guard let answer = await session.ask(command, within: self.settings.statusWithin) else {
                throw ClusterError.noLeader
            }
            return try ClusterAnswers.status(answer)
        case .waiting: throw ClusterError.noLeader
        }
    }

    package func activations(_ document: [UInt8]) async throws(ClusterError) -> [UInt8] {
        switch self.part {
        case .leading(let leader): return try await leader.activations(document)
        case .following(let session):
            let query = ActivationQuery(document: ByteBuffer(bytes: document))
            guard let answer = await session.ask(query, within: self.settings.queryWithin) else {
                throw ClusterError(ClusterError.activationStoreUnavailable, "the leader did not answer in time")
            }
            return try ClusterAnswers.activations(answer)
        case .waiting: throw ClusterError.noLeader
        }
    }

    package func settled(_ query: SettledQuery) async -> SettledAnswer.State {
        switch self.part {
        case .leading(let leader): return await leader.settled(query)
        case .following(let session):
            return ClusterAnswers.settled(await session.ask(query, within: self.settings.settledWithin))
        case .waiting: return .unknown
        }
    }

    /// What can be said without a leader: firing goes on, but nobody knows where.
    private var leaderlessStatus: JSONValue {
        [
            "cluster": .string(self.settings.cluster), "version": .string(self.settings.build),
            "versions": .object([JSONMember(self.settings.build, 1)]), "leader": .null, "members": [],
            "warnings": ["no coordinator leads at present: members go on with what they hold, nothing is reassigned"],
        ]
    }
}
