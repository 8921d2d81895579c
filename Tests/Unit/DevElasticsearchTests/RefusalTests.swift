import DevElasticsearch
import ElasticsearchSupport
import HTTPClient
import JSON
import Testing

/// What the real server refuses is refused, with its status and its kind of error.
@Suite struct RefusalTests {
    @Test(
        arguments: [
            (HTTPMethod.get, "/none/_search", nil, 404, "index_not_found_exception"),
            (.post, "/_search?siez=3", #"{}"#, 400, "illegal_argument_exception"),
            (.post, "/_search", #"{"queery":{}}"#, 400, "parsing_exception"),
            (.post, "/_search", #"{"query":{"trem":{"a":1}}}"#, 400, "parsing_exception"),
            (.put, "/Upper", nil, 400, "invalid_index_name_exception"),
            (.put, "/a", #"{"mapings":{}}"#, 400, "parse_exception"),
            (.put, "/_index_template/t", #"{"index_patterns":["x"],"settings":{}}"#, 400, "x_content_parse_exception"),
            (.delete, "/none", nil, 404, "index_not_found_exception"),
            (.get, "/_index_template/none", nil, 404, "resource_not_found_exception"),
        ] as [(HTTPMethod, String, String?, Int, String)])
    func `an unknown thing is named`(
        method: HTTPMethod, path: String, body: String?, status: Int, type: String
    ) async throws {
        try await Calls.run { call in
            let answer = try await call(method, path, body)
            #expect(answer.status == status)
            let types = [answer.errorType, answer.json["error"]?["root_cause"]?[0]?["type"]?.stringValue]
            #expect(types.contains(type) || type == "x_content_parse_exception" && types.contains("parsing_exception"))
            #expect(answer.json["status"] == .integer(status))
        }
    }

    @Test func `a body of another media type is refused`() async throws {
        try await Calls.run { call in
            let answer = try await call(.post, "/_search", "{}", contentType: "text/plain")
            #expect(answer.status == 406)
        }
    }

    @Test func `a bulk request must end with a line break`() async throws {
        try await Calls.run { call in
            let answer = try await call(
                .post, "/_bulk", #"{"delete":{"_index":"a","_id":"1"}}"#, contentType: "application/x-ndjson")
            #expect(answer.status == 400)
        }
    }

    @Test func `faults come on order and go again`() async throws {
        try await Calls.run { call in
            func set(_ json: JSONValue) throws {
                let (plan, problem) = Faults.Plan.read(json)
                call.server.faults.plan = try #require(plan, "\(problem)")
            }
            try set(["down": true])
            #expect(try await call(.get, "/").status == 503)
            try set(["tooManyPercent": 100])
            #expect(try await call(.get, "/").status == 429)
            try set(["refuseOneIn": 2])
            let lines = (1...4).flatMap { [#"{"create":{"_index":"a","_id":"\#($0)"}}"#, "{}"] }
            let bulk = try await call.bulk(lines)
            #expect(
                bulk.json["items"]?.arrayValue?.map { $0["create"]?["status"] } == [201, 400, 201, 400])
            try set(["busyDocumentsPercent": 100])
            #expect(try await call.bulk(lines).json["items"]?[0]?["create"]?["status"] == 429)
            try set(["closePercent": 100])
            await #expect(throws: HTTPClientError.self) {
                _ = try await call.bulk([#"{"create":{"_index":"a","_id":"9"}}"#, "{}"])
            }
            try set([:])
            #expect(try await call(.get, "/a/_doc/9").status == 200, "the request took effect")
            #expect(Faults.Plan.read(["unknown": 1]).plan == nil)
        }
    }
}
