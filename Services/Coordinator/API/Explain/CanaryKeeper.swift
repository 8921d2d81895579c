import CoordinatorService
import EscapementModel
import JSON
package import Logging
package import Observability
import ScheduleDocuments
import Scheduling
import Store

/// The built-in canary: a schedule that fires all the time, and whose fires are compared with what is recorded all the
/// time, so that a hole anywhere on the way shows before a user's schedule falls into it.
///
/// Every coordinator has one; the one that leads works.
package struct CanaryKeeper: Sendable {
    package static let namespace = "escapement"
    package static let name = "canary"
    /// Between two looks.
    package static let every = Duration.seconds(30)
    /// How far each look reaches back.
    static let window = Duration.seconds(600)
    /// Between two fires.
    static let interval = "10s"
    private static let author = "escapement"

    private let server: APIServer
    private let isLeading: @Sendable () -> Bool
    private let metrics: CanaryMetrics
    private let logger: Logger

    package init(
        server: APIServer, isLeading: @escaping @Sendable () -> Bool, metrics: MetricsRegistry, logger: Logger
    ) {
        self.server = server
        self.isLeading = isLeading
        self.metrics = CanaryMetrics(metrics)
        self.logger = logger
    }

    /// Works until the task is cancelled.
    package func run() async {
        var loggedReason = ""
        while !Task.isCancelled {
            let reason = await self.turn()
            // An outage of hours is one line.
            if reason != loggedReason, !reason.isEmpty {
                self.logger.info(
                    "the canary is not checked", event: "canary_unchecked", [LogKey.reason: .string(reason)])
            }
            loggedReason = reason
            do { try await self.server.clocks.sleep(for: Self.every) } catch { return }
        }
    }

    /// One look: makes the schedule when it is missing, compares its last ten minutes.
    ///
    /// - Returns: why it could not be done; empty when it was, or when another coordinator does it.
    package func turn() async -> String {
        guard self.isLeading() else {
            self.metrics.rest()
            return ""
        }
        do {
            try await self.ensure()
            let now = self.server.clocks.wallNow()
            let result = try await self.server.reconciliation(
                Self.namespace, Self.name, from: now.advanced(by: .zero - Self.window), to: now,
                journalUntil: self.server.clocks.monotonicNow().advanced(by: APIServer.journalTime)
            ).result
            self.metrics.compared(result, at: now)
            if let first = result.differences.first {
                self.logger.warning(
                    "the canary's records differ from what should have fired", event: "canary_differs",
                    [
                        LogKey.count: .number(result.differences.count),
                        LogKey.reason: .string("\(first.kind.rawValue) \(first.at): \(first.detail)"),
                    ])
            }
            return ""
        } catch {
            self.metrics.failed()
            return "\(error)"
        }
    }

    /// An operator's own version, or pause, is left alone.
    private func ensure() async throws {
        let server = self.server
        let known = try await server.store.schedule(namespace: Self.namespace, name: Self.name)
        if known != nil { return }
        let now = server.clocks.wallNow()
        var generator = SystemRandomNumberGenerator()
        // Late, it would tell of a herd, not of a fault.
        let document: JSONValue = [
            "name": .string(Self.name), "priority": "high", "when": ["every": .string(Self.interval)],
            "target": [
                "action": "/escapement/canary", "topic": .string("escapement.\(server.settings.cluster).canary"),
            ],
        ]
        let reading = DocumentReading(
            settings: server.settings, zones: server.zones, namespace: Self.namespace, now: now,
            intervalMinMilliseconds: nil)
        let draft = try ScheduleDraft.read(
            document, name: nil, drawn: .random(using: &generator), reading)
        let new = NewSchedule(
            uid: draft.uid, shard: server.shard(namespace: Self.namespace, name: Self.name), namespace: Self.namespace,
            name: Self.name, createdAt: now, createdBy: Self.author, body: draft.body(namespace: Self.namespace))
        let origin = ChangeOrigin(at: now, by: Self.author)
        if case .outcome(.created(let stored)) = try await server.store.createSchedule(new, origin: origin) {
            server.cluster.changed(stored.shard)
            self.logger.info("the canary was made", event: "canary_made")
        }
    }
}

/// What reconciliation finds about the canary.
struct CanaryMetrics: Sendable {
    private enum Result: String, CaseIterable {
        case clean, different, failed
    }

    private let differences: Gauge
    private let lastCompared: Gauge
    private let comparisons: MetricFamily<Counter>

    init(_ registry: MetricsRegistry) {
        self.differences = registry.gauge(
            "escapement_canary_differences",
            "Fires of the canary in the last ten minutes that are missing or doubled among the records; 0 on coordinators that do not lead."
        )
        self.lastCompared = registry.gauge(
            "escapement_canary_compared_timestamp_seconds", "When this coordinator last compared them; 0 for never.")
        self.comparisons = registry.counters(
            "escapement_canary_comparisons_total", "Comparisons by result.", labels: ["result"])
        for result in Result.allCases { _ = self.comparisons.series(result.rawValue) }
    }

    func compared(_ result: Reconciliation, at now: WallInstant) {
        self.differences.set(Double(result.differences.count))
        self.lastCompared.set(Double(now.milliseconds) / 1000)
        let kind = result.differences.isEmpty ? Result.clean : .different
        self.comparisons.series(kind.rawValue).increment()
    }

    func failed() { self.comparisons.series(Result.failed.rawValue).increment() }

    /// Somebody else compares.
    func rest() { self.differences.set(0) }
}
