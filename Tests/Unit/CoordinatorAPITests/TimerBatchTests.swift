import CoordinatorAPI
import EscapementModel
import HTTPClient
import JSON
import Store
import Synchronization
import TestSupport
import Testing

@Suite struct TimerBatchTests {
    private func ndjson(_ lines: [JSONValue]) -> [UInt8] { Array(lines.map(\.text).joined(separator: "\n").utf8) }

    @Test func `ten thousand timers in one request, with duplicates, conflicts and rejects`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(
                .post, Samples.timers, ["id": "o-1", "delay": "36h", "target": ["action": "/guest/a"]])
            _ = try await calls.send(.post, Samples.timers, ["id": "o-2", "delay": "1h"])
            var lines: [JSONValue] = [["defaults": ["target": ["action": "/guest/a"], "delay": "36h"]]]
            for index in 1...10_000 {
                lines.append(
                    index == 9000
                        ? ["id": .string("o-\(index)"), "delay": "-5m"] : ["id": .string("o-\(index)")])
            }
            let reply = try await calls.send(
                .post, "\(Samples.timers)/batch", bytes: self.ndjson(lines), contentType: "application/x-ndjson",
                compresses: true)
            #expect(reply.status == 200)
            #expect(reply.document["accepted"] == 9997)
            #expect(reply.document["duplicates"] == 1)
            #expect(reply.document["conflicts"] == 1)
            #expect(reply.document["rejected"] == 1)
            #expect(reply.document["firstDueAt"]?.stringValue == "2026-11-24T21:00:00.000Z")
            let results = reply.document["results"]?.arrayValue ?? []
            #expect(results.map { $0["status"]?.stringValue } == ["duplicate", "conflict", "rejected"])
            #expect(results[2]["line"] == 9001)
            #expect(results[2]["error"]?["code"]?.stringValue == "INVALID_DURATION")
            #expect(results[2]["error"]?["pointer"]?.stringValue == "/delay")
        }
        #expect(Set(api.gateway.state.withLock { $0.changed }).count == TestAPI.shardCount, "all shards share the load")
    }

    @Test func `one line too many refuses the batch`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let lines = Array(repeating: JSONValue.object([JSONMember("delay", "1h")]), count: 10_001)
            let reply = try await calls.send(
                .post, "\(Samples.timers)/batch", bytes: self.ndjson(lines), contentType: "application/x-ndjson")
            #expect(reply.status == 413)
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 1).isEmpty)
    }

    @Test func `defaults that repeat a payload beyond what one request may store refuse the batch`() async throws {
        let api = try await TestAPI(timerBytesMax: 50_000)
        try await api.serve { calls in
            func send(_ count: Int) async throws -> Reply {
                let defaults: JSONValue = [
                    "defaults": ["delay": "1h", "target": ["payload": .string(String(repeating: "x", count: 2000))]]
                ]
                return try await calls.send(
                    .post, "\(Samples.timers)/batch",
                    bytes: self.ndjson([defaults] + (0..<count).map { ["id": .string("t-\($0)")] }),
                    contentType: "application/x-ndjson")
            }
            let refused = try await send(13)
            #expect(refused.status == 413)
            #expect(refused.faults == [" PAYLOAD_TOO_LARGE"])
            #expect(refused.document["detail"]?.stringValue?.contains("50000 bytes; send several batches") == true)
            #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 1).isEmpty)
            #expect(try await send(10).document["accepted"] == 10)
        }
    }

    @Test func `an atomic batch with one bad line stores nothing`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let body = self.ndjson([["id": "a", "delay": "1h"], ["id": "b", "dely": "1h"]])
            let reply = try await calls.send(
                .post, "\(Samples.timers)/batch?mode=atomic&results=all", bytes: body,
                contentType: "application/x-ndjson")
            #expect(reply.status == 422)
            let results = reply.document["results"]?.arrayValue ?? []
            #expect(results.map { $0["status"]?.stringValue } == ["not-stored", "rejected"])
        }
        #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 1).isEmpty)
    }

    @Test func `an atomic batch with an id that is taken stores nothing, and can be repeated under its key`()
        async throws
    {
        let api = try await TestAPI()
        try await api.serve { calls in
            func send(_ lines: [JSONValue]) async throws -> Reply {
                try await calls.send(
                    .post, "\(Samples.timers)/batch?mode=atomic&results=all", bytes: self.ndjson(lines),
                    contentType: "application/x-ndjson", headers: ["Idempotency-Key": "k"])
            }
            let taken: JSONValue = ["id": "a", "at": "2026-12-01T00:00:00Z"]
            #expect(try await calls.send(.post, Samples.timers, taken).status == 201)
            let other: JSONValue = ["id": "a", "at": "2026-12-02T00:00:00Z"]
            for _ in 1...2 {
                let reply = try await send([["id": "b", "delay": "1h"], other, ["id": "c", "delay": "1h"]])
                #expect(reply.status == 409, "\(reply.document.text)")
                let results = reply.document["results"]?.arrayValue ?? []
                #expect(results.map { $0["status"]?.stringValue } == ["not-stored", "conflict", "not-stored"])
                #expect(reply.document["accepted"] == 0)
            }
            let stored = try await api.store.timers(namespace: "guest", after: nil, limit: 10)
            #expect(stored.map(\.name) == ["a"])
        }
    }

    @Test func `a line that is not JSON is rejected alone`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let body = Array(
                "{\"id\":\"a\",\"delay\":\"1h\"}\n{oops\n\n{\"id\":\"b\",\"at\":\"2026-12-01T00:00:00Z\"}\n".utf8)
            let reply = try await calls.send(
                .post, "\(Samples.timers)/batch?results=all", bytes: body, contentType: "application/x-ndjson")
            #expect(reply.document["accepted"] == 2)
            let results = reply.document["results"]?.arrayValue ?? []
            #expect(results.map { $0["line"] } == [1, 2, 4])
            #expect(results[1]["error"]?["code"]?.stringValue == "MALFORMED_JSON")
        }
    }

    @Test func `a JSON document is a batch too, and what says when replaces the default`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let reply = try await calls.send(
                .post, "\(Samples.timers)/batch?results=all",
                [
                    "defaults": ["delay": "1h", "target": ["action": "/guest/a", "payload": ["n": 0]]],
                    "timers": [
                        ["id": "a"], ["id": "b", "at": "2026-12-01T00:00:00Z", "target": ["payload": ["n": 1]]],
                    ],
                ])
            #expect(reply.document["accepted"] == 2)
            let timer = try await calls.send(.get, "\(Samples.timers)/b")
            #expect(timer.document["dueAt"]?.stringValue == "2026-12-01T00:00:00.000Z")
            #expect(timer.document["target"]?["action"]?.stringValue == "/guest/a")
            #expect(timer.document["target"]?["payload"]?.text == "{\"n\":1}")
        }
    }

    /// Sends a body whose encoding is said, as it is.
    private func send(_ calls: Calls, gzip bytes: [UInt8], to path: String = "/batch") async throws -> Reply {
        try await calls.send(
            .post, "\(Samples.timers)\(path)", bytes: bytes,
            contentType: path.isEmpty ? "application/json" : "application/x-ndjson",
            headers: ["Content-Encoding": "gzip"])
    }

    @Test func `a batch may come as gzip`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let body = self.ndjson([["id": "a", "delay": "1h"], ["id": "b", "delay": "1h"]])
            let reply = try await self.send(calls, gzip: Gzip.compress(body))
            #expect(reply.document["accepted"] == 2)
            // What is said to be gzip is not read as anything else.
            for wrong in [body, Array(Gzip.compress(body).dropLast(9)), Gzip.compress(body) + [0]] {
                let refused = try await self.send(calls, gzip: wrong)
                #expect(refused.status == 400)
            }
        }
        // Which of two of one millisecond comes first is chance.
        let stored = try await api.store.timers(namespace: "guest", after: nil, limit: 10).map(\.name)
        #expect(stored.sorted() == ["a", "b"])
    }

    @Test func `a small body that unfolds beyond the bound is refused, and none of it is stored`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let bound = APISettings(cluster: "test", shardCount: 1, authentication: .open).batchByteCountMax
            let line = Array(#"{"id":"a","delay":"1h"}"#.utf8)
            let bomb = Gzip.compress(line + [UInt8](repeating: 0x0a, count: bound + 1 - line.count))
            #expect(bomb.count < bound / 100)
            let refused = try await self.send(calls, gzip: bomb)
            #expect(refused.status == 413)
            #expect(refused.faults == [" PAYLOAD_TOO_LARGE"])
            #expect(refused.document["detail"]?.stringValue?.contains("\(bound) bytes") == true)
            // A document alone has a narrower bound.
            let narrow = Gzip.compress(line + [UInt8](repeating: 0x20, count: bound / 4))
            #expect(try await self.send(calls, gzip: narrow, to: "").status == 413)
            #expect(try await api.store.timers(namespace: "guest", after: nil, limit: 1).isEmpty)
        }
    }

    @Test func `empty lines count as lines and cost nothing else`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let body = [UInt8](repeating: 0x0a, count: 100_000) + Array(#"{"id":"a","delay":"1h"}"#.utf8)
            let reply = try await self.send(calls, gzip: Gzip.compress(body), to: "/batch?results=all")
            #expect(reply.document["accepted"] == 1)
            #expect(reply.document["results"]?[0]?["line"] == 100_001)
        }
    }
}
