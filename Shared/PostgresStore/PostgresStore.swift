package import EscapementModel
package import Logging
package import Store
import Synchronization

/// Both store ports on PostgreSQL.
///
/// One connection serves the lock service, so that renewals and fenced writes go out in order and a leader never waits
/// for itself; a few others serve schedules and timers. None is needed to start: while the database is away every
/// call fails with `.unavailable` and the reason, and connections come back by themselves.
///
/// All counters move under row locks, in this order, so that no two transactions wait for each other: rows of
/// names or the leader, counters of shards by number, names of new timers in order.
package final class PostgresStore: LockStore, ScheduleStore {
    /// Times a unit is tried that only lost against others (serialization failure, deadlock).
    static let attemptsMax = 5

    let options: PostgresStoreOptions
    let locks: LockStatements
    let schedules: ScheduleStatements
    let timers: TimerStatements
    let namespaces = NamespaceStatements()
    let audit = AuditStatements()
    let lockConnection: PostgresConnection
    private let scheduleConnections: [PostgresConnection]
    let timerQueue = TimerQueue()
    private let health: HealthOfConnections
    private let clocks: any Clocks

    /// - Parameters:
    ///   - onState: called when the store as a whole becomes usable or ceases to be, with the reason; on a thread
    ///     of the store, so it must return soon. First called after `start`.
    package init(
        settings: PostgresConnectionSettings, options: PostgresStoreOptions = PostgresStoreOptions(),
        clocks: any Clocks = SystemClocks(), logger: Logger,
        onState: @escaping @Sendable (PostgresState) -> Void = { _ in }
    ) {
        precondition(options.scheduleConnections > 0, "no connection for schedules")
        self.options = options
        self.clocks = clocks
        self.locks = LockStatements(usesTimeline: options.usesTimeline)
        self.schedules = ScheduleStatements(usesTimeline: options.usesTimeline)
        self.timers = TimerStatements(usesTimeline: options.usesTimeline)
        let health = HealthOfConnections(logger: logger, onState: onState)
        self.health = health
        self.lockConnection = PostgresConnection(
            role: "locks", settings: settings, schema: options.schema, limits: options.lockLimits,
            onState: { health.note($0, of: 0) })
        self.scheduleConnections = (1...options.scheduleConnections).map { number in
            PostgresConnection(
                role: "store-\(number)", settings: settings, schema: options.schema,
                limits: options.scheduleLimits, onState: { health.note($0, of: number) })
        }
    }

    /// Begins to connect. Whoever calls it must call `close`.
    package func start() {
        self.lockConnection.start()
        for connection in self.scheduleConnections { connection.start() }
    }

    /// Closes all connections; what is under way fails.
    package func close() async {
        await self.lockConnection.close()
        for connection in self.scheduleConnections { await connection.close() }
    }

    /// Asks the server for an answer on both kinds of connection; for a health check.
    package func ping() async throws(StoreError) {
        let call = PostgresStatement("ping", "SELECT 1")()
        _ = try await self.lockConnection.run([call], operation: "ping")
        _ = try await self.run("ping", call)
    }

    // For the extensions that answer the ports.

    /// Runs a unit on the least busy connection for schedules, again when it only lost against others.
    func run(_ operation: String, _ calls: PostgresCall...) async throws(StoreError) -> [PostgresResult] {
        try await self.run(operation, calls)
    }

    func run(_ operation: String, _ calls: [PostgresCall]) async throws(StoreError) -> [PostgresResult] {
        try await self.retrying(operation) { () async throws(PostgresFailure) in
            try await self.leastBusy().run(calls)
        }
    }

    func retrying<Answer: Sendable>(
        _ operation: String, _ body: () async throws(PostgresFailure) -> Answer
    ) async throws(StoreError) -> Answer {
        var attempt = 1
        while true {
            do throws(PostgresFailure) {
                return try await body()
            } catch {
                guard error.isConcurrency, attempt < Self.attemptsMax else {
                    throw error.storeError(operation: operation)
                }
                // 5 to 10 ms after the first, doubled by each.
                var random = SystemRandomNumberGenerator()
                let pause = Duration.milliseconds(Int.random(in: 5...10, using: &random) << (attempt - 1))
                do {
                    try await self.clocks.sleep(for: pause)
                } catch {
                    throw StoreError(.contended, operation: operation, detail: "cancelled between two attempts")
                }
                attempt += 1
            }
        }
    }

    /// Runs a statement that stores the key of its request too, in one transaction with freeing the key when it is old.
    /// `nil` when the key was used before: then nothing was changed.
    func runKeyed(
        _ operation: String, key: IdempotencyKey?, _ call: PostgresCall
    ) async throws(StoreError) -> PostgresResult? {
        guard let key else { return try await self.run(operation, call)[0] }
        let free = self.audit.freeKey(
            .text(key.namespace), .text(key.key), .int(Self.keysUsed(before: key.at).milliseconds))
        return try await self.retrying(operation) { () async throws(PostgresFailure) in
            do throws(PostgresFailure) {
                return try await self.leastBusy().run([free, call])[1]
            } catch {
                guard error.violatesUniqueness else { throw error }
                return nil
            }
        }
    }

    /// Keys used up to this instant are free for a request of `instant`.
    static func keysUsed(before instant: WallInstant) -> WallInstant {
        instant.advanced(by: .zero - StoreRules.idempotencyRetention)
    }

    /// The parameters of a request's key, five of them.
    func values(_ key: IdempotencyKey?) -> [PostgresValue] {
        [
            .text(key?.namespace), .text(key?.key), .bytes(key?.digest), .int(key?.at.milliseconds),
            .bytes(key?.answer),
        ]
    }

    func leastBusy() -> PostgresConnection {
        self.scheduleConnections.min { $0.outstanding < $1.outstanding } ?? self.lockConnection
    }

    /// Reads rows; what does not parse is `.corrupt`.
    func read<Answer>(
        _ operation: String, _ body: () throws(PostgresFailure) -> Answer
    ) throws(StoreError) -> Answer {
        do throws(PostgresFailure) {
            return try body()
        } catch {
            throw error.storeError(operation: operation)
        }
    }

    /// A number as `bigint`.
    func signed(_ value: UInt64, _ operation: String) throws(StoreError) -> PostgresValue {
        guard let value = Int64(exactly: value) else {
            throw StoreError(.refused, operation: operation, detail: "a number is above 2^63 - 1")
        }
        return .int(value)
    }
}

