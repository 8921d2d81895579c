package import Logging
import Synchronization

/// Whether one thing is well, and if not, why, in words an operator understands.
package enum HealthStatus: Equatable, Sendable {
    case ok
    /// Not well. The reason names the cause and never a password, token, key or payload.
    case notReady(String)

    package var isOK: Bool { self == .ok }
}

/// The probes of Kubernetes.
package struct HealthProbes: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Has it started? Once true, stays true.
    package static let startup = HealthProbes(rawValue: 1)
    /// Should it get work now?
    package static let readiness = HealthProbes(rawValue: 2)
    /// Is the process itself stuck? Never asks a dependency: restarting us repairs none.
    package static let liveness = HealthProbes(rawValue: 4)
}

/// The answer to one probe.
package struct HealthReport: Equatable, Sendable {
    package struct Check: Equatable, Sendable {
        package var name: String
        package var status: HealthStatus
    }

    /// The checks that gate the probe, in the order they were declared.
    package var checks: [Check]

    package var isOK: Bool { self.checks.allSatisfy(\.status.isOK) }

    /// Without the checks called in `names`.
    package func excluding(_ names: [String]) -> HealthReport {
        HealthReport(checks: self.checks.filter { !names.contains($0.name) })
    }

    /// `[+]postgres ok` and `[-]kafka failed: …`, a line each, as kube-apiserver prints them.
    package var text: String {
        self.checks.map { check in
            switch check.status {
            case .ok: "[+]\(check.name) ok\n"
            case .notReady(let reason): "[-]\(check.name) failed: \(reason)\n"
            }
        }.joined()
    }
}

/// What a process depends on and which conditions it must meet, and what the probes make of it.
///
/// Every change is logged once, in one line with the reason, and dependencies show as
/// `escapement_dependency_up`. Cheap: a probe copies a few values under a lock.
package final class Health: Sendable {
    /// What a named status stands for.
    package enum Kind: Sendable {
        /// Another system; logged as `dependency_down`/`dependency_up`, with a metric.
        case dependency
        /// A state of our own, such as `draining`; logged as `condition_unmet`/`condition_met`.
        case condition
    }

    private struct Entry {
        var name: String
        var kind: Kind
        var gates: HealthProbes
        var status: HealthStatus
    }

    private struct State {
        var entries: [Entry] = []
        var livenessChecks: [(name: String, check: @Sendable () -> HealthStatus)] = []
        var hasStarted = false
    }

    private let state = Mutex(State())
    private let logger: Logger
    private let dependencyUp: MetricFamily<Gauge>

    package init(logger: Logger, metrics: MetricsRegistry) {
        self.logger = logger
        self.dependencyUp = metrics.gauges(
            "escapement_dependency_up", "1 when the dependency answers, else 0.", labels: ["dependency"])
    }

    /// Announces a name before its first `set`, with the probes it gates; logs nothing.
    ///
    /// A dispatcher's Kafka gates `startup` only: were it to gate readiness, a broker outage would take
    /// every dispatcher out at once.
    package func declare(
        _ name: String, kind: Kind = .dependency, gates: HealthProbes = [.startup, .readiness],
        initially status: HealthStatus = .notReady("not checked yet")
    ) {
        self.state.withLock { state in
            let entry = Entry(name: name, kind: kind, gates: gates, status: status)
            if let index = state.entries.firstIndex(where: { $0.name == name }) {
                state.entries[index] = entry
            } else {
                state.entries.append(entry)
            }
        }
        self.show(name, kind, status)
    }

    /// Notes the state of `name`. Equal to the last one: nothing happens. A name that was not declared
    /// counts as a dependency that gates startup and readiness.
    package func set(_ name: String, _ status: HealthStatus) {
        let changed: Kind? = self.state.withLock { state in
            guard let index = state.entries.firstIndex(where: { $0.name == name }) else {
                state.entries.append(
                    Entry(name: name, kind: .dependency, gates: [.startup, .readiness], status: status))
                return .dependency
            }
            guard state.entries[index].status != status else { return nil }
            state.entries[index].status = status
            return state.entries[index].kind
        }
        guard let kind = changed else { return }
        self.show(name, kind, status)
        self.log(name, kind, status)
    }

    /// The last status noted for `name`; `nil` for an unknown name.
    package func status(of name: String) -> HealthStatus? {
        self.state.withLock { $0.entries.first { $0.name == name }?.status }
    }

    /// Adds a check that is asked on every liveness probe. It must answer at once, from memory.
    package func addLivenessCheck(_ name: String, _ check: @escaping @Sendable () -> HealthStatus) {
        self.state.withLock { $0.livenessChecks.append((name, check)) }
    }

    /// The answer to a readiness probe.
    package var readiness: HealthReport { self.report(.readiness) }

    /// The answer to a startup probe. Once it was good it stays good.
    package var startup: HealthReport {
        let report = self.report(.startup)
        let hasStarted = self.state.withLock { state in
            if report.isOK { state.hasStarted = true }
            return state.hasStarted
        }
        return hasStarted
            ? HealthReport(checks: report.checks.map { HealthReport.Check(name: $0.name, status: .ok) }) : report
    }

    /// The answer to a liveness probe.
    package var liveness: HealthReport {
        let checks = self.state.withLock { $0.livenessChecks }
        return HealthReport(checks: checks.map { HealthReport.Check(name: $0.name, status: $0.check()) })
    }

    private func report(_ probe: HealthProbes) -> HealthReport {
        self.state.withLock { state in
            HealthReport(
                checks: state.entries.filter { $0.gates.contains(probe) }
                    .map { HealthReport.Check(name: $0.name, status: $0.status) })
        }
    }

    private func show(_ name: String, _ kind: Kind, _ status: HealthStatus) {
        if kind == .dependency { self.dependencyUp.series(name).set(status.isOK ? 1 : 0) }
    }

    private func log(_ name: String, _ kind: Kind, _ status: HealthStatus) {
        switch (kind, status) {
        case (.dependency, .ok):
            self.logger.info("dependency up", event: "dependency_up", [LogKey.dependency: .string(name)])
        case (.dependency, .notReady(let reason)):
            self.logger.warning(
                "dependency down", event: "dependency_down",
                [LogKey.dependency: .string(name), LogKey.reason: .string(reason)])
        case (.condition, .ok):
            self.logger.info("condition met", event: "condition_met", ["condition": .string(name)])
        case (.condition, .notReady(let reason)):
            self.logger.info(
                "condition not met", event: "condition_unmet",
                ["condition": .string(name), LogKey.reason: .string(reason)])
        }
    }
}
