package import Store

/// What has to be done to a database that was restored from a backup, before the cluster starts on it.
///
/// A backup's counters are older than what tickers, dispatchers and the journal have seen: leaders would be refused as
/// deposed, and a ticker would wait for a revision that is long past. Everything that was given out after the backup
/// lies within as many timelines as there were fail-overs, so a step of `timelineStep` leaves all of it behind.
package struct PostgresRecovery: Sendable {
    /// Blocks of 2^40 values; the counters hold 2^23 of them.
    private static let timelineStep = 1024

    package struct Raised: Hashable, Sendable {
        package var shards: Int
        package var lanes: Int
    }

    private let settings: PostgresConnectionSettings
    private let schema: String

    package init(settings: PostgresConnectionSettings, schema: String = "escapement") {
        self.settings = settings
        self.schema = schema
    }

    /// Raises the leader's epoch, the epochs of shards and lanes and the revisions of shards above every value ever
    /// given out. Harmless whenever it is done; each time uses a part in eight thousand of what the counters hold.
    package func raiseCounters() async throws(StoreError) -> Raised {
        let operation = "raise counters"
        let connection = PostgresConnection(
            role: "recovery", settings: self.settings, schema: self.schema, limits: .migration)
        connection.start()
        let result: Result<[PostgresResult], StoreError>
        do throws(StoreError) {
            result = .success(
                try await connection.run(
                    [
                        """
                        UPDATE leader SET epoch = \(Self.raised("epoch")), beat = beat + 1, holder = NULL, node = NULL,
                        address = NULL
                        """,
                        "UPDATE shard SET epoch = \(Self.raised("epoch"))",
                        "UPDATE lane SET epoch = \(Self.raised("epoch"))",
                        "UPDATE shard_rev SET rev = \(Self.raised("rev"))",
                    ].map { PostgresStatement(once: $0)() }, operation: operation))
        } catch {
            result = .failure(error)
        }
        await connection.close()
        let results = try result.get()
        guard results[0].changedCount == 1 else {
            throw StoreError(.corrupt, operation: operation, detail: "the leader row is missing")
        }
        return Raised(shards: results[1].changedCount, lanes: results[2].changedCount)
    }

    private static func raised(_ counter: String) -> String {
        "(GREATEST(\(counter) >> 40, \(SQL.timeline)) + \(Self.timelineStep)) << 40"
    }
}