/// What the connections are like, and what that makes of the store: usable with the lock service's connection and at
/// least one other.
private final class HealthOfConnections: Sendable {
    private struct Contents {
        var states: [Int: PostgresState] = [:]
        var told: PostgresState?
    }

    private let contents = Mutex(Contents())
    private let logger: Logger
    private let onState: @Sendable (PostgresState) -> Void

    init(logger: Logger, onState: @escaping @Sendable (PostgresState) -> Void) {
        self.logger = logger
        self.onState = onState
    }

    /// Connection 0 is the lock service's.
    func note(_ state: PostgresState, of number: Int) {
        let news: PostgresState? = self.contents.withLock { contents in
            contents.states[number] = state
            let overall: PostgresState?
            switch contents.states[0] {
            case .connected:
                let others = contents.states.filter { $0.key != 0 }.map(\.value)
                let losses = others.filter { $0 != .connected }
                // Nothing to say until one of them has something to say.
                overall = others.isEmpty ? nil : losses.count < others.count ? .connected : losses.first
            case .lost(let reason): overall = .lost(reason: reason)
            case nil: overall = nil
            }
            guard let overall, overall != contents.told else { return nil }
            contents.told = overall
            return overall
        }
        guard let news else { return }
        switch news {
        case .connected:
            self.logger.info("database connected", metadata: ["event": "database_connected"])
        case .lost(let reason):
            self.logger.warning("database lost", metadata: ["event": "database_lost", "reason": "\(reason)"])
        }
        self.onState(news)
    }
}
