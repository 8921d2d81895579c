import EscapementModel
import HTTPClient
import JSON
import Store
import TestSupport
import Testing

@Suite struct NamespaceTests {
    private static let path = "/v1/namespaces/guest"

    @Test func `a quota is set, shown and kept`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let fresh = try await calls.send(.get, Self.path)
            #expect(fresh.status == 200)
            #expect(fresh.document["generation"] == 0)
            let set = try await calls.send(
                .put, Self.path,
                ["quota": ["schedules": 2, "pendingTimers": 2, "payloadBytes": 100, "minInterval": "1m"]])
            #expect(set.status == 200)
            #expect(set.headers["ETag"] == "\"1\"")
            for name in ["a", "b"] {
                let reply = try await calls.send(.post, Samples.schedules, Samples.schedule(name))
                #expect(reply.status == 201)
            }
            let third = try await calls.send(.post, Samples.schedules, Samples.schedule("c"))
            #expect(third.status == 429)
            #expect(third.code == "QUOTA_EXCEEDED")
            #expect(third.headers["Retry-After"] != nil)
            let batch = try await calls.send(
                .post, "\(Samples.timers)/batch", ["timers": [["delay": "1h"], ["delay": "1h"], ["delay": "1h"]]])
            #expect(batch.status == 429)
            let big = try await calls.send(
                .post, Samples.timers,
                ["delay": "1h", "target": ["payload": .string(String(repeating: "x", count: 200))]])
            #expect(big.status == 413)
            let fast = try await calls.send(.patch, "\(Samples.schedules)/a", ["when": ["cron": "*/10 * * * * *"]])
            #expect(fast.faults == ["/when INTERVAL_TOO_SHORT"])
            let shown = try await calls.send(.get, Self.path)
            #expect(shown.document["usage"]?["schedules"]?["value"] == 2)
            #expect(shown.document["quota"]?["minInterval"]?.stringValue == "1m")
            let stale = try await calls.send(.put, Self.path, ["quota": [:]], headers: ["If-Match": "\"7\""])
            #expect(stale.status == 412)
            let odd = try await calls.send(.put, Self.path, ["quota": ["schedules": 0, "timers": 3]])
            #expect(Set(odd.faults) == ["/quota/schedules OUT_OF_RANGE", "/quota/timers UNKNOWN_FIELD"])
        }
    }

    @Test func `creations have a pace`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.put, Self.path, ["quota": ["creationsPerSecond": 3]])
            var statuses: [Int] = []
            for _ in 0..<4 { statuses.append(try await calls.send(.post, Samples.timers, ["delay": "1h"]).status) }
            #expect(statuses == [201, 201, 201, 429])
            api.clocks.advance(by: .seconds(1))
            #expect(try await calls.send(.post, Samples.timers, ["delay": "1h"]).status == 201)
        }
    }

    @Test func `a paused namespace pauses its schedules, old and new, until it is resumed`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.schedules, Samples.schedule("old"))
            api.clocks.advance(by: .seconds(60))
            let paused = try await calls.send(.post, "\(Self.path)/pause", ["reason": "audit"])
            #expect(paused.document["paused"] == .bool(true))
            _ = try await calls.send(.post, Samples.schedules, Samples.schedule("new"))
            for name in ["old", "new"] {
                let schedule = try await calls.send(.get, "\(Samples.schedules)/\(name)")
                #expect(schedule.document["pause"]?["scope"]?.stringValue == "namespace")
            }
            api.clocks.advance(by: .seconds(60))
            let resumed = try await calls.send(.post, "\(Self.path)/resume", [:])
            #expect(resumed.document["paused"] == .bool(false))
            let list = try await calls.send(.get, "\(Samples.schedules)?state=active")
            #expect(list.document["items"]?.arrayValue?.count == 2)
            let all = try await calls.send(.get, "/v1/namespaces")
            #expect(all.document["items"]?[0]?["namespace"]?.stringValue == "guest")
        }
    }
}
