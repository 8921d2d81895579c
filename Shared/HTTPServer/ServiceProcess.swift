#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
package import EscapementModel
import Logging
package import Observability
package import ServiceConfiguration
package import ServiceLifecycle

/// Settings of a service: what every service has, and its own.
package protocol ServiceSettings: ReadableConfiguration {
    var common: CommonConfiguration { get }
}

extension CoordinatorConfiguration: ServiceSettings {}
extension TickerConfiguration: ServiceSettings {}
extension DispatcherConfiguration: ServiceSettings {}

/// The main function of a service: reads the configuration, builds everything once, runs it, answers the exit code.
package struct ServiceProcess<Settings: ServiceSettings>: Sendable {
    private let role: Role
    private let summary: String
    private let assemble: @Sendable (Settings, Observability) async throws -> [any Service]

    /// - Parameters:
    ///   - summary: one line for `--help`.
    ///   - assemble: builds the services, in the order of their dependencies. Throws `ConfigurationRefusal` for what a
    ///     restart does not mend.
    package init(
        _ role: Role, summary: String,
        assemble: @escaping @Sendable (Settings, Observability) async throws -> [any Service]
    ) {
        self.role = role
        self.summary = summary
        self.assemble = assemble
    }

    private var usage: String {
        """
        escapement-\(self.role.rawValue): \(self.summary)

        Settings come from flags, the environment and a file (docs/configuration.md): ESCAPEMENT_LOG_LEVEL is
        --log-level, and log.level in the file.

          --config FILE   reads the configuration file FILE (or ESCAPEMENT_CONFIG_FILE)
          health          asks the running service whether it is ready ('health --help')
          --print-config  shows every setting, its value and where it comes from, and ends
          --version       shows the version and ends
          --help          shows this and ends

        """
    }

    /// - Parameter arguments: without the program's name.
    /// - Returns: the exit code; 78 for a configuration that cannot be used.
    package func main(_ arguments: [String]) async -> Int32 {
        if arguments.first == "health" { return HealthProbe.main(Array(arguments.dropFirst())) }
        let sources: ConfigurationSources
        let isListing: Bool
        do throws(ConfigurationRefusal) {
            let flags = try CommandLineFlags(arguments)
            if flags.switches.contains("help") {
                print(self.usage, terminator: "")
                return ServiceMain.ExitCode.done
            }
            if flags.switches.contains("version") {
                print(BuildInformation.version)
                return ServiceMain.ExitCode.done
            }
            isListing = flags.switches.contains("print-config")
            sources = .process(flags: flags.values)
        } catch {
            error.report()
            return ServiceMain.ExitCode.configuration
        }
        let (loaded, problems) = Settings.examine(sources)
        if problems.isEmpty, isListing {
            print(loaded.listing, terminator: "")
            return ServiceMain.ExitCode.done
        }
        if problems.isEmpty { return await self.run(loaded) }
        if loaded.model.common.whenRefused == .exit || isListing {
            ConfigurationRefusal(problems).report()
            return ServiceMain.ExitCode.configuration
        }
        let observability = self.observability(loaded)
        return await self.stay(ConfigurationRefusal(problems), loaded.model.common, observability) {
            Settings.examine(sources.withFile()).problems.isEmpty
        }
    }

    private func observability(_ loaded: LoadedConfiguration<Settings>) -> Observability {
        let common = loaded.model.common
        let observability = Observability.bootstrap(
            role: self.role.rawValue, instance: common.instance, cluster: common.cluster.name,
            level: Logger.Level(rawValue: common.logLevel.rawValue) ?? .info,
            format: LogFormat(rawValue: common.logFormat.rawValue) ?? .auto, revision: common.revision)
        let metrics = observability.metrics
        metrics.gauges(
            "escapement_config_info", "A hash of the settings that members share; always 1.", labels: ["hash"]
        ).series(loaded.fingerprint).set(1)
        metrics.gauge("escapement_config_deprecated_keys", "Old names of settings in use.")
            .set(Double(loaded.deprecatedKeyCount))
        metrics.gauge(RefusedConfiguration.metric, RefusedConfiguration.help).set(0)
        return observability
    }

    /// Serves the admin port alone, so that whoever looks learns why nothing else runs.
    ///
    /// - Parameter isMended: looks again; then the process ends, for its supervisor to start it anew.
    private func stay(
        _ refusal: ConfigurationRefusal, _ common: CommonConfiguration, _ observability: Observability,
        isMended: @escaping @Sendable () -> Bool
    ) async -> Int32 {
        let logger = observability.logger(self.role.rawValue)
        let refused = RefusedConfiguration(
            refusal, clocks: SystemClocks(), observability: observability, isMended: isMended,
            end: { kill(getpid(), SIGTERM) })
        let admin = AdminServer(
            host: common.adminListen.host, port: common.adminListen.port, observability: observability,
            onBound: { port in
                logger.info("admin port open", event: "admin_listening", [LogKey.address: .string("\(port)")])
            })
        return await ServiceMain.run([admin, refused], logger: logger, drainLimit: common.drainLimit)
    }

    private func run(_ loaded: LoadedConfiguration<Settings>) async -> Int32 {
        let common = loaded.model.common
        let observability = self.observability(loaded)
        let logger = observability.logger(self.role.rawValue)
        for warning in loaded.warnings {
            logger.warning(
                "configuration", event: "configuration_warning", [LogKey.reason: .string(warning.description)])
        }
        do {
            let services: [any Service] =
                [ClockWatch(clocks: SystemClocks(), observability: observability)]
                + (try await self.assemble(loaded.model, observability))
            return await ServiceMain.run(services, logger: logger, drainLimit: common.drainLimit)
        } catch let refusal as ConfigurationRefusal {
            // What was refused here are files; a pod whose Secret is mended is started anew by hand.
            if common.whenRefused == .stay {
                return await self.stay(refusal, common, observability, isMended: { false })
            }
            refusal.report()
            return ServiceMain.ExitCode.configuration
        } catch {
            logger.error("cannot start", event: "start_failed", [LogKey.error: .string("\(error)")])
            return ServiceMain.ExitCode.failed
        }
    }
}
