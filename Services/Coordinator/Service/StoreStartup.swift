import EscapementModel
import Logging
import Observability
import Store

/// This coordinator's cluster settings are not those that the cluster was made with. A retry does not help.
package struct ClusterSettingsMismatch: Error, Equatable, Sendable, CustomStringConvertible {
    /// A setting that differs.
    package struct Difference: Equatable, Sendable {
        /// The variable: `ESCAPEMENT_CLUSTER_SHARDS`.
        package var setting: String
        package var ours: String
        package var stored: String

        package var message: String {
            "is \(self.ours), but the cluster in this database was made with \(self.stored)"
        }
        package var remedy: String { "set it to \(self.stored), or use another database" }
    }

    package var differences: [Difference]

    package var description: String {
        self.differences.map { "\($0.setting) \($0.message); \($0.remedy)" }.joined(separator: "\n")
    }

    init?(ours: ClusterSettings, stored: ClusterSettings) {
        let pairs = [
            ("ESCAPEMENT_CLUSTER_NAME", ours.cluster, stored.cluster),
            ("ESCAPEMENT_CLUSTER_SHARDS", "\(ours.shardCount)", "\(stored.shardCount)"),
            ("ESCAPEMENT_CLUSTER_LANES", "\(ours.laneCount)", "\(stored.laneCount)"),
        ]
        self.differences = pairs.filter { $0.1 != $0.2 }.map { Difference(setting: $0.0, ours: $0.1, stored: $0.2) }
        if self.differences.isEmpty { return nil }
    }
}

/// Waits for the database and its schema, then compares the cluster's fixed settings with ours.
struct StoreStartup: Sendable {
    /// The name of the condition among the health checks.
    static let check = "schema"

    let store: any ScheduleStore
    let clocks: any Clocks
    let settings: CoordinatorSettings
    let health: Health
    let logger: Logger

    init(
        store: any ScheduleStore, clocks: any Clocks, settings: CoordinatorSettings, health: Health, logger: Logger
    ) {
        self.store = store
        self.clocks = clocks
        self.settings = settings
        self.health = health
        self.logger = logger
        health.declare(Self.check, kind: .condition, initially: .notReady("the database has not been reached yet"))
    }

    /// Returns when the store can be used, also after hours without a database.
    ///
    /// - Throws: `ClusterSettingsMismatch`, `CancellationError`.
    func run() async throws {
        let ours = ClusterSettings(
            cluster: self.settings.cluster, shardCount: self.settings.shardCount, laneCount: self.settings.laneCount)
        while true {
            do {
                switch try await self.store.checkSchema() {
                case .current:
                    let stored = try await self.store.establish(ours)
                    if let mismatch = ClusterSettingsMismatch(ours: ours, stored: stored) { throw mismatch }
                    self.health.set(Self.check, .ok)
                    return
                case .older(let version, let needed):
                    self.health.set(
                        Self.check,
                        .notReady("has version \(version), \(needed) is needed: run `escapement db migrate`"))
                case .newer(let version, let known):
                    self.health.set(
                        Self.check, .notReady("has version \(version), this build knows \(known): upgrade it"))
                }
            } catch let error as StoreError {
                self.health.set(Self.check, .notReady(error.detail))
            }
            try await self.clocks.sleep(for: self.settings.retryEvery)
        }
    }
}
