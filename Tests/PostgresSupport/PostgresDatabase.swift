import Glibc
import Logging
package import PostgresStore

/// A schema of its own, migrated, in the server that the environment names (`PGHOST` or `DATABASE_URL`, with libpq's
/// other variables) or in a private one that all tests of this process share.
package struct PostgresDatabase: Sendable {
    package let settings: PostgresConnectionSettings
    package let schema: String

    /// A schema that is there already.
    package init(settings: PostgresConnectionSettings, schema: String) {
        self.settings = settings
        self.schema = schema
    }

    /// Whether tests against PostgreSQL can run on this machine.
    package static var isAvailable: Bool { Self.isNamed || PostgresServer.programs != nil }

    private static var isNamed: Bool { getenv("PGHOST") != nil || getenv("DATABASE_URL") != nil }

    /// One for the process; kept to its end.
    private static let shared = Task { try await PostgresServer() }

    /// A new schema, migrated unless the test does that itself.
    package static func make(migrated: Bool = true) async throws -> PostgresDatabase {
        try await Self.make(in: try await Self.serverSettings(), migrated: migrated)
    }

    /// A new schema in a server of the test's own.
    package static func make(in server: PostgresServer, migrated: Bool = true) async throws -> PostgresDatabase {
        try await Self.make(in: server.settings, migrated: migrated)
    }

    private static func make(
        in settings: PostgresConnectionSettings, migrated: Bool
    ) async throws -> PostgresDatabase {
        var random = SystemRandomNumberGenerator()
        let schema = "test_\(String(random.next() as UInt64, radix: 36))"
        if migrated { _ = try await PostgresMigrator(settings: settings, schema: schema).migrate() }
        return PostgresDatabase(settings: settings, schema: schema)
    }

    private static func serverSettings() async throws -> PostgresConnectionSettings {
        guard Self.isNamed else { return try await Self.shared.value.settings }
        // libpq reads its own variables.
        let url = getenv("DATABASE_URL").map { String(cString: $0) }
        return PostgresConnectionSettings(parameters: url.map { [("dbname", $0)] } ?? [])
    }

    /// A store on the schema, started. Whoever asks for it closes it.
    package func store(
        named name: String = "escapement-test", options: PostgresStoreOptions = PostgresStoreOptions()
    ) -> PostgresStore {
        var settings = self.settings
        settings.applicationName = name
        var options = options
        options.schema = self.schema
        let store = PostgresStore(
            settings: settings, options: options,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        store.start()
        return store
    }

    /// Runs `body` with a store and closes it.
    package func withStore<Answer: Sendable>(
        options: PostgresStoreOptions = PostgresStoreOptions(),
        isolation: isolated (any Actor)? = #isolation, _ body: (PostgresStore) async throws -> Answer
    ) async throws -> Answer {
        let store = self.store(options: options)
        let result: Result<Answer, any Error>
        do { result = .success(try await body(store)) } catch { result = .failure(error) }
        await store.close()
        return try result.get()
    }

    /// A connection for a test's own statements. Whoever asks for it closes it.
    package func connection(limits: PostgresLimits = .schedules) -> PostgresConnection {
        let connection = PostgresConnection(
            role: "test", settings: self.settings, schema: self.schema, limits: limits)
        connection.start()
        return connection
    }

    /// Runs one statement of the test's own.
    @discardableResult
    package func run(_ sql: String, _ values: PostgresValue...) async throws -> PostgresResult {
        let connection = self.connection()
        let result: Result<PostgresResult, PostgresFailure>
        do throws(PostgresFailure) {
            result = .success(
                try await connection.run(PostgresCall(statement: PostgresStatement(once: sql), values: values)))
        } catch {
            result = .failure(error)
        }
        await connection.close()
        return try result.get()
    }

    /// Removes the schema. Tests on a server that lives on call it at their end.
    package func drop() async throws { try await self.run("DROP SCHEMA IF EXISTS \"\(self.schema)\" CASCADE") }
}
