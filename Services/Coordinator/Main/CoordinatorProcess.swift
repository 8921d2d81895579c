import EscapementModel
import HTTPServer
import Logging
import Observability
import ServiceConfiguration

/// `escapement-coordinator`: reads the configuration, builds everything once, runs it.
enum CoordinatorProcess {
    private static let usage = """
        escapement-coordinator: the API, who leads, who is there, who owns which shard. Run at least two.

        Settings come from the environment (docs/configuration.md) or from flags of the same names:
        ESCAPEMENT_HTTP_LISTEN is --http-listen.

          health          asks the running service whether it is ready ('health --help')
          --print-config  shows every setting, its value and where it comes from, and ends
          --version       shows the version and ends
          --help          shows this and ends

        """

    /// - Parameter arguments: without the program's name.
    /// - Returns: the exit code; 78 for a configuration that cannot be used.
    static func main(_ arguments: [String]) async -> Int32 {
        if arguments.first == "health" { return HealthProbe.main(Array(arguments.dropFirst())) }
        let loaded: LoadedConfiguration<CoordinatorConfiguration>
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
            loaded = try CoordinatorConfiguration.load(from: .process(flags: flags.values))
            if flags.switches.contains("print-config") {
                print(loaded.listing, terminator: "")
                return ServiceMain.ExitCode.done
            }
        } catch {
            error.report()
            return ServiceMain.ExitCode.configuration
        }
        let common = loaded.model.common
        let observability = Observability.bootstrap(
            role: Role.coordinator.rawValue, instance: common.instance, cluster: common.cluster.name,
            level: Logger.Level(rawValue: common.logLevel.rawValue) ?? .info,
            format: LogFormat(rawValue: common.logFormat.rawValue) ?? .auto, revision: common.revision)
        let logger = observability.logger("coordinator")
        for warning in loaded.warnings {
            logger.warning(
                "configuration", event: "configuration_warning", [LogKey.reason: .string(warning.description)])
        }
        do {
            let services = try await CoordinatorAssembly(loaded.model, observability: observability).services()
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
