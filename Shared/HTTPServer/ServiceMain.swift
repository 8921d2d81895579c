@preconcurrency import Dispatch
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
package import Logging
import Observability
import ServiceConfiguration
package import ServiceLifecycle

/// How a process of ours runs and ends: one service group, signals, exit codes.
package enum ServiceMain {
    /// Time after the soft limit in which cancelled services must end before the process does.
    package static let cancellationPatience = Duration.seconds(10)

    /// How a process ended.
    package enum ExitCode {
        package static let done: Int32 = 0
        package static let failed: Int32 = 1
        /// `EX_CONFIG`: the configuration is refused; restarting does not help.
        package static let configuration = ConfigurationRefusal.exitCode
    }

    /// Runs `services`, in the order of their dependencies, until the first SIGTERM or SIGINT or the first
    /// failure, and answers the exit code.
    ///
    /// A first signal shuts down gracefully, in reverse order. A second one, or `drainLimit` plus
    /// `cancellationPatience` later, ends the process at once; every service is safe against that.
    package static func run(
        _ services: [any Service], logger: Logger, drainLimit: Duration
    ) async -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        var configuration = ServiceGroupConfiguration(services: services, logger: Self.quiet(logger))
        configuration.maximumGracefulShutdownDuration = drainLimit
        let group = ServiceGroup(configuration: configuration)
        let watchdog = DispatchWorkItem {
            logger.error("services did not stop in time", event: "shutdown_forced")
            _exit(ExitCode.failed)
        }
        let signals = await TerminationSignals.watch(
            first: { signal in
                logger.info("shutting down", event: "shutdown_requested", [LogKey.signal: .string(signal)])
                let limit = (drainLimit + Self.cancellationPatience).seconds
                DispatchQueue.global().asyncAfter(deadline: .now() + limit, execute: watchdog)
                // Ends at once; the group reports its own errors to `run`.
                Task { await group.triggerGracefulShutdown() }
            },
            second: { signal in
                logger.warning("exiting at once", event: "shutdown_forced", [LogKey.signal: .string(signal)])
                _exit(ExitCode.failed)
            })
        defer {
            signals.cancel()
            watchdog.cancel()
        }
        do {
            try await group.run()
            logger.info("stopped", event: "process_stopped")
            return ExitCode.done
        } catch let refusal as ConfigurationRefusal {
            refusal.report()
            return ExitCode.configuration
        } catch {
            logger.error(
                "service failed", event: "service_failed",
                [LogKey.error: .string("\(error)"), LogKey.errorType: .string("\(type(of: error))")])
            return ExitCode.failed
        }
    }

    /// The group's own lines carry no event code; what matters is logged here.
    private static func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(.error, logger.logLevel)
        return quiet
    }
}

/// Watches SIGTERM and SIGINT on a queue of its own, so that the second one works even when every thread
/// of the cooperative pool is stuck.
private final class TerminationSignals: Sendable {
    private let sources: [any DispatchSourceSignal]

    /// Returns when the signals are caught; until then they end the process as they always do.
    static func watch(
        first: @escaping @Sendable (String) -> Void, second: @escaping @Sendable (String) -> Void
    ) async -> TerminationSignals {
        let queue = DispatchQueue(label: "escapement.signals")
        let count = Counter()
        var sources: [any DispatchSourceSignal] = []
        for (number, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
            #if canImport(Darwin)
            // There the source sees a signal beside its disposition, which must not end the process.
            signal(number, SIG_IGN)
            #endif
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                count.increment()
                if count.value == 1 { first(name) } else { second(name) }
            }
            await withCheckedContinuation { continuation in
                source.setRegistrationHandler { continuation.resume() }
                source.activate()
            }
            sources.append(source)
        }
        return TerminationSignals(sources: sources)
    }

    private init(sources: [any DispatchSourceSignal]) { self.sources = sources }

    func cancel() {
        for source in self.sources { source.cancel() }
    }
}
