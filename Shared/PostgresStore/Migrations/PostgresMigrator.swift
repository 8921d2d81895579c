package import Store

/// Brings the schema to the version of this build: `escapement db migrate`.
///
/// Each migration is one transaction. An advisory lock lets one migrator work at a time; another one waits up
/// to 30 s and then fails as `.contended`. To run it twice is to run it once. There is no way back: restore a backup.
package struct PostgresMigrator: Sendable {
    /// One migration that has run.
    package struct Applied: Hashable, Sendable {
        package var version: Int
        package var name: String
    }

    package struct Status: Hashable, Sendable {
        package enum State: String, Hashable, Sendable {
            case applied
            case pending
            /// Applied, but its text was another one. Somebody has to find out why.
            case changed
            /// Applied by a newer build.
            case unknown
        }
        package var version: Int
        package var name: String
        package var state: State
    }

    /// The version that this build makes and needs.
    package static var latestVersion: Int { Migration.latestVersion }

    private let settings: PostgresConnectionSettings
    private let schema: String
    private let applicationRole: String?

    /// - Parameters:
    ///   - settings: of a role that may create the schema, or owns it.
    ///   - applicationRole: the role of the coordinators, given the rights on rows when it is not the owner.
    package init(settings: PostgresConnectionSettings, schema: String = "escapement", applicationRole: String? = nil) {
        self.settings = settings
        self.schema = schema
        self.applicationRole = applicationRole
    }

    /// Applies what is missing.
    ///
    /// - Returns: what was applied now, in order; empty when everything was there.
    /// - Throws: `.schemaMismatch` when an applied migration has another text here, or a newer build has been at work.
    package func migrate() async throws(StoreError) -> [Applied] {
        try await self.withConnection("migrate") { connection throws(PostgresFailure) in
            try await connection.run(PostgresStatement(once: "SELECT pg_advisory_lock($1::bigint)")(.int(Self.lockKey)))
            try await self.prepareSchema(connection)
            let statuses = try await self.read(connection)
            for status in statuses where status.state == .changed || status.state == .unknown {
                throw .server(
                    state: "42P10",
                    message: status.state == .changed
                        ? "migration \(status.version) was changed after it was applied"
                        : "migration \(status.version) is of a newer release")
            }
            var applied: [Applied] = []
            for migration in Migration.all
            where statuses.contains(where: { $0.version == migration.version && $0.state == .pending }) {
                let record = PostgresStatement(
                    once:
                        "INSERT INTO schema_migration (version, name, checksum) VALUES ($1::bigint, $2::text, $3::text)"
                )
                _ = try await connection.run(
                    migration.statements.map { PostgresStatement(once: $0)() } + [
                        record(.int(Int64(migration.version)), .text(migration.name), .text(migration.checksum))
                    ])
                applied.append(Applied(version: migration.version, name: migration.name))
            }
            try await self.grant(connection)
            return applied
        }
    }

    /// Every migration that this build or the database knows, in order of version.
    package func status() async throws(StoreError) -> [Status] {
        try await self.withConnection("read migrations") { connection throws(PostgresFailure) in
            let exists = PostgresStatement(once: "SELECT to_regclass($1::text) IS NOT NULL")
            let isThere = try await connection.run(
                exists(.text(Self.quote(self.schema) + ".schema_migration"))
            ).first { row throws(PostgresFailure) in try row.bool() }
            if isThere == true { return try await self.read(connection) }
            return Migration.all.map { Status(version: $0.version, name: $0.name, state: .pending) }
        }
    }

    /// Any number, the same for all: "escapem" in ASCII.
    private static let lockKey: Int64 = 0x65_73_63_61_70_65_6d

    static func quote(_ identifier: String) -> String {
        "\"" + identifier.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    private func withConnection<Answer: Sendable>(
        _ operation: String, _ body: (PostgresConnection) async throws(PostgresFailure) -> Answer
    ) async throws(StoreError) -> Answer {
        let connection = PostgresConnection(
            role: "migrate", settings: self.settings, schema: self.schema, limits: .migration)
        connection.start()
        let result: Result<Answer, PostgresFailure>
        do throws(PostgresFailure) {
            result = .success(try await body(connection))
        } catch {
            result = .failure(error)
        }
        // Closing also lets go of the advisory lock.
        await connection.close()
        do throws(PostgresFailure) {
            return try result.get()
        } catch {
            throw error.storeError(operation: operation)
        }
    }

    private func prepareSchema(_ connection: PostgresConnection) async throws(PostgresFailure) {
        // CREATE SCHEMA IF NOT EXISTS needs the right to create it even when it is there.
        let known = PostgresStatement(once: "SELECT FROM pg_namespace WHERE nspname = $1::text")
        if try await connection.run(known(.text(self.schema))).rowCount == 0 {
            _ = try await connection.run(PostgresStatement(once: "CREATE SCHEMA \(Self.quote(self.schema))")())
        }
        _ = try await connection.run(
            PostgresStatement(
                once: """
                    CREATE TABLE IF NOT EXISTS schema_migration (version integer PRIMARY KEY, name text NOT NULL,
                    checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
                    """)())
    }

    private func read(_ connection: PostgresConnection) async throws(PostgresFailure) -> [Status] {
        let statement = PostgresStatement(
            once: "SELECT version, name, checksum FROM schema_migration ORDER BY version")
        let rows = try await connection.run(statement()).map { row throws(PostgresFailure) in
            (version: Int(try row.int()), name: try row.text(), checksum: try row.text())
        }
        var statuses = Migration.all.map { migration in
            guard let row = rows.first(where: { $0.version == migration.version }) else {
                return Status(version: migration.version, name: migration.name, state: .pending)
            }
            return Status(
                version: migration.version, name: migration.name,
                state: row.checksum == migration.checksum ? .applied : .changed)
        }
        for row in rows where !Migration.all.contains(where: { $0.version == row.version }) {
            statuses.append(Status(version: row.version, name: row.name, state: .unknown))
        }
        return statuses
    }

    private func grant(_ connection: PostgresConnection) async throws(PostgresFailure) {
        guard let applicationRole else { return }
        let schema = Self.quote(self.schema)
        let role = Self.quote(applicationRole)
        _ = try await connection.run(
            [
                "GRANT USAGE ON SCHEMA \(schema) TO \(role)",
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA \(schema) TO \(role)",
                "GRANT USAGE ON ALL SEQUENCES IN SCHEMA \(schema) TO \(role)",
                "REVOKE INSERT, UPDATE, DELETE ON \(schema).schema_migration FROM \(role)",
            ].map { PostgresStatement(once: $0)() })
    }
}
