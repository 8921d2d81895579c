import EscapementModel
import HTTPClient
import JSON
import Store
import TestSupport
import Testing

@Suite struct IdempotencyTests {
    private static let headers: HTTPHeaders = ["Idempotency-Key": "\"5c1a2f9e-8a1b\""]

    @Test func `a repeated request gets the first answer again`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let first = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            #expect(first.status == 201)
            #expect(first.headers["Idempotency-Replayed"] == nil)
            api.clocks.advance(by: .seconds(90))
            let again = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            #expect(again.status == 201)
            #expect(again.document == first.document)
            #expect(again.headers["Idempotency-Replayed"] == "true")
            #expect(again.headers["Location"] == first.headers["Location"])
            #expect(again.headers["ETag"] == first.headers["ETag"])
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 10).count == 1)
    }

    @Test func `a key belongs to one request`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            let other = try await calls.send(.post, Samples.timers, ["delay": "2h"], headers: Self.headers)
            #expect(other.status == 422)
            #expect(other.code == "IDEMPOTENCY_KEY_REUSED")
            let elsewhere = try await calls.send(
                .post, "/v1/namespaces/shop/timers", ["delay": "2h"], headers: Self.headers)
            #expect(elsewhere.status == 201, "another namespace has keys of its own")
            let bad = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: ["Idempotency-Key": "\"\""])
            #expect(bad.faults == ["Idempotency-Key INVALID_VALUE"])
        }
    }

    @Test func `a refused request uses no key`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let bad = try await calls.send(.post, Samples.timers, ["delay": "-1h"], headers: Self.headers)
            #expect(bad.status == 422)
            let good = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            #expect(good.status == 201)
        }
    }

    @Test func `when the first answer was lost with its process, a repetition finds the effect`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            api.store.failNext(.refused(.unavailable), operation: "remember")
            let first = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            #expect(first.status == 503, "the effect is there, its answer is not kept")
            let early = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            #expect(early.status == 409)
            #expect(early.code == "IDEMPOTENCY_IN_PROGRESS")
            api.clocks.advance(by: .seconds(31))
            let late = try await calls.send(.post, Samples.timers, ["delay": "1h"], headers: Self.headers)
            #expect(late.status == 200)
            #expect(late.document["dueAt"]?.stringValue == "2026-11-23T10:00:00.000Z", "the one that was made")
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 10).count == 1)
    }

    @Test func `a batch is repeated as one`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let body = Array("{\"delay\":\"1h\"}\n{\"delay\":\"2h\"}\n{\"delay\":\"-1h\"}".utf8)
            let path = "\(Samples.timers)/batch"
            let first = try await calls.send(
                .post, path, bytes: body, contentType: "application/x-ndjson", headers: Self.headers)
            #expect(first.document["accepted"] == 2)
            let again = try await calls.send(
                .post, path, bytes: body, contentType: "application/x-ndjson", headers: Self.headers)
            #expect(again.document == first.document)
            #expect(again.headers["Idempotency-Replayed"] == "true")
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 10).count == 2)
    }

    @Test func `a schedule's creation is repeated as one`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let first = try await calls.send(
                .post, Samples.schedules, Samples.schedule("a", cron: "H * * * *"), headers: Self.headers)
            #expect(first.status == 201)
            _ = try await calls.send(.delete, "\(Samples.schedules)/a")
            let again = try await calls.send(
                .post, Samples.schedules, Samples.schedule("a", cron: "H * * * *"), headers: Self.headers)
            #expect(again.document == first.document)
            #expect(try await calls.send(.get, "\(Samples.schedules)/a").status == 404, "nothing was made anew")
        }
    }
}
