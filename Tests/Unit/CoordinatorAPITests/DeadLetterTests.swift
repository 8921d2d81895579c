import EscapementModel
import HTTPClient
import JSON
import NIOCore
import Store
import Synchronization
import TestSupport
import Testing
import WireProtocol

@Suite struct DeadLetterTests {
    private static let id = String(repeating: "ab", count: 16)
    private static let path = "/v1/namespaces/guest/deadletters"

    private func record(outcome: Outcome, schedule: String = "nightly", kind: String = "cron") -> JSONValue {
        [
            "items": [
                [
                    "activation_id": .string(Self.id), "schedule": .string(schedule), "kind": .string(kind),
                    "outcome": .string(outcome.name),
                ]
            ]
        ]
    }

    @Test func `a dead letter is fired again once, however often it is asked for`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
            api.gateway.state.withLock { $0.activations = .success(self.record(outcome: .failed)) }
            let list = try await calls.send(.get, Self.path)
            #expect(list.document["items"]?.arrayValue?.count == 1)
            let asked = api.gateway.state.withLock { $0.questions.last }
            #expect(asked == ["namespace": "guest", "outcome": "failed"])
            let body: JSONValue = ["activationIds": [.string(Self.id)], "reason": "topic exists now"]
            let first = try await calls.send(.post, "\(Self.path)/replay", body)
            #expect(first.document["items"]?[0]?["status"]?.stringValue == "replayed")
            api.clocks.advance(by: .seconds(5))
            let second = try await calls.send(.post, "\(Self.path)/replay", body)
            #expect(second.document["items"]?[0]?["status"]?.stringValue == "replayed-before")
            #expect(second.document["items"]?[0]?["replayedAs"] == first.document["items"]?[0]?["replayedAs"])
        }
        let timers = try await api.store.timers(namespace: "guest", after: nil, limit: 10)
        #expect(timers.count == 1)
        let template = try FireTemplate(decoding: ByteBuffer(bytes: try #require(timers.first).template))
        #expect(template.name == "nightly")
    }

    @Test func `what did not fail, or is not known, is not fired again`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            func status() async throws -> String? {
                let body: JSONValue = ["activationIds": [.string(Self.id)]]
                return try await calls.send(.post, "\(Self.path)/replay", body).document["items"]?[0]?["status"]?
                    .stringValue
            }
            #expect(try await status() == "not-found")
            api.gateway.state.withLock { $0.activations = .success(self.record(outcome: .dispatched)) }
            #expect(try await status() == "not-failed")
            api.gateway.state.withLock {
                $0.activations = .success(self.record(outcome: .failed, schedule: "other", kind: "delay"))
            }
            #expect(try await status() == "gone")
            let bad = try await calls.send(.post, "\(Self.path)/replay", ["activationIds": ["xyz"]])
            #expect(bad.faults == ["/activationIds/0 INVALID_VALUE"])
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 10).isEmpty)
    }
}
