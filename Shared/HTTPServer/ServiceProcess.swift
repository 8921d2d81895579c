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

        Settings come from the environment (docs/configuration.md) or from flags of the same names:
        ESCAPEMENT_LOG_LEVEL is --log-level.

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
        let loaded: LoadedConfiguration<Settings>
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
            loaded = try Settings.load(from: .process(flags: flags.values))
            if flags.switches.contains("print-config") {
                print(loaded.listing, terminator: "")
                return ServiceMain.ExitCode.done
            }
        } catch {
            error.report()
            return ServiceMain.ExitCode.configuration
        }
        return await self.run(loaded)
    }

    private func run(_ loaded: LoadedConfiguration<Settings>) async -> Int32 {
        let common = loaded.model.common
        let observability = Observability.bootstrap(
            role: self.role.rawValue, instance: common.instance, cluster: common.cluster.name,
            level: Logger.Level(rawValue: common.logLevel.rawValue) ?? .info,
            format: LogFormat(rawValue: common.logFormat.rawValue) ?? .auto, revision: common.revision)
        let logger = observability.logger(self.role.rawValue)
        for warning in loaded.warnings {
            logger.warning(
                "configuration", event: "configuration_warning", [LogKey.reason: .string(warning.description)])
        }
        do {
            let services = try await self.assemble(loaded.model, observability)
            return await ServiceMain.run(services, logger: logger, drainLimit: common.drainLimit)
        } catch let refusal as ConfigurationRefusal {
            refusal.report()
            return ServiceMain.ExitCode.configuration
        } catch {
            logger.error("cannot start", event: "start_failed", [LogKey.error: .string("\(error)")])
            return ServiceMain.ExitCode.failed
        }
    }
}
