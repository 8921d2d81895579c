import ElasticsearchSupport
import HTTPClient
import JSON
import Testing
import TestSupport

@Suite struct DocumentTests {
    @Test func `a bulk request answers each item in order, and a create of a known id is a conflict`() async throws {
        try await Calls.run { call in
            let first = try await call.bulk([
                #"{"create":{"_index":"a","_id":"1"}}"#, #"{"x":1}"#, #"{"index":{"_index":"a","_id":"2"}}"#,
                #"{"x":2}"#,
            ])
            #expect(first.status == 200)
            #expect(first.json["errors"] == false)
            #expect(first.json["items"]?[0]?["create"]?["status"] == 201)
            #expect(first.json["items"]?[1]?["index"]?["result"] == "created")
            let second = try await call.bulk([
                #"{"create":{"_index":"a","_id":"1"}}"#, #"{"x":9}"#, #"{"delete":{"_index":"a","_id":"2"}}"#,
            ])
            #expect(second.json["errors"] == true)
            #expect(second.json["items"]?[0]?["create"]?["status"] == 409)
            #expect(second.json["items"]?[0]?["create"]?["error"]?["type"] == "version_conflict_engine_exception")
            #expect(second.json["items"]?[1]?["delete"]?["status"] == 200)
            #expect(try await call(.get, "/a/_doc/1").json["_source"]?["x"] == 1, "the first one stays")
        }
    }

    @Test func `a search sees what was refreshed; a get by id sees everything`() async throws {
        try await Calls.run { call in
            try await call(.put, "/a", #"{"settings":{"index.refresh_interval":"-1"}}"#)
            try await call(.put, "/a/_doc/1", #"{"x":1}"#)
            #expect(try await call(.get, "/a/_doc/1").json["found"] == true)
            #expect(try await call.ids("a", "{}") == [])
            try await call(.post, "/a/_refresh")
            #expect(try await call.ids("a", "{}") == ["1"])
        }
    }

    @Test func `a template gives a new index its mapping, and a value of another type is refused alone`() async throws {
        try await Calls.run { call in
            let put = try await call(
                .put, "/_index_template/t",
                #"{"index_patterns":["a-*"],"template":{"mappings":{"dynamic":false,"properties":{"at":{"type":"date"}}}}}"#
            )
            #expect(put.status == 200)
            let bulk = try await call.bulk([
                #"{"create":{"_index":"a-1","_id":"1"}}"#, #"{"at":"no date"}"#,
                #"{"create":{"_index":"a-1","_id":"2"}}"#,
                #"{"at":"2026-11-23T01:30:00Z","more":1}"#,
            ])
            #expect(bulk.json["items"]?[0]?["create"]?["status"] == 400)
            #expect(bulk.json["items"]?[0]?["create"]?["error"]?["type"] == "document_parsing_exception")
            #expect(bulk.json["items"]?[1]?["create"]?["status"] == 201)
            let mapping = try await call(.get, "/a-1/_mapping").json["a-1"]?["mappings"]
            #expect(mapping?["properties"]?["at"]?["type"] == "date")
            #expect(mapping?["properties"]?["more"] == nil, "dynamic is off")
        }
    }

    @Test func `data survives a restart, also one that ended in the middle of a write`() async throws {
        let folder = TemporaryFolder()
        try await Calls.run(folder: folder) { call in
            try await call(.put, "/_index_template/t", #"{"index_patterns":["b-*"]}"#)
            try await call.bulk((1...20).flatMap { [#"{"create":{"_index":"a","_id":"\#($0)"}}"#, #"{"x":\#($0)}"#] })
            try await call(.delete, "/a/_doc/20")
        }
        for log in folder.names(in: "indices") where log.hasSuffix(".log") {
            folder.append(
                "{\"op\":\"index\",\"id\":\"21\",\"version\":1,\"seq\":99,\"length\":400}\n{\"x\":",
                to: "indices/\(log)")
        }
        try await Calls.run(folder: folder) { call in
            #expect(try await call(.get, "/a/_count").json["count"] == 19)
            #expect(try await call(.get, "/_index_template/t").status == 200)
            #expect(try await call(.get, "/a/_doc/21").status == 404)
            let again = try await call.bulk([#"{"create":{"_index":"a","_id":"7"}}"#, #"{"x":0}"#])
            #expect(again.json["items"]?[0]?["create"]?["status"] == 409, "ids are known")
        }
    }

    @Test func `credentials are asked for, Basic or API key`() async throws {
        try await Calls.run(folder: TemporaryFolder(), asksWho: true) { call in
            let refused = try await call(.get, "/")
            #expect(refused.status == 401)
            #expect(refused.errorType == "security_exception")
            let wrong = Authorization.basic(user: DevElasticsearchServer.username, password: "wrong")
            #expect(try await call(.get, "/", authorization: wrong).status == 401)
            let right = Authorization.basic(
                user: DevElasticsearchServer.username, password: DevElasticsearchServer.password)
            #expect(try await call(.get, "/", authorization: right).json["version"]?["number"] != nil)
            let key = Authorization.apiKey(encoded: "ZWxhc3RpYzphIHBhc3N3b3Jk")
            #expect(try await call(.get, "/", authorization: key).status == 200)
        }
    }
}
