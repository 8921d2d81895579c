import ArgumentParser
import PostgresStore
import ServiceConfiguration

/// `escapement db`: the schema in PostgreSQL. Reads the settings of the database as the coordinator does.
struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "Bring the database's schema to this release, or say how it stands.",
        discussion: """
            The database is named as for the coordinator: PGHOST, PGUSER, PGPASSWORD_FILE and libpq's other variables, or \
            DATABASE_URL.
            """,
        subcommands: [
            DatabaseMigrateCommand.self, DatabaseStatusCommand.self, DatabaseRestoredCommand.self,
        ])

    /// Where the database is, and the schema in it.
    ///
    /// - Throws: `ExitCode` 78 after saying every problem.
    static func settings() throws -> (connection: PostgresConnectionSettings, schema: String) {
        do {
            let postgres = try DatabaseConfiguration.load(from: .process(flags: [:])).model.postgres
            let connection = PostgresConnectionSettings(applicationName: "escapement-db") {
                try postgres.connectionParameters()
            }
            return (connection, postgres.schema)
        } catch {
            error.report()
            throw ExitCode(ConfigurationRefusal.exitCode)
        }
    }
}

/// The settings of the database alone: those of a whole coordinator would be asked for in vain.
private struct DatabaseConfiguration: ReadableConfiguration {
    var postgres: PostgresSettings

    init(reading reader: inout ConfigurationReader) { self.postgres = PostgresSettings(reading: &reader) }
}
