import HTTPClient
import JSON
import Testing

@Suite struct SearchTests {
    /// Runs `body` on an index `a` of five documents.
    private static func run(_ body: @escaping @Sendable (Calls) async throws -> Void) async throws {
        try await Calls.run { call in
            try await call(
                .put, "/a",
                #"""
                {"mappings":{"properties":{"at":{"type":"date"},"name":{"type":"keyword","fields":{"text":{"type":"text"}}},
                "n":{"type":"long"},"labels":{"type":"flattened"},"text":{"type":"text"}}}}
                """#)
            let documents = [
                #"{"at":"2026-11-23T00:00:00Z","name":"nightly-report","n":1,"labels":{"team":"a"},"text":"the broker was away"}"#,
                #"{"at":"2026-11-23T00:30:00Z","name":"nightly-clean","n":2,"labels":{"team":"b"}}"#,
                #"{"at":"2026-11-23T01:00:00Z","name":"weekly-report","n":3,"labels":{"team":"a"}}"#,
                #"{"at":"2026-11-23T02:00:00Z","name":"weekly-report","n":4,"text":"away"}"#,
                #"{"at":"2026-11-23T03:00:00Z","name":"other"}"#,
            ]
            try await call.bulk(
                documents.enumerated().flatMap {
                    [#"{"index":{"_index":"a","_id":"\#($0.offset + 1)"}}"#, $0.element]
                },
                query: "?refresh=true")
            try await body(call)
        }
    }

    @Test(
        arguments: [
            (#"{"term":{"name":"weekly-report"}}"#, ["3", "4"]),
            (#"{"terms":{"name":["other","nightly-clean"]}}"#, ["2", "5"]),
            (#"{"range":{"n":{"gte":2,"lt":4}}}"#, ["2", "3"]),
            (#"{"range":{"at":{"gt":"2026-11-23T01:00:00Z"}}}"#, ["4", "5"]),
            (#"{"exists":{"field":"text"}}"#, ["1", "4"]), (#"{"prefix":{"name":"nightly"}}"#, ["1", "2"]),
            (#"{"wildcard":{"name":"*report"}}"#, ["1", "3", "4"]), (#"{"ids":{"values":["2","9"]}}"#, ["2"]),
            (#"{"match":{"text":"BROKER"}}"#, ["1"]), (#"{"match_phrase":{"text":"was away"}}"#, ["1"]),
            (#"{"match":{"name.text":"report"}}"#, ["1", "3", "4"]), (#"{"term":{"labels.team":"a"}}"#, ["1", "3"]),
            (#"{"bool":{"filter":[{"exists":{"field":"n"}}],"must_not":[{"term":{"n":1}}]}}"#, ["2", "3", "4"]),
            (
                #"{"bool":{"should":[{"term":{"n":1}},{"term":{"n":4}}],"minimum_should_match":1}}"#, ["1", "4"]
            ),
        ] as [(String, [String])])
    func `a query finds what it says`(query: String, expected: [String]) async throws {
        try await Self.run { call in
            let found = try await call.ids("a", #"{"query":\#(query),"sort":["at"]}"#)
            #expect(found == expected)
        }
    }

    @Test func `pages by search_after follow the order`() async throws {
        try await Self.run { call in
            let first = try await call(.post, "/a/_search", #"{"size":2,"sort":[{"at":"desc"},{"name":"desc"}]}"#)
            let last = try #require(first.json["hits"]?["hits"]?[1]?["sort"])
            let second = try await call.ids(
                "a", #"{"size":2,"sort":[{"at":"desc"},{"name":"desc"}],"search_after":\#(last.text)}"#)
            #expect(second == ["3", "2"])
        }
    }

    @Test func `a histogram over time holds terms, percentiles and extremes`() async throws {
        try await Self.run { call in
            let answer = try await call(
                .post, "/a/_search",
                #"""
                {"size":0,"track_total_hits":false,"aggs":{"t":{"date_histogram":{"field":"at","fixed_interval":"1h",
                "min_doc_count":1},"aggs":{"names":{"terms":{"field":"name","size":5}},"late":{"percentiles":{"field":"n",
                "percents":[50],"keyed":false}},"worst":{"max":{"field":"n"}}}}}}
                """#)
            let buckets = try #require(answer.json["aggregations"]?["t"]?["buckets"]?.arrayValue)
            #expect(buckets.map { $0["doc_count"] } == [2, 1, 1, 1])
            #expect(buckets[0]["key_as_string"] == "2026-11-23T00:00:00.000Z")
            #expect(buckets[0]["worst"]?["value"]?.doubleValue == 2)
            #expect(buckets[0]["late"]?["values"]?[0]?["value"]?.doubleValue == 1.5)
            #expect(buckets[1]["names"]?["buckets"]?[0]?["key"] == "weekly-report")
            #expect(answer.json["hits"]?["total"] == nil)
        }
    }

    @Test func `a bounded count says when there are more`() async throws {
        try await Self.run { call in
            let total = try await call(.post, "/a/_search", #"{"size":0,"track_total_hits":3}"#).json["hits"]?["total"]
            #expect(total?["value"] == 3)
            #expect(total?["relation"] == "gte")
        }
    }

    @Test func `a point in time does not see what comes later`() async throws {
        try await Self.run { call in
            let id = try #require(try await call(.post, "/a/_pit?keep_alive=1m").json["id"])
            try await call(.put, "/a/_doc/6?refresh=true", #"{"n":6}"#)
            let answer = try await call(.post, "/_search", #"{"size":10,"pit":{"id":\#(id.text)}}"#)
            #expect(answer.json["hits"]?["hits"]?.arrayValue?.count == 5)
            #expect(try await call(.delete, "/_pit", #"{"id":\#(id.text)}"#).status == 200)
        }
    }
}
