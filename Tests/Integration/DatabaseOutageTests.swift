import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// PostgreSQL goes away under load: what is loaded goes on firing, and nothing is missed or doubled when it is back.
@Suite(
    .serialized,
    .disabled(if: Surroundings.hasRealPostgres, "stops PostgreSQL; not the one that the environment names"))
struct DatabaseOutageTests {
    /// How long PostgreSQL is away: longer than a leader trusts its lease. `ESCAPEMENT_TEST_OUTAGE_SECONDS` makes it longer.
    private static let outage = Duration.seconds(
        getenv("ESCAPEMENT_TEST_OUTAGE_SECONDS").flatMap { Int64(String(cString: $0)) } ?? 8)

    @Test func `schedules go on firing without PostgreSQL, the API says so, and everything recovers`() async throws {
        try await Stack.with { stack in
            let load = try await Load.begin(stack)
            try await stack.dev("stop", "postgres")
            let gone = Load.now
            try await Eventually.holds("a change is refused with 503") {
                let answer = try await stack.call(
                    .post, "/v1/namespaces/guest/schedules",
                    #"{"name":"late","when":{"every":"1s"},"target":{"action":"/guest/a"}}"#)
                #expect(answer.status != 201, "nothing can be stored without PostgreSQL")
                return answer.status == 503 && answer.body["code"]?.stringValue?.isEmpty == false
            }
            // What is due while it is away arrives while it is away.
            var passed = Duration.zero
            while passed < Self.outage {
                passed += .seconds(2)
                try await load.tick("every schedule ticks without PostgreSQL", since: gone.advanced(by: passed))
            }
            try await stack.dev("start", "postgres")
            try await stack.untilReady()
            try await load.create("again")
            try await load.reader.until("a new schedule fires") { $0.contains { $0.key == "guest/again" } }
            try await load.end()
        }
    }

    @Test func `a PostgreSQL that is restarted, and one that is killed, miss and double nothing`() async throws {
        try await Stack.with { stack in
            let load = try await Load.begin(stack)
            try await stack.dev("stop", "postgres")
            try await stack.dev("start", "postgres")
            try await stack.untilReady()
            let pid = try #require(
                try stack.report["processes"]?.arrayValue?.first { $0["name"]?.stringValue == "postgres" }?["pid"]?
                    .integerValue)
            kill(pid_t(pid), SIGKILL)
            try await load.create("again")
            try await load.reader.until("a new schedule fires") { $0.contains { $0.key == "guest/again" } }
            try await stack.untilReady()
            try await load.end()
        }
    }
}
