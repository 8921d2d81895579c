import ArgumentParser
import Glibc
import Scheduling

/// `escapement cron`: the calendar engine at the command line, without a server.
struct CronCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cron", abstract: "Explain and test schedule expressions; needs no server.",
        subcommands: [CronExplainCommand.self, CronNextCommand.self, CronImportCommand.self])

    /// The zones of this machine, or of `ESCAPEMENT_TZDIR`.
    static func zones() -> ZoneDatabase {
        ZoneDatabase(directory: getenv("ESCAPEMENT_TZDIR").map { String(cString: $0) })
    }
}

/// How results are printed.
enum CronOutput: String, ExpressibleByArgument, CaseIterable {
    case text
    case json
}
