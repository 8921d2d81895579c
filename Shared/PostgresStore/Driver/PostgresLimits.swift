/// Bounds of one connection.
package struct PostgresLimits: Hashable, Sendable {
    /// `statement_timeout`: the server gives up. Does not cut a commit that waits for its standby.
    package var statement: Duration
    /// `lock_timeout`: waiting for a row that another transaction holds.
    package var lock: Duration
    /// How long a unit of work may wait to be sent, and then for its answer. Above `statement`: after it the
    /// connection itself is taken for dead.
    package var answer: Duration
    /// For one attempt and one host.
    package var connect: Duration = .seconds(5)
    /// The pause after the first failed attempt; doubled by each further one, with jitter of half.
    package var backoffMin: Duration = .milliseconds(100)
    package var backoffMax: Duration
    /// Units that wait to be sent; one more is refused.
    package var waitingMax = 1024
    /// Units sent and not answered.
    package var inFlightMax = 32
    /// `idle_in_transaction_session_timeout`: a reader that stopped in the middle of a snapshot.
    package var idleInTransaction: Duration = .seconds(60)

    package init(statement: Duration, lock: Duration, answer: Duration, backoffMax: Duration) {
        precondition(answer > statement, "the server's time-out must come first")
        self.statement = statement
        self.lock = lock
        self.answer = answer
        self.backoffMax = backoffMax
    }

    /// A leader trusts its lease for 4 s after sending its last renewal: what takes longer is useless.
    package static let locks = PostgresLimits(
        statement: .milliseconds(1500), lock: .milliseconds(1500), answer: .milliseconds(3000), backoffMax: .seconds(1))
    package static let schedules = PostgresLimits(
        statement: .seconds(10), lock: .seconds(10), answer: .seconds(15), backoffMax: .seconds(5))
    /// A migration may rewrite a large table.
    package static let migration = PostgresLimits(
        statement: .seconds(3600), lock: .seconds(30), answer: .seconds(3700), backoffMax: .seconds(1))
}
