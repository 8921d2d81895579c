import EscapementModel
import PostgresStore
import PostgresSupport
import Store
import TestSupport
import Testing

/// The implementations that are held to one behaviour.
enum StoreKind: String, CaseIterable, CustomTestStringConvertible {
    case memory
    case postgres

    static var available: [StoreKind] { PostgresDatabase.isAvailable ? Self.allCases : [.memory] }

    var testDescription: String { self.rawValue }

    /// Runs `body` on a store of its own with 8 shards and 2 lanes.
    func withStore(_ body: (any LockStore & ScheduleStore) async throws -> Void) async throws {
        let settings = ClusterSettings(cluster: "test", shardCount: 8, laneCount: 2)
        switch self {
        case .memory:
            let store = InMemoryStore(snapshotPageMax: 3)
            _ = try await store.establish(settings)
            try await body(store)
        case .postgres:
            let database = try await PostgresDatabase.make()
            var options = PostgresStoreOptions()
            options.pageRowsMax = 3
            options.scheduleConnections = 2
            try await database.withStore(options: options) { store in
                _ = try await store.establish(settings)
                try await body(store)
            }
            try await database.drop()
        }
    }
}

/// Rows for tests.
enum Rows {
    static let start = WallInstant(milliseconds: 1_800_000_000_000)

    static func at(_ seconds: Double) -> WallInstant {
        WallInstant(milliseconds: Self.start.milliseconds + Int64(seconds * 1000))
    }

    static func origin(
        _ seconds: Double, by: String = "token:test", reason: String? = nil, key: IdempotencyKey? = nil
    ) -> ChangeOrigin {
        ChangeOrigin(at: Self.at(seconds), by: by, address: "192.0.2.1", reason: reason, key: key)
    }

    static func key(_ name: String, _ digest: UInt8 = 1, at seconds: Double = 0, answer: [UInt8]? = nil)
        -> IdempotencyKey
    {
        IdempotencyKey(namespace: "guest", key: name, digest: [digest], at: Self.at(seconds), answer: answer)
    }

    static func body(_ text: String = "0 * * * *", labels: [String: String] = [:]) -> ScheduleBody {
        ScheduleBody(
            kind: .cron, when: Array("{\"cron\":[\"\(text)\"]}".utf8), misfirePolicy: 1,
            misfireToleranceMilliseconds: 1000, misfireWindowMilliseconds: 3_600_000, misfireLimit: 60,
            template: [0, 1, 255], document: Array("{\"text\":\"\(text)\"}".utf8), labels: labels)
    }

    static func schedule(
        _ name: String, shard: UInt16 = 1, namespace: String = "guest", at seconds: Double = 0,
        body: ScheduleBody = Self.body(), pause: SchedulePause? = nil
    ) -> NewSchedule {
        var random = SystemRandomNumberGenerator()
        return NewSchedule(
            uid: UID.random(using: &random), shard: ShardID(shard), namespace: namespace, name: name,
            createdAt: Self.at(seconds), createdBy: "token:test", body: body, pause: pause)
    }

    static func timer(
        _ name: String? = nil, due seconds: Double, shard: UInt16 = 1, namespace: String = "guest",
        created: Double = 0, content: UInt8 = 0
    ) -> NewTimer {
        var random = SystemRandomNumberGenerator()
        let uid = ShardPlacement.timerUID(shard: ShardID(shard), using: &random)
        return NewTimer(
            uid: uid, namespace: namespace, name: name ?? uid.description, due: Self.at(seconds),
            expireAfterMilliseconds: 0, template: [content, 0, 255], document: Array("{}".utf8),
            contentDigest: [content], createdAt: Self.at(created), createdBy: "token:test")
    }
}

extension ScheduleStore {
    /// Every row of a snapshot, and how many pages it came in.
    func wholeSnapshot(
        of shard: UInt16 = 1, cursor: Cursor = .start, horizon: WallInstant = .distantFuture
    ) async throws -> (page: ShardPage, count: Int) {
        let collected = Collected()
        try await self.snapshot(of: ShardID(shard), cursor: cursor, horizon: horizon) { page in
            await collected.add(page)
            return true
        }
        let pages = await collected.pages
        var whole = ShardPage(revision: .none, schedules: [], timers: [], last: false)
        for page in pages {
            whole.revision = page.revision
            whole.schedules += page.schedules
            whole.timers += page.timers
            whole.last = page.last
        }
        return (whole, pages.count)
    }
}

private actor Collected {
    var pages: [ShardPage] = []

    func add(_ page: ShardPage) { self.pages.append(page) }
}

extension ChangeOutcome {
    /// What there is after a change, or the current state where there was none.
    var after: Stored? {
        switch self {
        case .changed(_, let after): after
        case .unchanged(let current), .stale(let current): current
        case .missing, .repeated: nil
        }
    }
}

extension CreateOutcome {
    var stored: Stored {
        switch self {
        case .created(let stored), .duplicate(let stored), .conflict(let stored): stored
        case .withheld: preconditionFailure("not stored")
        }
    }
}
