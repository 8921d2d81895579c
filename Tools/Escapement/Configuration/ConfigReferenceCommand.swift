import ArgumentParser
import ServiceConfiguration

/// `escapement config reference`.
struct ConfigReferenceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reference", abstract: "Print the reference of all settings, Markdown.")

    func run() async throws { print(ConfigurationReference.markdown(), terminator: "") }
}
