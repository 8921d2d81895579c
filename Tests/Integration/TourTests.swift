import EscapementModel
import Glibc
import HTTPClient
import JSON
import Testing

/// What a newcomer does, through the command line and with eyes on Kafka and the activation store.
@Suite(.serialized) struct TourTests {
    @Test func `a cron schedule and a delayed action arrive in Kafka and in the activation store under one id`()
        async throws
    {
        try await Stack.with { stack in
            func escapement(_ arguments: [String]) async throws -> JSONValue {
                let output = try await Command(
                    "escapement", arguments + ["-o", "json"], environment: try stack.clientEnvironment()
                ).succeed()
                return try JSONParser.parse(output)
            }
            let reader = try await stack.consumer()
            let schedule = try await escapement([
                "schedule", "create", "tick", "--cron", "* * * * * *", "--action", "/guest/hello", "--payload",
                #"{"n":9007199254740993}"#,
            ])
            #expect(schedule["name"]?.stringValue == "tick")
            let timer = try await escapement([
                "timer", "create", "--delay", "2s", "--action", "/guest/remind", "--payload", #"{"order":8841}"#,
            ])
            let timerID = try #require(timer["id"]?.stringValue)
            try await reader.until("five ticks and the timer are in Kafka") { fires in
                fires.count { $0.key == "guest/tick" } >= 5 && fires.contains { $0.key == "guest/\(timerID)" }
            }
            let fires = reader.all
            #expect(Set(fires.map(\.id)).count == fires.count, "no fire is there twice")
            let tick = try #require(fires.first { $0.key == "guest/tick" })
            #expect(tick.value == #"{"n":9007199254740993}"#, "large numbers are kept byte for byte")
            #expect(tick.headers["ce_specversion"] == "1.0")
            #expect(tick.headers["ce_type"] == "escapement.schedule.fired.v1")
            #expect(tick.headers["ce_source"] == "/namespaces/guest/schedules/tick")
            #expect(tick.headers["ce_subject"] == "/guest/hello")
            #expect(tick.headers["content-type"] == "application/json")
            #expect(tick.id.count == 32 && tick.id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
            try await Eventually.holds("the activation store has every fire seen so far") {
                Set(fires.map(\.id)).isSubset(of: Set(try await stack.activationIDs()))
            }
            // Delivered once, also across a restart of everything.
            try await stack.restart()
            try await reader.reconnect(to: stack)
            let last = try #require(fires.map(\.time).max())
            try await reader.until("it ticks again after the restart") { $0.contains { $0.time > last } }
            let after = reader.all
            #expect(Set(after.map(\.id)).count == after.count, "a restart doubles nothing")
            #expect(after.count { $0.key == "guest/\(timerID)" } == 1, "a settled one-shot is never fired again")
            await reader.close()
        }
    }

    @Test func `bad input is refused with the field's name, and nothing is stored`() async throws {
        try await Stack.with { stack in
            let schedules = "/v1/namespaces/guest/schedules"
            let target = #""target":{"action":"/guest/a"}"#
            let cases: [(path: String, body: String, status: Int, pointer: String)] = [
                (schedules, #"{"name":"a","when":{"cron":["0 25 * * *"]},\#(target)}"#, 422, "/when/cron/0"),
                (
                    schedules, #"{"name":"a","when":{"cron":["0 0 * * *"],"timeZone":"Europe/Pari"},\#(target)}"#, 422,
                    "/when/timeZone"
                ),
                (schedules, #"{"name":"a","when":{"every":"1m"},"colour":1,\#(target)}"#, 422, "/colour"),
                ("/v1/namespaces/guest/timers", #"{"delay":"-5m",\#(target)}"#, 422, "/delay"),
            ]
            for (path, body, status, pointer) in cases {
                let answer = try await stack.call(.post, path, body)
                #expect(answer.status == status, "\(body): \(answer.body.text)")
                let pointers = answer.body["errors"]?.arrayValue?.compactMap { $0["pointer"]?.stringValue } ?? []
                #expect(pointers.contains(pointer), "\(body): \(answer.body.text)")
            }
            let malformed = try await stack.call(.post, schedules, #"{"name":"#)
            #expect(malformed.status == 400 && malformed.body["code"]?.stringValue == "MALFORMED_JSON")
            let payload = String(repeating: "x", count: 2 << 20)
            let large = try await stack.call(
                .post, "/v1/namespaces/guest/timers",
                #"{"delay":"1h","target":{"action":"/guest/a","payload":"\#(payload)"}}"#)
            #expect(large.status == 413)
            let listed = try await stack.call(.get, schedules)
            #expect(listed.body["items"]?.arrayValue?.isEmpty == true)
            let timers = try await stack.call(.get, "/v1/namespaces/guest/timers")
            #expect(timers.body["items"]?.arrayValue?.isEmpty == true)
        }
    }
}
