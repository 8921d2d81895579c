import ArgumentParser
import ServiceConfiguration

/// `escapement config`: what a service would make of its settings, without starting it.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check and show the settings of the services.",
        discussion: """
            Settings come from the environment of this command, and from the configuration file that --config or \
            ESCAPEMENT_CONFIG_FILE names: the environment wins. docs/configuration.md explains them.
            """,
        subcommands: [ConfigCheckCommand.self, ConfigShowCommand.self, ConfigReferenceCommand.self])
}

/// A service whose settings are looked at.
enum ConfigRole: String, CaseIterable, ExpressibleByArgument {
    case coordinator, ticker, dispatcher

    struct Examination {
        var entries: [ConfigurationEntry]
        var warnings: [ConfigurationProblem]
        var problems: [ConfigurationProblem]
    }

    func examine(_ sources: ConfigurationSources) -> Examination {
        func examine<Configuration: ReadableConfiguration>(_ type: Configuration.Type) -> Examination {
            let (loaded, problems) = type.examine(sources)
            return Examination(entries: loaded.entries, warnings: loaded.warnings, problems: problems)
        }
        return switch self {
        case .coordinator: examine(CoordinatorConfiguration.self)
        case .ticker: examine(TickerConfiguration.self)
        case .dispatcher: examine(DispatcherConfiguration.self)
        }
    }
}

/// Where the settings to look at stand.
struct ConfigSourceOptions: ParsableArguments {
    @Option(help: "The configuration file. Without it: the one that ESCAPEMENT_CONFIG_FILE names.")
    var config: String?

    var sources: ConfigurationSources { .process(flags: self.config.map { ["config": $0] } ?? [:]) }
}
