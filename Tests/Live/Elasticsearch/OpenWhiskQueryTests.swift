import DispatcherDomain
import DispatcherService
import ElasticsearchStore
import ElasticsearchSupport
import EscapementModel
import HTTPClient
import JSON
import Testing

/// Our records in OpenWhisk's indices, asked as OpenWhisk's own Elasticsearch store asks: its queries, in the form
/// without types that servers since 7 take.
@Suite struct OpenWhiskQueryTests {
    private static let end = History.start.advanced(by: .seconds(36_000))

    /// Runs `body` with twelve records of `nightly-report` and one of `weekly`.
    private static func run(_ body: @escaping @Sendable (History, _ index: String) async throws -> Void) async throws {
        try await StoreUnderTest.with { under in
            try await History.openWhisk(under) { history in
                try await history.write((0..<12).map { history.outcome($0) } + [history.outcome(20, name: "weekly")])
                try await body(history, history.form.indices(of: history.namespace))
            }
        }
    }

    private static func range(_ since: WallInstant, _ upTo: WallInstant) -> JSONValue {
        ["range": ["start": ["gte": .integer(since.milliseconds), "lte": .integer(upTo.milliseconds)]]]
    }

    private static func phrase(_ field: String, _ text: String) -> JSONValue {
        ["match_phrase": .object([JSONMember(field, .string(text))])]
    }

    private static func must(_ clauses: [JSONValue]) -> JSONValue { ["bool": ["must": .array(clauses)]] }

    @Test func `get finds an activation by the term of its document id`() async throws {
        try await Self.run { history, index in
            let id = "\(history.namespace)/\(history.outcome(3).id)"
            let answer = try await history.under.client.search(
                index, ["query": ["bool": ["must": [["term": ["_id": .string(id)]]]]]])
            #expect(answer.hits.map(\.id) == [id])
            let source = try #require(answer.hits.first?.source)
            for field in [
                "namespace", "name", "subject", "activationId", "start", "end", "response", "logs", "version",
                "publish", "annotations",
            ] {
                #expect(source[field] != nil, "OpenWhisk cannot parse a record without \(field)")
            }
        }
    }

    @Test func `the list of a namespace is newest first, with skip and limit`() async throws {
        try await Self.run { history, index in
            let answer = try await history.under.client.search(
                index,
                [
                    "query": Self.must([
                        Self.phrase("namespace", history.namespace), Self.range(History.start, Self.end),
                    ]),
                    "sort": [["start": ["order": "desc"]]], "from": 1, "size": 5,
                ])
            #expect(
                answer.hits.compactMap { $0.source["activationId"]?.stringValue }
                    == (7...11).reversed().map { history.outcome($0).id.description })
        }
    }

    @Test func `the list by name matches the path, within since and upto`() async throws {
        try await Self.run { history, index in
            let since = History.start.advanced(by: .seconds(300))
            let answer = try await history.under.client.search(
                index,
                [
                    "query": Self.must([
                        Self.phrase("path", "\(history.namespace)/nightly-report"), Self.range(since, Self.end),
                    ]),
                    "sort": [["start": ["order": "desc"]]], "from": 0, "size": 100,
                ])
            #expect(answer.hits.count == 7)
            #expect(answer.hits.allSatisfy { $0.source["name"] == "nightly-report" })
        }
    }

    @Test func `the count has the list's query`() async throws {
        try await Self.run { history, index in
            let query = Self.must([
                Self.phrase("namespace", history.namespace),
                Self.range(WallInstant(milliseconds: 0), Self.end.advanced(by: .seconds(3_155_760_000))),
            ])
            let count = try await history.under.client.count(index, query)
            #expect(count == 13)
        }
    }

    @Test func `the duration check sees our records and no duration of theirs`() async throws {
        try await Self.run { history, index in
            let answer = try await history.under.client.search(
                index,
                [
                    "size": 0,
                    "query": Self.must([
                        ["match": ["path.keyword": .string("\(history.namespace)/nightly-report")]],
                        ["range": ["@timestamp": ["gte": .string(History.start.description)]]],
                    ]),
                    "aggs": ["filterAverageAggregation": ["avg": ["field": "duration"]]],
                ])
            #expect(answer.total?.value == 12)
            #expect(answer.aggregations?["filterAverageAggregation"]?["value"] == .null)
        }
    }

    @Test func `the duration check of a bound action averages OpenWhisk's records alone`() async throws {
        try await Self.run { history, index in
            let record = OpenWhiskIndexTests.record(namespace: history.namespace, binding: "guest/bound")
            _ = try await history.under.client.create([
                .init(index: index, id: "Guest/0d6f3c2f5b5a4f0c8f3c2f5b5aef0c11", body: record.bytes)
            ])
            try await history.under.refresh(index)
            let answer = try await history.under.client.search(
                index,
                [
                    "size": 0,
                    "query": Self.must([
                        ["match": ["annotations.binding": "guest/bound"]], ["match": ["name": "nightly-report"]],
                        ["range": ["@timestamp": ["gte": .string(History.start.description)]]],
                    ]),
                    "aggs": ["filterAverageAggregation": ["avg": ["field": "duration"]]],
                ])
            #expect(answer.total?.value == 1)
            #expect(answer.aggregations?["filterAverageAggregation"]?["value"]?.doubleValue == 41)
        }
    }

    @Test func `delete removes one activation by the term of its document id`() async throws {
        try await Self.run { history, index in
            let id = "\(history.namespace)/\(history.outcome(3).id)"
            let body: JSONValue = ["query": ["term": ["_id": .string(id)]]]
            let response = try await history.under.http.send(
                HTTPRequest(
                    .post, "/\(index)/_delete_by_query?refresh=true", headers: ["Content-Type": "application/json"],
                    body: body.bytes))
            #expect(response.status == 200)
            let count = try await history.under.client.count(index, ["match_all": .object([])])
            #expect(count == 12)
        }
    }

    @Test func `a record of OpenWhisk's own beside ours is no concern of our history`() async throws {
        try await Self.run { history, index in
            let record: JSONValue = [
                "@timestamp": "2026-11-23T01:30:00.123Z", "activationId": "0d6f3c2f5b5a4f0c8f3c2f5b5aef0c11",
                "annotations": [
                    "path": "Guest/report", "kind": "nodejs:20", "waitTime": 12, "timeout": false,
                    "limits": ["timeout": 60_000, "memory": 256, "logs": 10, "concurrency": 1],
                ],
                "duration": 41, "end": .integer(History.start.milliseconds + 164), "entityType": "activation",
                "logs": .array([]), "name": "report", "namespace": "Guest", "path": "Guest/report", "publish": false,
                "response": ["statusCode": 0, "result": "{\"ok\":true}", "size": 11],
                "start": .integer(History.start.milliseconds + 123), "subject": "guest",
                "updated": .integer(History.start.milliseconds + 170), "version": "0.0.4",
            ]
            let results = try await history.under.client.create([
                .init(index: index, id: "Guest/0d6f3c2f5b5a4f0c8f3c2f5b5aef0c11", body: record.bytes)
            ])
            #expect(results.map(\.status) == [201])
            try await history.under.refresh(index)
            #expect(try await history.search { _ in }.items.count == 13)
            let count = try await history.under.client.count(index, Self.phrase("namespace", "Guest"))
            #expect(count == 14)
        }
    }
}
