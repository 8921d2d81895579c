import EscapementModel
import PostgresStore

extension PostgresDatabase {
    /// Ends every session of the store that has this name, as a network or an operator would.
    package func terminateSessions(named name: String) async throws {
        try await self.run(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1::text",
            .text(name))
    }

    /// The server processes of the sessions with this name that run a statement holding `text`.
    package func processes(named name: String, running text: String = "") async throws -> [Int32] {
        let result = try await self.run(
            """
            SELECT pid::bigint FROM pg_stat_activity
            WHERE application_name = $1::text AND position($2::text IN query) > 0 ORDER BY pid
            """, .text(name), .text(text))
        return try result.map { row throws(PostgresFailure) in Int32(truncatingIfNeeded: try row.int()) }
    }

    /// Waits until a session with this name waits for a lock.
    package func untilBlocked(named name: String) async throws {
        try await self.until("a session named \(name) waits for a lock") {
            let result = try await self.run(
                """
                SELECT FROM pg_stat_activity WHERE application_name = $1::text AND wait_event_type = 'Lock'
                """, .text(name))
            return result.rowCount > 0
        }
    }

    /// Waits until `condition` holds.
    package func until(
        _ what: String, isolation: isolated (any Actor)? = #isolation, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock().now.advanced(by: .seconds(60))
        while try await !condition() {
            guard ContinuousClock().now < deadline else { throw PostgresServerError("still not: \(what)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}
