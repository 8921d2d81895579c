import CoordinatorService
import EscapementModel
import JSON
import Synchronization
import WireProtocol

/// A cluster that answers what a test tells it, and remembers what it was asked.
final class FakeGateway: ClusterGateway {
    struct State {
        var changed: [ShardID] = []
        var questions: [JSONValue] = []
        var status: Result<JSONValue, ClusterError> = .failure(.noLeader)
        var requests: [ClusterRequest] = []
        var answer: Result<JSONValue, ClusterError> = .success(["items": []])
        var activations: Result<JSONValue, ClusterError> = .success(["items": [], "nextPageToken": .null])
        /// Answers to questions about the journal; `nil` for a dispatcher that knows no such questions.
        var journal: Result<JSONValue, ClusterError>?
        var settled = SettledAnswer.State.cancelled
    }

    let state = Mutex(State())

    func changed(_ shard: ShardID) { self.state.withLock { $0.changed.append(shard) } }

    func status() async throws(ClusterError) -> [UInt8] {
        try self.state.withLock { $0.status }.get().bytes
    }

    func ask(_ request: ClusterRequest) async throws(ClusterError) -> [UInt8] {
        let answer = self.state.withLock { state in
            state.requests.append(request)
            return state.answer
        }
        return try answer.get().bytes
    }

    func activations(_ document: [UInt8]) async throws(ClusterError) -> [UInt8] {
        let answer = self.state.withLock { state in
            if let question = try? JSONParser.parse(document) {
                state.questions.append(question)
                if question["journal"] != nil, let journal = state.journal { return journal }
            }
            return state.activations
        }
        return try answer.get().bytes
    }

    func settled(_ query: SettledQuery) async -> SettledAnswer.State { self.state.withLock { $0.settled } }
}
