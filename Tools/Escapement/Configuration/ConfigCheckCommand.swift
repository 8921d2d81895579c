import ArgumentParser
import ServiceConfiguration

/// `escapement config check`.
struct ConfigCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "List everything that is wrong with the settings, at once.",
        discussion: "Exits with 78, as the service would, when there is a problem; warnings alone are no problem.")

    @OptionGroup var source: ConfigSourceOptions
    @Option(help: ArgumentHelp("coordinator, ticker or dispatcher; several times for several. Without it: all."))
    var role: [ConfigRole] = []
    @Flag(help: "Take warnings for problems.")
    var strict = false

    func run() async throws {
        let roles = self.role.isEmpty ? ConfigRole.allCases : self.role
        let sources = self.source.sources
        var lines: [(text: String, roles: [ConfigRole])] = []
        var hasProblem = false
        for role in roles {
            let examined = role.examine(sources)
            hasProblem = hasProblem || !examined.problems.isEmpty || (self.strict && !examined.warnings.isEmpty)
            let texts =
                examined.problems.map { "problem: \($0)" } + examined.warnings.map { "warning: \($0)" }
            for text in texts {
                if let index = lines.firstIndex(where: { $0.text == text }) {
                    lines[index].roles.append(role)
                } else {
                    lines.append((text, [role]))
                }
            }
        }
        for line in lines {
            let whose =
                line.roles.count == roles.count ? "" : " [\(line.roles.map(\.rawValue).joined(separator: ", "))]"
            print(line.text + whose)
        }
        if hasProblem { throw ExitCode(ConfigurationRefusal.exitCode) }
        print("the settings of \(roles.map(\.rawValue).joined(separator: ", ")) can be used")
    }
}
