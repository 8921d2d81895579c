import ArgumentParser
import JSON
import PostgresStore

/// `escapement db status`: every migration and whether it was applied. Changes nothing.
struct DatabaseStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "List the migrations; exit code 1 when the schema is not this release's.")

    @Option(name: .shortAndLong, help: "text or json.")
    var output = CronOutput.text

    func run() async throws {
        let (connection, schema) = try DatabaseCommand.settings()
        let statuses = try await PostgresMigrator(settings: connection, schema: schema).status()
        switch self.output {
        case .text:
            for status in statuses { print("\(status.state.rawValue) \(status.version): \(status.name)") }
        case .json:
            let list = JSONValue.array(
                statuses.map { status in
                    .record([
                        "version": .integer(status.version), "name": .string(status.name),
                        "state": .string(status.state.rawValue),
                    ])
                })
            print(list.prettyText)
        }
        guard statuses.allSatisfy({ $0.state == .applied }) else { throw ExitCode.failure }
    }
}
