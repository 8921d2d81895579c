/// How the store uses the database. All have a sensible value.
package struct PostgresStoreOptions: Hashable, Sendable {
    /// The schema that holds all tables.
    package var schema: String
    /// Connections for schedules and timers, besides the one of the lock service.
    package var scheduleConnections = 4
    /// Whether counters carry the WAL's timeline in their high bits, so that they never go back when an asynchronous
    /// standby is promoted. Off for CockroachDB and YugabyteDB, which lack the functions and the problem.
    package var usesTimeline = true
    package var lockLimits = PostgresLimits.locks
    package var scheduleLimits = PostgresLimits.schedules
    /// Rows and bytes of a page of a snapshot, and bytes of an answer of `changes`: what a caller holds in
    /// memory. A single row larger than that still passes.
    package var pageRowsMax = 500
    package var pageBytesMax = 4 << 20

    package init(schema: String = "escapement") { self.schema = schema }
}
