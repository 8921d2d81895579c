import CoordinatorAPI
import EscapementModel
import HTTPClient
import HTTPServer
import JSON
import Logging
import Observability
import Scheduling
import ServiceLifecycle
import Store
import TestSupport
import Testing

/// The API on a real listener, over a store in memory and a fake cluster.
struct TestAPI: Sendable {
    let store: InMemoryStore
    let gateway = FakeGateway()
    let clocks = FixedClocks("2026-11-23T09:00:00Z")
    let observability: Observability
    let server: APIServer

    static let shardCount = 16

    init(authentication: APISettings.Authentication = .open, timerBytesMax: Int? = nil) async throws {
        self.store = InMemoryStore(clocks: self.clocks)
        self.observability = Observability(
            identity: ProcessIdentity(role: "coordinator", instance: "test", cluster: "test"), format: .json,
            sink: LogSink { _ in })
        var settings = APISettings(cluster: "test", shardCount: Self.shardCount, authentication: authentication)
        if let timerBytesMax { settings.timerBytesMax = timerBytesMax }
        self.server = APIServer(
            settings: settings, store: self.store, cluster: self.gateway, clocks: self.clocks, zones: ZoneDatabase(),
            observability: self.observability,
            gunzip: { bytes, byteCountMax in
                switch Gunzip.decompress(bytes, byteCountMax: byteCountMax) {
                case .bytes(let content): .bytes(content)
                case .tooLarge: .tooLarge
                case .malformed: .malformed
                }
            })
        _ = try await self.store.establish(
            ClusterSettings(cluster: "test", shardCount: Self.shardCount, laneCount: 4))
    }

    /// Listens on a free port while `body` runs.
    func serve(token: String? = nil, _ body: @escaping @Sendable (Calls) async throws -> Void) async throws {
        let bound = BoundPort()
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        let listener = HTTPListener(
            name: "api", router: self.server.router(), host: "127.0.0.1", port: 0, logger: logger,
            onBound: { bound.set($0) })
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [listener], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            let client = HTTPClient()
            let calls = Calls(client: client, base: "http://127.0.0.1:\(await bound.wait())", token: token)
            do {
                try await body(calls)
            } catch {
                await client.shutdown()
                await group.triggerGracefulShutdown()
                throw error
            }
            await client.shutdown()
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }
}

enum Samples {
    static let schedules = "/v1/namespaces/guest/schedules"
    static let timers = "/v1/namespaces/guest/timers"

    static func schedule(_ name: String, cron: String = "30 2 * * *") -> JSONValue {
        [
            "name": .string(name), "labels": ["team": "billing"],
            "when": ["cron": [.string(cron)], "timeZone": "Europe/Paris"],
            "target": ["action": "/guest/reports/nightly", "payload": ["limit": .number("9007199254740993")]],
        ]
    }
}
