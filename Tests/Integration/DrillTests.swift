import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// What docs/operations.md says about lost data, done.
@Suite(.serialized) struct DrillTests {
    /// How far the checkpoint in PostgreSQL may lie behind the journal, with room for a slow machine.
    private static let checkpointAgeMax = Duration.seconds(30)

    /// Runs a client program of PostgreSQL on the stack's database.
    private func postgres(_ stack: Stack, _ program: String, _ arguments: [String]) async throws {
        let report = try #require(try stack.report["postgres"])
        let password = try TextFile.read(try #require(report["passwordFile"]?.stringValue)).trimmed
        try await Command(
            path: "/usr/bin/\(program)", ["-d", try #require(report["connectionString"]?.stringValue)] + arguments,
            environment: ["PATH": "/usr/bin:/bin", "PGPASSWORD": password]
        ).succeed()
    }

    @Test(.disabled(if: Surroundings.hasRealPostgres, "wipes the database; not the one that the environment names"))
    func `a database that is lost and restored fires nothing twice and misses nothing that the backup knows`()
        async throws
    {
        try await Stack.with { stack in
            let load = try await Load.begin(stack)
            let schema = stack.surroundings.schema
            let dump = "\(stack.folder)/escapement.dump"
            try await self.postgres(stack, "pg_dump", ["--format=custom", "--schema=\(schema)", "--file=\(dump)"])
            // Known to nobody but the database that is about to be lost, and to the tickers while they run.
            try await stack.insist(
                .post, "/v1/namespaces/guest/schedules",
                #"{"name":"forgotten","when":{"every":"1s"},"target":{"action":"/guest/a"}}"#)
            try await load.reader.until("the new schedule fires") { $0.contains { $0.key == "guest/forgotten" } }

            for coordinator in try stack.processes(.coordinator) { try await stack.dev("stop", coordinator.name) }
            try await self.postgres(stack, "psql", ["-q", "-c", "DROP SCHEMA \(schema) CASCADE"])
            let lost = Load.now
            try await load.tick("schedules fire without coordinators and database", since: lost)
            try await self.postgres(stack, "pg_restore", ["--exit-on-error", dump])
            try await self.restored(stack)
            for coordinator in try stack.processes(.coordinator) { try await stack.dev("start", coordinator.name) }
            try await stack.untilReady()

            let names = try await stack.call(.get, "/v1/namespaces/guest/schedules").body["items"]?.arrayValue?
                .compactMap { $0["name"]?.stringValue }
            #expect(Set(names ?? []) == Set(load.schedules))
            try await load.create("again")
            try await load.reader.until("a new schedule fires") { $0.contains { $0.key == "guest/again" } }
            // Who holds a shard now has read it from the restored database.
            for ticker in try stack.processes(.ticker) {
                kill(ticker.pid, SIGTERM)
                try await Eventually.holds("\(ticker.name) runs again") {
                    try stack.processes(.ticker).contains { $0.name == ticker.name && $0.pid != ticker.pid }
                }
                try await stack.untilReady()
            }
            try await load.tick("every schedule ticks for new tickers", since: Load.now)
            let settled = Load.now
            try await load.end()
            let forgotten = load.reader.all.filter { fire in
                fire.key == "guest/forgotten" && (WallInstant(text: fire.time).map { $0 > settled } ?? false)
            }
            #expect(forgotten.isEmpty, "what was created after the backup is gone")
        }
    }

    private func restored(_ stack: Stack) async throws {
        let report = try #require(try stack.report["postgres"])
        try await Command(
            "escapement", ["db", "restored"],
            environment: [
                "PATH": "/usr/bin:/bin", "DATABASE_URL": try #require(report["connectionString"]?.stringValue),
                "PGPASSWORD_FILE": try #require(report["passwordFile"]?.stringValue),
                "ESCAPEMENT_DATABASE_SCHEMA": stack.surroundings.schema,
            ]
        ).succeed()
    }

    @Test func `a journal that is lost halts the lanes, and resuming repeats a little and skips nothing`() async throws
    {
        try await Stack.with { stack in
            let load = try await Load.begin(stack)
            // The leader has written where the journal stood: from then on its loss is noticed.
            try await load.tick(
                "every schedule ticks for a while", since: Load.now.advanced(by: .seconds(15)))
            for dispatcher in try stack.processes(.dispatcher) { try await stack.dev("stop", dispatcher.name) }
            let lost = Load.now
            try await stack.surroundings.delete(topic: stack.surroundings.journalTopic, try stack.report)
            for dispatcher in try stack.processes(.dispatcher) { try await stack.dev("start", dispatcher.name) }
            try await Eventually.holds("all lanes are halted, and the metric says so") {
                try await stack.total("escapement_lanes_halted", of: .dispatcher) == 4
            }
            let fires = try await load.reader.read()
            let later = fires.filter { fire in WallInstant(text: fire.time).map { $0 > lost } ?? false }
            #expect(later.isEmpty, "a halted lane publishes nothing: \(later.map(\.time))")

            for dispatcher in try stack.processes(.dispatcher) {
                try await stack.dev("stop", dispatcher.name)
                try await stack.dev("start", dispatcher.name, "--env", "ESCAPEMENT_JOURNAL_LOSS=resume")
            }
            try await stack.untilReady()
            try await load.end(repeatsSince: lost.advanced(by: .zero - Self.checkpointAgeMax))
            #expect(try await stack.total("escapement_lanes_halted", of: .dispatcher) == 0)
        }
    }
}
