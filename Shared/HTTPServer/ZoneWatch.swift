package import EscapementModel
import Logging
package import Observability
package import Scheduling
import ServiceLifecycle

/// Reads the time-zone files again and again, says in the log what a new release moves, and tells who has
/// schedules in those zones. Occurrences that were fired are not touched; future ones follow the new rules.
package struct ZoneWatch: Service {
    /// Between two looks: each reads one small file for every zone in use.
    package static let period = Duration.seconds(60)

    private let zones: ZoneDatabase
    private let clocks: any Clocks
    private let logger: Logger
    private let information: MetricFamily<Gauge>
    private let changed: @Sendable (Set<String>) -> Void

    /// - Parameter changed: told the names of zones whose rules are new, after the database has them.
    package init(
        zones: ZoneDatabase, clocks: any Clocks, observability: Observability,
        changed: @escaping @Sendable (Set<String>) -> Void = { _ in }
    ) {
        self.zones = zones
        self.clocks = clocks
        self.logger = observability.logger("zones")
        self.information = observability.metrics.gauges(
            "escapement_tzdata_info", "The release of the time-zone data in use; 1.", labels: ["version"])
        self.changed = changed
        self.information.series(zones.version ?? Self.unknown).set(1)
    }

    private static let unknown = "unknown"

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var lost: Set<String> = []
            while !Task.isCancelled {
                do { try await self.clocks.sleep(for: Self.period) } catch { break }
                self.look(alreadyLost: &lost)
            }
        }
    }

    /// One look.
    ///
    /// - Parameter lost: zones whose loss was told before; it is not told again.
    package func look(alreadyLost lost: inout Set<String>) {
        let reload = self.zones.reload()
        let before = reload.versionBefore ?? Self.unknown
        let after = reload.versionAfter ?? Self.unknown
        if before != after {
            self.information.series(before).set(0)
            self.information.series(after).set(1)
        }
        let lostNow = Set(reload.changes.filter(\.isLost).map(\.zone))
        for zone in lostNow.subtracting(lost).sorted() {
            self.logger.error(
                "time zone lost, the rules known stay in use", event: "zone_lost", [LogKey.timeZone: .string(zone)])
        }
        lost = lostNow
        let moved = reload.changes.filter { !$0.isLost }
        for change in moved {
            let from = WallInstant(milliseconds: Int64(clamping: change.fromSecond) * 1000)
            self.logger.warning(
                "time zone changed", event: "zone_changed",
                [
                    LogKey.timeZone: .string(change.zone), LogKey.validFrom: .string(from.description),
                    LogKey.tzdata: .string("\(before) to \(after)"),
                ])
        }
        if !moved.isEmpty { self.changed(Set(moved.map(\.zone))) }
    }
}
