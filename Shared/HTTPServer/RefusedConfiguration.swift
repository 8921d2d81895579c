package import EscapementModel
import Logging
package import Observability
package import ServiceConfiguration
import ServiceLifecycle

/// A service whose settings cannot be used and that is to stay: one line in the log, one condition that keeps it from being
/// ready, one metric. It looks again and again, since a Secret may be mended in place, and ends when all is well.
package struct RefusedConfiguration: Service {
    package static let metric = "escapement_config_problems"
    package static let help =
        "Problems for which the settings are refused; the service does nothing until they are mended."
    /// Between two looks.
    package static let period = Duration.seconds(10)
    private static let condition = "configuration"

    private let clocks: any Clocks
    private let logger: Logger
    private let isMended: @Sendable () -> Bool
    private let end: @Sendable () -> Void

    /// - Parameters:
    ///   - isMended: whether the settings can be used by now.
    ///   - end: asks the process to stop; called once.
    package init(
        _ refusal: ConfigurationRefusal, clocks: any Clocks, observability: Observability,
        isMended: @escaping @Sendable () -> Bool, end: @escaping @Sendable () -> Void
    ) {
        self.end = end
        self.clocks = clocks
        self.logger = observability.logger("configuration")
        self.isMended = isMended
        let reason = refusal.problems.map(\.description).joined(separator: "; ")
        observability.health.declare(
            Self.condition, kind: .condition, gates: [.startup, .readiness], initially: .notReady(reason))
        observability.metrics.gauge(Self.metric, Self.help).set(Double(refusal.problems.count))
        self.logger.error(
            "the settings are refused, nothing else runs", event: "configuration_refused",
            [LogKey.reason: .string(reason), LogKey.count: .number(refusal.problems.count)])
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var hasEnded = false
            while !Task.isCancelled {
                do { try await self.clocks.sleep(for: Self.period) } catch { return }
                if !hasEnded, self.isMended() {
                    self.logger.info("the settings are mended, starting anew", event: "configuration_mended")
                    hasEnded = true
                    self.end()
                }
            }
        }
    }
}
