package import EscapementModel

/// One incarnation of a lane's transactional producer, from `initialize` to `close`. Adapters: the Kafka client, the
/// simulator. One call at a time.
///
/// A session that has met any doubt (an abort, a slow commit, a broken connection, a request that timed out inside
/// the client) says so by `isTainted` and is replaced before the next transaction: the replacement's `initialize`
/// raises the producer epoch, so that a request of the old one that is still on its way cannot end a later transaction.
package protocol TransactionSession: Sendable {
    /// Fences every earlier session of the same transactional id and ends its open transaction, if there is one.
    func initialize() async throws(TransactionError)
    func begin() async throws(TransactionError)
    /// Produces within the open transaction and waits for all reports. One for each record, in order.
    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery]
    /// Commits. When it returns, the transaction is committed.
    func commit() async throws(TransactionError)
    /// Aborts, as far as this session still can. A successor's `initialize` does what this could not.
    ///
    /// - Throws: `TransactionError.fenced` alone: then there is a successor already, which must not be fenced in turn.
    func abort() async throws(TransactionError)
    /// Frees the session without waiting for the brokers. Idempotent.
    func close() async
    var isTainted: Bool { get }
}

/// Makes the sessions of one lane.
package protocol TransactionSessionFactory: Sendable {
    /// A session with the lane's own transactional id.
    func makeSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession
    /// A session with an id beside it, for transactions that are aborted in any case.
    func makeTrialSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession
}

/// Why a step of a transaction failed.
package enum TransactionError: Error, Equatable, Sendable {
    /// Not now. The transaction, if one is open, is not committed and will not be.
    case unavailable(String)
    /// A later session of the same transactional id exists, whatever flags the client gave the error.
    case fenced(String)
    /// A commit's outcome is not known: only the journal tells.
    case outcomeUnknown(String)
}
