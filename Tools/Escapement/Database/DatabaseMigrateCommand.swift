import ArgumentParser
import PostgresStore

/// `escapement db migrate`: applies what is missing. To run it twice is to run it once, also at the same time.
struct DatabaseMigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Apply the migrations that are missing, each in a transaction of its own.",
        discussion: """
            Run it before the coordinators of a new release: they refuse a newer schema and wait on an older one. There is \
            no way back but a backup. The role needs the right to create the schema, or to own it.
            """)

    @Option(help: "The coordinators' role, when it is not the one that migrates: given the rights on rows only.")
    var applicationRole: String?

    func run() async throws {
        let (connection, schema) = try DatabaseCommand.settings()
        let migrator = PostgresMigrator(
            settings: connection, schema: schema, applicationRole: self.applicationRole)
        let applied = try await migrator.migrate()
        for migration in applied { print("applied \(migration.version): \(migration.name)") }
        print("the schema is at version \(PostgresMigrator.latestVersion)\(applied.isEmpty ? " already" : "")")
    }
}
