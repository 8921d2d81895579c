import CoordinatorService
import EscapementModel
import HTTPClient
import JSON
import Store
import Synchronization
import TestSupport
import Testing
import WireProtocol

@Suite struct TimerRouteTests {
    @Test func `a timer is created, read, listed and cancelled`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let created = try await calls.send(
                .post, Samples.timers,
                ["id": "order-1", "delay": "36h", "target": ["action": "/guest/remind", "payload": ["order": 1]]])
            #expect(created.status == 201)
            #expect(created.document["dueAt"]?.stringValue == "2026-11-24T21:00:00.000Z")
            #expect(created.document["state"]?.stringValue == "pending")
            let uid = try #require(UID(text: created.document["uid"]?.stringValue ?? ""))
            let due = try #require(WallInstant(text: "2026-11-24T21:00:00Z"))
            let activation = ActivationID(cluster: "test", kind: .delay, uid: uid, scheduledTime: due)
            #expect(created.document["activationId"]?.stringValue == activation.description)
            #expect(try await calls.send(.get, "\(Samples.timers)/order-1").document == created.document)
            let list = try await calls.send(.get, Samples.timers)
            #expect(list.document["items"]?.arrayValue?.count == 1)
            let cancelled = try await calls.send(.delete, "\(Samples.timers)/order-1")
            #expect(cancelled.status == 200)
            #expect(cancelled.document["state"]?.stringValue == "cancelled")
            #expect(cancelled.document["confirmed"] == .bool(true))
            #expect(try await calls.send(.get, Samples.timers).document["items"] == .array([]))
            #expect(try await calls.send(.delete, "\(Samples.timers)/other").status == 404)
        }
    }

    @Test func `a timer that has fired cannot be cancelled`() async throws {
        let api = try await TestAPI()
        api.gateway.state.withLock { $0.settled = .fired }
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.timers, ["id": "t", "delay": "1ms"])
            let reply = try await calls.send(.delete, "\(Samples.timers)/t")
            #expect(reply.status == 409)
            #expect(reply.code == "ALREADY_FIRED")
        }
    }

    @Test func `when nobody can say whether it fired, the answer says so`() async throws {
        let api = try await TestAPI()
        api.gateway.state.withLock { $0.settled = .unknown }
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.timers, ["id": "t", "delay": "1h"])
            let reply = try await calls.send(.delete, "\(Samples.timers)/t")
            #expect(reply.status == 200)
            #expect(reply.document["confirmed"] == .bool(false))
        }
    }

    @Test func `a repeated delay is the same timer, another one a conflict`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let first = try await calls.send(.post, Samples.timers, ["id": "t", "delay": "60m"])
            api.clocks.advance(by: .seconds(30))
            let again = try await calls.send(.post, Samples.timers, ["id": "t", "delay": "1h"])
            #expect(again.status == 200)
            #expect(again.document["dueAt"] == first.document["dueAt"])
            let other = try await calls.send(.post, Samples.timers, ["id": "t", "delay": "2h"])
            #expect(other.status == 409)
        }
    }

    @Test(arguments: [
        ("{\"delay\": \"-5m\"}", "/delay INVALID_DURATION"),
        ("{\"delay\": \"soon\"}", "/delay INVALID_DURATION"),
        ("{\"at\": \"tomorrow\"}", "/at INVALID_INSTANT"),
        ("{\"delay\": \"1h\", \"at\": \"2026-12-01T00:00:00Z\"}", " CONFLICTING_FIELDS"),
        ("{}", " MISSING_FIELD"),
        ("{\"delay\": \"1h\", \"targt\": {}}", "/targt UNKNOWN_FIELD"),
        ("{\"delay\": \"1h\", \"id\": \"a b\"}", "/id INVALID_NAME"),
    ])
    func `bad timers are refused by field`(_ body: String, _ fault: String) async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let reply = try await calls.send(.post, Samples.timers, bytes: Array(body.utf8))
            #expect(reply.status == 422)
            #expect(reply.faults == [fault])
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 10).isEmpty)
    }

    @Test func `timers come in pages by due time`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            for index in [3, 1, 2, 5, 4] {
                _ = try await calls.send(
                    .post, Samples.timers, ["id": .string("t\(index)"), "delay": .string("\(index)h")])
            }
            let first = try await calls.send(.get, "\(Samples.timers)?pageSize=2")
            let token = try #require(first.document["nextPageToken"]?.stringValue)
            let second = try await calls.send(.get, "\(Samples.timers)?pageSize=3&pageToken=\(token)")
            let ids = [first, second].flatMap { $0.document["items"]?.arrayValue ?? [] }.map { $0["id"]?.stringValue }
            #expect(ids == ["t1", "t2", "t3", "t4", "t5"])
            #expect(second.document["nextPageToken"] == .null)
        }
    }
}
