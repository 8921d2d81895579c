package import EscapementModel
package import WireProtocol

/// What the API asks of the cluster, the same on every coordinator: a leader answers itself, any other
/// asks the leader.
package protocol ClusterGateway: Sendable {
    /// A change of the shard has been committed. Never waits; a lost hint costs half a second.
    func changed(_ shard: ShardID)

    /// The cluster's status as a JSON document.
    func status() async throws(ClusterError) -> [UInt8]

    /// Shows a part of the cluster or changes something about it; the answer is the document that the API
    /// serves. What changes is under way, not done, when it is answered.
    func ask(_ request: ClusterRequest) async throws(ClusterError) -> [UInt8]

    /// Searches activation records. `document` has the API's query parameters as members; the answer is
    /// the document that the API serves.
    func activations(_ document: [UInt8]) async throws(ClusterError) -> [UInt8]

    /// Whether a cancelled timer had been handed on before; `unknown` when the shard's owner does not
    /// answer in two seconds.
    func settled(_ query: SettledQuery) async -> SettledAnswer.State
}

/// What an operator asks of the cluster.
package enum ClusterRequest: Hashable, Sendable {
    /// `{"items": [...]}`: every process, as in the status.
    case members
    /// `{"shards": [...], "lanes": [...]}`: each with its owner, epoch and state.
    case shards
    /// Empty the member and give it nothing, while somebody else can take it; the process stays.
    case drain(member: String)
    /// Let a drained member work again.
    case resume(member: String)
    /// Spread the load evenly now, as fast as moves are allowed to be in flight.
    case rebalance
}

/// Why the cluster could not answer; `code` is one of the API's.
package struct ClusterError: Error, Equatable, Sendable {
    package var code: String
    package var detail: String

    package init(_ code: String, _ detail: String) {
        self.code = code
        self.detail = detail
    }

    package static let noLeader = ClusterError("NO_LEADER", "no coordinator leads at present")
    package static let notFound = "NOT_FOUND"
    package static let notPossible = "NOT_POSSIBLE"
    package static let unsupported = "UNSUPPORTED"
    package static let activationStoreUnavailable = "ACTIVATION_STORE_UNAVAILABLE"
    /// A dispatcher answered, and Kafka did not let it read the journal.
    package static let journalUnavailable = "JOURNAL_UNAVAILABLE"
}
