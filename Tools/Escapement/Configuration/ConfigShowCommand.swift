import ArgumentParser
import ServiceConfiguration

/// `escapement config show`.
struct ConfigShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show every setting of a service, its value and where it comes from.",
        discussion: "Secrets are masked. What is wrong is said on standard error, and the exit code is 78 then.")

    @Argument(help: ArgumentHelp("coordinator, ticker or dispatcher."))
    var role: ConfigRole
    @OptionGroup var source: ConfigSourceOptions
    @Flag(help: "Leave out what is at its default.")
    var changed = false

    func run() async throws {
        let examined = self.role.examine(self.source.sources)
        for entry in examined.entries where !self.changed || entry.origin != .default {
            print("\(entry.name)=\(entry.value)  # \(entry.origin)")
        }
        if !examined.problems.isEmpty { ConfigurationRefusal(examined.problems).exit() }
    }
}
