import EscapementModel
import HTTPClient
import JSON
import NIOCore
import Store
import Synchronization
import TestSupport
import Testing
import WireProtocol

@Suite struct BackfillTests {
    private static let path = "\(Samples.schedules)/nightly/backfill"
    /// Three nights in Paris: 01:30Z on the 24th, 25th and 26th.
    private static let range: JSONValue = ["from": "2026-11-24T00:00:00Z", "to": "2026-11-26T01:30:01Z", "rate": "2/s"]
    private static let nights = ["2026-11-24T01:30:00.000Z", "2026-11-25T01:30:00.000Z", "2026-11-26T01:30:00.000Z"]

    private func with(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object((Self.range.objectValue ?? []) + members.map { JSONMember($0.key, $0.value) })
    }

    private func texts(_ reply: Reply, _ name: String) -> [String] {
        (reply.document["items"]?.arrayValue ?? []).map { $0[name]?.stringValue ?? "" }
    }

    /// The API, with the schedule `nightly`.
    private func serve(
        timerBytesMax: Int? = nil, _ body: @escaping @Sendable (TestAPI, Calls) async throws -> Void
    ) async throws {
        let api = try await TestAPI(timerBytesMax: timerBytesMax)
        try await api.serve { calls in
            let created = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
            #expect(created.status == 201)
            api.clocks.advance(by: .seconds(3 * 86_400))
            try await body(api, calls)
        }
    }

    @Test func `each missed occurrence becomes a timer, in order and at the rate`() async throws {
        try await self.serve { api, calls in
            let reply = try await calls.send(.post, Self.path, self.with(["reason": "outage"]))
            #expect(reply.status == 202)
            #expect(reply.document["created"]?.text == "3")
            #expect(self.texts(reply, "scheduledAt") == Self.nights)
            #expect(
                self.texts(reply, "dueAt") == [
                    "2026-11-26T09:00:00.000Z", "2026-11-26T09:00:00.500Z", "2026-11-26T09:00:01.000Z",
                ])
            for (index, id) in self.texts(reply, "timer").enumerated() {
                let timer = try #require(try await api.store.timer(namespace: "guest", name: id))
                let template = try FireTemplate(decoding: ByteBuffer(bytes: timer.template))
                #expect(template.backfills == WallInstant(text: Self.nights[index]))
                #expect(template.name == "nightly" && template.action == "/guest/reports/nightly")
                let activation = ActivationID(
                    cluster: "test", kind: .delay, uid: timer.uid, scheduledTime: timer.due)
                #expect(self.texts(reply, "activationId").dropFirst(index).first == activation.description)
            }
            let audit = try await calls.send(.get, "/v1/namespaces/guest/audit")
            #expect(audit.document["items"]?[0]?["action"]?.stringValue == "backfill")
        }
    }

    @Test func `a backfill names the neighbours of what it makes up for`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            var schedule = Samples.schedule("nightly").objectValue ?? []
            schedule.removeAll { $0.name == "target" }
            schedule.append(
                JSONMember("target", ["action": "/guest/a", "payload": "{{nextAt}}", "template": true]))
            #expect(try await calls.send(.post, Samples.schedules, .object(schedule)).status == 201)
            api.clocks.advance(by: .seconds(3 * 86_400))
            let reply = try await calls.send(.post, Self.path, Self.range)
            let timer = try #require(
                try await api.store.timer(namespace: "guest", name: self.texts(reply, "timer")[1]))
            #expect(
                try FireTemplate(decoding: ByteBuffer(bytes: timer.template)).neighbours
                    == OccurrenceNeighbours(
                        previous: WallInstant(text: Self.nights[0]), next: WallInstant(text: Self.nights[2])))
        }
    }

    @Test func `asking twice fires once, unless it is to fire again`() async throws {
        try await self.serve { api, calls in
            _ = try await calls.send(.post, Self.path, Self.range)
            api.clocks.advance(by: .seconds(5))
            let second = try await calls.send(.post, Self.path, Self.range)
            #expect(second.document["created"]?.text == "0")
            #expect(self.texts(second, "status") == Array(repeating: "backfilled-before", count: 3))
            #expect(self.texts(second, "dueAt").first == "2026-11-26T09:00:00.000Z")
            let again = try await calls.send(.post, Self.path, self.with(["skipAlreadyFired": false]))
            #expect(again.document["created"]?.text == "3")
        }
    }

    @Test func `what was dispatched is left out, what was skipped is not`() async throws {
        try await self.serve { api, calls in
            api.gateway.state.withLock { state in
                state.activations = .success([
                    "items": [
                        ["kind": "cron", "outcome": "dispatched", "scheduled_at": .string(Self.nights[0])],
                        ["kind": "cron", "outcome": "skipped", "scheduled_at": .string(Self.nights[1])],
                    ], "nextPageToken": .null,
                ])
            }
            let reply = try await calls.send(.post, Self.path, self.with(["order": "newest-first"]))
            #expect(reply.document["planned"]?.text == "3" && reply.document["skipped"]?.text == "1")
            #expect(self.texts(reply, "scheduledAt") == [Self.nights[2], Self.nights[1]])
        }
    }

    @Test func `a dry run shows what would be and stores nothing`() async throws {
        try await self.serve { api, calls in
            let reply = try await calls.send(.post, Self.path, self.with(["dryRun": true]))
            #expect(reply.status == 200)
            #expect(self.texts(reply, "status") == Array(repeating: "planned", count: 3))
            #expect(try await calls.send(.get, Samples.timers).document["items"] == .array([]))
        }
    }

    @Test func `there is nothing from before the schedule was created`() async throws {
        try await self.serve { _, calls in
            let reply = try await calls.send(
                .post, Self.path, ["from": "2026-11-01T00:00:00Z", "to": "2026-11-23T09:00:00Z"])
            #expect(reply.status == 200)
            #expect(reply.document["planned"]?.text == "0")
        }
    }

    @Test func `fires with more payload than one request may store are refused`() async throws {
        try await self.serve(timerBytesMax: 300) { api, calls in
            let refused = try await calls.send(.post, Self.path, Self.range)
            #expect(refused.status == 422)
            #expect(refused.faults == ["/to OUT_OF_RANGE"])
            #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 1).isEmpty)
            let night: JSONValue = ["from": "2026-11-24T00:00:00Z", "to": "2026-11-25T00:00:00Z"]
            #expect(try await calls.send(.post, Self.path, night).status == 202)
        }
    }

    @Test func `what is refused`() async throws {
        try await self.serve { _, calls in
            #expect(
                try await calls.send(.post, Self.path, self.with(["maxFires": 2])).faults == ["/maxFires OUT_OF_RANGE"])
            #expect(
                try await calls.send(.post, Self.path, ["from": "2026-11-24T00:00:00Z"]).faults == ["/to MISSING_FIELD"]
            )
            let future = try await calls.send(
                .post, Self.path, ["from": "2026-11-24T00:00:00Z", "to": "2026-11-27T00:00:00Z", "rate": "0/s"])
            #expect(future.faults == ["/to OUT_OF_RANGE", "/rate OUT_OF_RANGE"])
            let none = try await calls.send(.post, "\(Samples.schedules)/other/backfill", Self.range)
            #expect(none.status == 404)
        }
    }
}
