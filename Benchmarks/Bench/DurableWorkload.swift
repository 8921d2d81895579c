import EscapementModel
import Glibc
import JSON
import Logging
import PostgresStore
import Store

/// W6: timers accepted durably, through the product's store, into the PostgreSQL that `PGHOST` names; a schema of
/// its own, removed afterwards. Reading them is what a ticker does ahead of time: nothing is written when one fires.
struct DurableWorkload {
    /// How the timers come.
    enum Arrival: String {
        /// Requests of a thousand, each on a shard of its own, as the API places a batch.
        case batch1000 = "batch-1000"
        /// Requests of a thousand, every timer on a shard of its own.
        case scattered1000 = "scattered-1000"
        /// A request for each timer, many at once: the store makes transactions of them.
        case single
    }

    private static let shards = 256
    /// Requests under way at a time.
    private static let batchClients = 4
    private static let singleClients = 1024

    let count: Int
    let schema: String

    init(count: Int) {
        self.count = count
        self.schema = "bench_\(getpid())"
    }

    func run() async throws {
        let settings = PostgresConnectionSettings(applicationName: "escapement-bench", parameters: [])
        for arrival in [Arrival.batch1000, .scattered1000, .single] {
            _ = try await PostgresMigrator(settings: settings, schema: self.schema).migrate()
            var options = PostgresStoreOptions()
            options.schema = self.schema
            let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
            let store = PostgresStore(settings: settings, options: options, logger: logger)
            store.start()
            _ = try await store.establish(
                ClusterSettings(cluster: "bench", shardCount: Self.shards, laneCount: 16))
            // One transaction for each would take minutes for what a tenth shows as well.
            let rows = arrival == .single ? max(1000, self.count / 4) : self.count
            try await self.measure("W6i", kind: arrival.rawValue, rows: rows) {
                try await self.insert(rows, arrival, into: store)
            }
            if arrival == .batch1000 {
                try await self.measure("W6d", kind: "horizon-pages", rows: rows) { try await self.read(store, rows) }
            }
            await store.close()
            try await self.drop(settings)
        }
    }

    private func measure(_ workload: String, kind: String, rows: Int, _ body: () async throws -> Void) async throws {
        let began = ContinuousClock().now
        let cpu = processNanoseconds()
        try await body()
        let seconds = began.duration(to: ContinuousClock().now) / .seconds(1)
        emit(
            .record([
                "w": .string(workload), "peer": "escapement", "kind": .string(kind), "conns": 2,
                "rows": .integer(rows), "rows_s": .integer(Int(Double(rows) / seconds)),
                "cpu_ns": .integer((processNanoseconds() - cpu) / Int64(rows)),
            ]))
    }

    private func insert(_ rows: Int, _ arrival: Arrival, into store: PostgresStore) async throws {
        let size = arrival == .single ? 1 : min(1000, rows)
        let clients = arrival == .single ? Self.singleClients : Self.batchClients
        let requests = (rows + size - 1) / size
        try await withThrowingTaskGroup(of: Void.self) { group in
            for client in 0..<clients {
                group.addTask {
                    var random = SplitMix64(seed: UInt64(client) + 1)
                    for request in stride(from: client, to: requests, by: clients) {
                        let first = request * size
                        let timers = self.timers(first..<min(first + size, rows), arrival, &random)
                        let outcomes = try await store.createTimers(timers)
                        for outcome in outcomes {
                            guard case .created = outcome else { throw BenchError("a timer was not created") }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func timers(_ range: Range<Int>, _ arrival: Arrival, _ random: inout SplitMix64) -> [NewTimer] {
        let common = ShardID(UInt16.random(in: 0..<UInt16(Self.shards), using: &random))
        let payload = [UInt8](repeating: 120, count: 128)
        return range.map { number in
            let own = ShardID(UInt16.random(in: 0..<UInt16(Self.shards), using: &random))
            let uid = ShardPlacement.timerUID(shard: arrival == .batch1000 ? common : own, using: &random)
            return NewTimer(
                uid: uid, namespace: "bench", name: uid.description,
                due: WallInstant(milliseconds: 1_900_000_000_000 + Int64.random(in: 0..<3_600_000, using: &random)),
                expireAfterMilliseconds: 0, template: payload, document: Array("{\"n\":\(number)}".utf8),
                contentDigest: Array(payload.prefix(32)), createdAt: WallInstant(milliseconds: 1_800_000_000_000),
                createdBy: "bench")
        }
    }

    private func read(_ store: PostgresStore, _ rows: Int) async throws {
        var seen = 0
        for shard in 0..<UInt16(Self.shards) {
            var after = Watermark.start
            while case let page = try await store.timers(
                of: ShardID(shard), after: after, through: .distantFuture, limit: 1000), let last = page.last
            {
                seen += page.count
                after = last.watermark
            }
        }
        guard seen == rows else { throw BenchError("\(seen) of \(rows) timers were read") }
    }

    private func drop(_ settings: PostgresConnectionSettings) async throws {
        let connection = PostgresConnection(
            role: "bench", settings: settings, schema: self.schema, limits: .migration)
        connection.start()
        _ = try await connection.run(
            [PostgresStatement(once: "DROP SCHEMA \(self.schema) CASCADE")()], operation: "drop")
        await connection.close()
    }

    private func processNanoseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// Whether a database is named at all.
    static var isOffered: Bool { getenv("PGHOST") != nil }
}
