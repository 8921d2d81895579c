import PostgresStore
import PostgresSupport
import Store
import Testing

@Suite(.enabled(if: PostgresDatabase.isAvailable, "PostgreSQL is not installed and PGHOST is not set"))
struct PostgresMigratorTests {
    @Test func `a schema is made once, and to migrate again changes nothing`() async throws {
        let database = try await PostgresDatabase.make(migrated: false)
        let migrator = PostgresMigrator(settings: database.settings, schema: database.schema)
        #expect(try await migrator.status().allSatisfy { $0.state == .pending })
        #expect(try await migrator.migrate().map(\.version) == Array(1...PostgresMigrator.latestVersion))
        #expect(try await migrator.migrate().isEmpty)
        #expect(try await migrator.status().allSatisfy { $0.state == .applied })
        try await database.drop()
    }

    @Test func `two migrators at once apply each migration once`() async throws {
        let database = try await PostgresDatabase.make(migrated: false)
        let migrator = PostgresMigrator(settings: database.settings, schema: database.schema)
        async let first = migrator.migrate()
        async let second = migrator.migrate()
        let applied = try await first.map(\.version) + second.map(\.version)
        #expect(applied.sorted() == Array(1...PostgresMigrator.latestVersion))
        try await database.drop()
    }

    @Test func `a migration that was changed after it was applied stops the next run`() async throws {
        let database = try await PostgresDatabase.make()
        try await database.run("UPDATE schema_migration SET checksum = 'other' WHERE version = 1")
        let migrator = PostgresMigrator(settings: database.settings, schema: database.schema)
        #expect(try await migrator.status().first?.state == .changed)
        let error = await #expect(throws: StoreError.self) { try await migrator.migrate() }
        #expect(error?.code == .schemaMismatch)
        try await database.drop()
    }

    @Test func `a store tells an older and a newer schema from its own`() async throws {
        let database = try await PostgresDatabase.make()
        try await database.withStore { store in
            let version = PostgresMigrator.latestVersion
            #expect(try await store.checkSchema() == .current(version: version))
            try await database.run(
                "INSERT INTO schema_migration (version, name, checksum) VALUES (1000, 'of the future', '')")
            #expect(try await store.checkSchema() == .newer(version: 1000, known: version))
            try await database.run("DELETE FROM schema_migration WHERE version >= 1")
            #expect(try await store.checkSchema() == .older(version: 0, needed: version))
        }
        try await database.drop()
    }
}
