import CoordinatorAPI
import EscapementModel
import HTTPClient
import JSON
import Logging
import Observability
import Store
import TestSupport
import Testing

/// The priority of schedules and timers: in their documents, and in the uids by which tickers order fires.
@Suite struct PriorityRouteTests {
    private static let path = "\(Samples.schedules)/nightly"

    private func schedule(_ name: String, _ priority: JSONValue? = nil, cron: String = "30 2 * * *") -> JSONValue {
        let more = priority.map { [JSONMember("priority", $0)] } ?? []
        return .object((Samples.schedule(name, cron: cron).objectValue ?? []) + more)
    }

    private func rank(ofSchedule name: String, in api: TestAPI) async throws -> UInt64? {
        try await api.store.schedule(namespace: "guest", name: name).map { Priority.rank(ofSchedule: $0.uid) }
    }

    private func rank(ofTimer name: String, in api: TestAPI) async throws -> UInt64? {
        try await api.store.timer(namespace: "guest", name: name).map { Priority.rank(ofTimer: $0.uid) }
    }

    @Test func `a schedule is made with its priority, by either method`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            for priority in Priority.allCases {
                let posted = try await calls.send(
                    .post, Samples.schedules, self.schedule("posted-\(priority)", .string(priority.word)),
                    headers: ["Idempotency-Key": "\(priority)"])
                #expect(posted.status == 201)
                #expect(posted.document["priority"]?.stringValue == priority.word)
                let put = try await calls.send(
                    .put, "\(Samples.schedules)/put-\(priority)",
                    self.schedule("put-\(priority)", .string(priority.word)))
                #expect(put.status == 201)
                for name in ["posted-\(priority)", "put-\(priority)"] {
                    #expect(try await self.rank(ofSchedule: name, in: api) == UInt64(priority.rawValue))
                    let read = try await calls.send(.get, "\(Samples.schedules)/\(name)")
                    #expect(read.document["priority"]?.stringValue == priority.word)
                }
            }
            let plain = try await calls.send(.post, Samples.schedules, self.schedule("plain"))
            #expect(plain.document["priority"]?.stringValue == "normal")
            #expect(try await self.rank(ofSchedule: "plain", in: api) == 1)
            let wrong = try await calls.send(.post, Samples.schedules, self.schedule("wrong", "urgent"))
            #expect(wrong.faults == ["/priority INVALID_VALUE"])
        }
    }

    @Test func `a change keeps the priority, and one that names another is refused`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            #expect(try await calls.send(.post, Samples.schedules, self.schedule("nightly", "high")).status == 201)
            api.clocks.advance(by: .seconds(60))
            let silent = try await calls.send(.put, Self.path, self.schedule("nightly", cron: "0 3 * * *"))
            #expect(silent.status == 200)
            #expect(silent.headers["ETag"] == "\"2\"")
            #expect(silent.document["priority"]?.stringValue == "high")
            let same = try await calls.send(.put, Self.path, self.schedule("nightly", "high", cron: "0 3 * * *"))
            #expect(same.headers["ETag"] == "\"2\"", "nothing changed")
            for reply in [
                try await calls.send(.put, Self.path, self.schedule("nightly", "low")),
                try await calls.send(.patch, Self.path, ["priority": "normal"]),
            ] {
                #expect(reply.status == 422)
                #expect(reply.faults == ["/priority IMMUTABLE"])
                #expect(reply.document["errors"]?[0]?["detail"]?.stringValue?.contains("under another name") == true)
            }
            let removed = try await calls.send(.patch, Self.path, ["priority": .null, "labels": .null])
            #expect(removed.document["priority"]?.stringValue == "high")
            #expect(try await self.rank(ofSchedule: "nightly", in: api) == 0)
            // Deleted and made anew it may have another.
            #expect(try await calls.send(.delete, Self.path).status == 200)
            #expect(try await calls.send(.put, Self.path, self.schedule("nightly", "low")).status == 201)
            #expect(try await self.rank(ofSchedule: "nightly", in: api) == 2)
        }
    }

    @Test func `what was stored without a priority is normal`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            #expect(try await calls.send(.post, Samples.schedules, self.schedule("nightly")).status == 201)
            let stored = try await api.store.schedule(namespace: "guest", name: "nightly")
            #expect(try stored.map { try JSONParser.parse($0.body.document)["priority"] == nil } == true)
            api.clocks.advance(by: .seconds(60))
            let said = try await calls.send(.put, Self.path, self.schedule("nightly", "normal"))
            #expect(said.headers["ETag"] == "\"1\"", "to say so changes nothing")
            #expect(try await calls.send(.patch, Self.path, ["priority": "high"]).faults == ["/priority IMMUTABLE"])
        }
    }

    @Test func `a timer is made with its priority, alone, in a batch and by default of one`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let timer = try await calls.send(.post, Samples.timers, ["id": "a", "delay": "1h", "priority": "high"])
            #expect(timer.document["priority"]?.stringValue == "high")
            #expect(
                try await calls.send(.post, Samples.timers, ["id": "a", "delay": "1h"]).status == 409,
                "the priority is part of what it is")
            let lines = [
                #"{"defaults":{"delay":"1h","priority":"low"}}"#, #"{"id":"b"}"#, #"{"id":"c","priority":"high"}"#,
                #"{"id":"d","priority":"normal"}"#, #"{"id":"e","priority":1}"#,
            ]
            let batch = try await calls.send(
                .post, "\(Samples.timers)/batch", bytes: Array(lines.joined(separator: "\n").utf8),
                contentType: "application/x-ndjson", headers: ["Idempotency-Key": "k"])
            #expect(batch.document["accepted"] == 3)
            #expect(batch.document["results"]?[0]?["error"]?["pointer"]?.stringValue == "/priority")
            for (name, priority) in [("a", Priority.high), ("b", .low), ("c", .high), ("d", .normal)] {
                #expect(try await self.rank(ofTimer: name, in: api) == UInt64(priority.rawValue))
                let read = try await calls.send(.get, "\(Samples.timers)/\(name)")
                #expect(read.document["priority"]?.stringValue == priority.word)
            }
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 10).count == 4)
    }

    @Test func `a trigger has its schedule's priority, a backfill a low one`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            #expect(try await calls.send(.post, Samples.schedules, self.schedule("nightly", "high")).status == 201)
            api.clocks.advance(by: .seconds(3 * 86_400))
            let trigger = try await calls.send(.post, "\(Self.path)/trigger", JSONValue.object([]))
            let triggered = try #require(trigger.document["timer"]?.stringValue)
            #expect(try await self.rank(ofTimer: triggered, in: api) == 0)
            let range: JSONValue = ["from": "2026-11-24T00:00:00Z", "to": "2026-11-26T01:30:01Z"]
            let backfill = try await calls.send(.post, "\(Self.path)/backfill", range)
            let made = try #require(backfill.document["items"]?[0]?["timer"]?.stringValue)
            #expect(try await self.rank(ofTimer: made, in: api) == 2)
            for (id, word) in [(triggered, "high"), (made, "low")] {
                let read = try await calls.send(.get, "\(Samples.timers)/\(id)")
                #expect(read.document["priority"]?.stringValue == word)
            }
        }
    }

    @Test func `the canary goes first`() async throws {
        let api = try await TestAPI()
        let keeper = CanaryKeeper(
            server: api.server, isLeading: { true }, metrics: api.observability.metrics,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        #expect(await keeper.turn() == "")
        let canary = try #require(
            try await api.store.schedule(namespace: CanaryKeeper.namespace, name: CanaryKeeper.name))
        #expect(Priority.rank(ofSchedule: canary.uid) == 0)
    }
}
