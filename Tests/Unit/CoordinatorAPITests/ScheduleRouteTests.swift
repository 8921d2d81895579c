import EscapementModel
import HTTPClient
import JSON
import NIOCore
import Store
import Synchronization
import TestSupport
import Testing
import WireProtocol

@Suite struct ScheduleRouteTests {
    @Test func `a schedule is created, read, listed and deleted`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let created = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
            #expect(created.status == 201)
            #expect(created.headers["ETag"] == "\"1\"")
            #expect(created.headers["Location"] == "/v1/namespaces/guest/schedules/nightly")
            #expect(created.document["status"]?["nextFireAt"]?.stringValue == "2026-11-24T01:30:00.000Z")
            #expect(created.document["status"]?["text"]?.stringValue == "Every day at 02:30, Europe/Paris")
            #expect(created.document["target"]?["payload"]?.text == "{\"limit\":9007199254740993}")
            let read = try await calls.send(.get, "\(Samples.schedules)/nightly")
            #expect(read.status == 200)
            #expect(read.document == created.document)
            let list = try await calls.send(.get, Samples.schedules)
            #expect(list.document["items"]?.arrayValue?.count == 1)
            #expect(list.document["nextPageToken"] == .null)
            let deleted = try await calls.send(.delete, "\(Samples.schedules)/nightly", headers: ["If-Match": "\"1\""])
            #expect(deleted.status == 200)
            #expect(deleted.document["status"]?["state"]?.stringValue == "deleted")
            #expect(try await calls.send(.get, "\(Samples.schedules)/nightly").status == 404)
        }
        let shard = ShardPlacement.shard(namespace: "guest", name: "nightly", shardCount: TestAPI.shardCount)
        #expect(api.gateway.state.withLock { $0.changed } == [shard, shard], "tickers hear of both changes")
    }

    @Test func `the stored template says what dispatchers publish`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let reply = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
            #expect(reply.status == 201)
        }
        let stored = try #require(try await api.store.schedule(namespace: "guest", name: "nightly"))
        let template = try FireTemplate(decoding: ByteBuffer(bytes: stored.body.template))
        #expect(template.origin == .schedule)
        #expect(template.action == "/guest/reports/nightly")
        #expect(String(buffer: template.payload) == "{\"limit\":9007199254740993}")
        #expect(template.labels == [Label(name: "team", value: "billing")])
        #expect(stored.body.kind == .cron)
        #expect(stored.createdBy == "anonymous")
    }

    @Test func `all faults of a document come in one answer, and nothing is stored`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let reply = try await calls.send(
                .post, Samples.schedules,
                [
                    "name": "-x", "whne": [:],
                    "when": ["cron": ["0 25 * * *"], "timeZone": "Europe/Pari"],
                    "target": ["topic": "__consumer_offsets"], "policy": ["misfire": "lastest"],
                ])
            #expect(reply.status == 422)
            #expect(reply.code == "VALIDATION_FAILED")
            #expect(reply.headers["Content-Type"] == "application/problem+json")
            #expect(
                Set(reply.faults) == [
                    "/name INVALID_NAME", "/whne UNKNOWN_FIELD", "/when/cron/0 VALUE_OUT_OF_RANGE",
                    "/when/timeZone UNKNOWN_TIMEZONE", "/target/topic TOPIC_NOT_ALLOWED",
                    "/policy/misfire INVALID_VALUE",
                ])
            let text = reply.document.text
            #expect(text.contains("did you mean 'when'?"))
            #expect(text.contains("Europe/Paris"))
            #expect(text.contains("did you mean 'latest'?"))
        }
        #expect(try await api.store.schedules(namespace: "guest", after: nil, containing: nil, limit: 10).isEmpty)
    }

    @Test(arguments: [
        ("{\"name\": \"x\",}", 400, "MALFORMED_JSON"),
        ("{\"name\": \"x\", \"name\": \"y\"}", 400, "MALFORMED_JSON"),
        (String(repeating: "[", count: 40), 400, "MALFORMED_JSON"),
        ("[]", 422, "VALIDATION_FAILED"),
        ("{\"name\": \"x\"}", 422, "VALIDATION_FAILED"),
        ("{\"name\": \"x\", \"when\": {\"delay\": \"-5m\"}}", 422, "VALIDATION_FAILED"),
        ("{\"name\": \"x\", \"when\": {\"cron\": \"0 0 30 2 *\"}}", 422, "NEVER_FIRES"),
        ("{\"name\": \"x\", \"when\": {\"at\": \"2020-01-01T00:00:00Z\"}}", 422, "NEVER_FIRES"),
        (
            "{\"name\": \"x\", \"when\": {\"every\": \"1h\"}, \"target\": {\"topic\": \"__x\"}}", 403,
            "TOPIC_NOT_ALLOWED"
        ),
    ])
    func `bad bodies are refused by kind`(_ body: String, _ status: Int, _ code: String) async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let reply = try await calls.send(.post, Samples.schedules, bytes: Array(body.utf8))
            #expect(reply.status == status)
            #expect(reply.code == code)
        }
        #expect(try await api.store.schedules(namespace: "guest", after: nil, containing: nil, limit: 10).isEmpty)
    }

    @Test func `payloads and bodies have bounds`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            func body(payload count: Int) -> [UInt8] {
                let text = String(repeating: "x", count: count)
                return JSONValue.record([
                    "name": "big", "when": ["every": "1h"], "target": ["payload": .string(text)],
                ]).bytes
            }
            let overDefault = try await calls.send(.post, Samples.schedules, bytes: body(payload: 70_000))
            #expect(overDefault.status == 413)
            #expect(overDefault.faults == ["/target/payload PAYLOAD_TOO_LARGE"])
            let twoMegabytes = try await calls.send(.post, Samples.schedules, bytes: body(payload: 2_000_000))
            #expect(twoMegabytes.status == 413)
            #expect(twoMegabytes.faults == ["/target/payload PAYLOAD_TOO_LARGE"])
            let overBody = try await calls.send(.post, Samples.schedules, bytes: body(payload: 2_100_000))
            #expect(overBody.status == 413)
            #expect(overBody.code == "PAYLOAD_TOO_LARGE")
            let bomb = try await calls.send(
                .post, Samples.schedules, bytes: Array(repeating: 0x20, count: 3 << 20), compresses: true)
            #expect(bomb.status == 413, "a small body may unfold to a large one")
            let fits = try await calls.send(.post, Samples.schedules, bytes: body(payload: 65_000))
            #expect(fits.status == 201)
        }
    }

    @Test func `texts that no store takes are refused before one sees them`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
            #expect(try await calls.send(.get, "\(Samples.schedules)/a%00b").status == 404)
            #expect(
                try await calls.send(.put, "\(Samples.schedules)/-x", Samples.schedule("-x")).faults == [
                    "/name INVALID_NAME"
                ])
            #expect(try await calls.send(.get, "\(Samples.schedules)?q=a%00b").faults == ["q INVALID_VALUE"])
            let pause = try await calls.send(.post, "\(Samples.schedules)/nightly/pause", ["reason": "a\u{0}b"])
            #expect(pause.faults == ["/reason INVALID_VALUE"])
            let label = try await calls.send(.patch, "\(Samples.schedules)/nightly", ["labels": ["a": "x\u{0}"]])
            #expect(label.faults == ["/labels/a INVALID_VALUE"])
        }
    }

    @Test func `other media types and encodings are refused with what would do`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let form = try await calls.send(
                .post, Samples.schedules, bytes: Array("a=b".utf8), contentType: "application/x-www-form-urlencoded")
            #expect(form.status == 415)
            #expect(form.faults == ["Content-Type UNSUPPORTED_MEDIA_TYPE"])
            let brotli = try await calls.send(
                .post, Samples.schedules, Samples.schedule("x"), headers: ["Content-Encoding": "br"])
            #expect(brotli.status == 415)
            let gzip = try await calls.send(
                .post, Samples.schedules,
                bytes: Array(Samples.schedule("packed").prettyText.utf8) + Array(repeating: 0x20, count: 2000),
                compresses: true)
            #expect(gzip.status == 201)
            let broken = try await calls.send(
                .post, Samples.schedules, Samples.schedule("x"), headers: ["Content-Encoding": "gzip"])
            #expect(broken.status == 400)
        }
    }

    @Test func `a name is taken once; the same content again is the same schedule`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let first = try await calls.send(.post, Samples.schedules, Samples.schedule("one"))
            let again = try await calls.send(.post, Samples.schedules, Samples.schedule("one"))
            #expect(again.status == 200)
            #expect(again.document["uid"] == first.document["uid"])
            let other = try await calls.send(.post, Samples.schedules, Samples.schedule("one", cron: "0 3 * * *"))
            #expect(other.status == 409)
            #expect(other.code == "ALREADY_EXISTS")
        }
    }

    @Test func `a stale ETag changes nothing`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.schedules, Samples.schedule("one"))
            let path = "\(Samples.schedules)/one"
            let stale = try await calls.send(.delete, path, headers: ["If-Match": "\"7\""])
            #expect(stale.status == 412)
            #expect(stale.code == "STALE_ETAG")
            let odd = try await calls.send(.delete, path, headers: ["If-Match": "W/\"1\""])
            #expect(odd.status == 412)
            let known = try await calls.send(.get, path, headers: ["If-None-Match": "\"1\""])
            #expect(known.status == 304)
            #expect(try await calls.send(.get, path).status == 200)
        }
    }

    @Test func `a dry run answers what would be and stores nothing`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            let reply = try await calls.send(.post, "\(Samples.schedules)?dryRun=true", Samples.schedule("ghost"))
            #expect(reply.status == 200)
            #expect(reply.document["status"]?["nextFireAt"]?.stringValue == "2026-11-24T01:30:00.000Z")
            #expect(try await calls.send(.get, "\(Samples.schedules)/ghost").status == 404)
        }
    }

    @Test func `lists come in pages, searched by name`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            for index in 0..<7 {
                let reply = try await calls.send(.post, Samples.schedules, Samples.schedule("s\(index)"))
                #expect(reply.status == 201)
            }
            var names: [String] = []
            var token: String?
            var pages = 0
            repeat {
                let query = "?pageSize=3" + (token.map { "&pageToken=\($0)" } ?? "")
                let page = try await calls.send(.get, Samples.schedules + query)
                names += (page.document["items"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue }
                token = page.document["nextPageToken"]?.stringValue
                pages += 1
            } while token != nil && pages < 10
            #expect(names == (0..<7).map { "s\($0)" })
            #expect(pages == 3)
            let found = try await calls.send(.get, "\(Samples.schedules)?q=s5")
            #expect(found.document["items"]?.arrayValue?.count == 1)
            let bad = try await calls.send(.get, "\(Samples.schedules)?pageToken=zz")
            #expect(bad.status == 400)
            #expect(bad.code == "BAD_PAGE_TOKEN")
            let faults = try await calls.send(.get, "\(Samples.schedules)?pageSize=5000&pagetoken=x")
            #expect(faults.status == 422)
            #expect(faults.faults == ["pageSize OUT_OF_RANGE", "pagetoken UNKNOWN_FIELD"])
        }
    }

    @Test func `upcoming and preview mark what clock changes do`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            _ = try await calls.send(.post, Samples.schedules, Samples.schedule("nightly"))
            let upcoming = try await calls.send(
                .get, "\(Samples.schedules)/nightly/upcoming?count=4&from=2027-03-26T00:00:00Z")
            let fires = upcoming.document["items"]?.arrayValue ?? []
            #expect(
                fires.map { $0["at"]?.stringValue } == [
                    "2027-03-26T01:30:00.000Z", "2027-03-27T01:30:00.000Z", "2027-03-28T01:00:00.000Z",
                    "2027-03-29T00:30:00.000Z",
                ])
            #expect(fires[2]["note"]?.stringValue == "dst-gap-shifted")
            #expect(fires[2]["local"]?.stringValue?.hasPrefix("2027-03-28T03:00:00") == true)
            #expect(upcoming.document["warnings"]?[0]?["code"]?.stringValue == "DST_GAP")
            let preview = try await calls.send(
                .post, "/v1/preview",
                [
                    "when": ["cron": "30 2 * * *", "timeZone": "Europe/Paris"], "from": "2027-03-26T00:00:00Z",
                    "count": 4,
                ])
            #expect(preview.status == 200)
            #expect(preview.document["fires"] == upcoming.document["items"])
            let bad = try await calls.send(.post, "/v1/preview", ["when": ["cron": "61 * * * *"]])
            #expect(bad.faults == ["/when/cron VALUE_OUT_OF_RANGE"])
        }
    }

    @Test func `an unreachable database is said to be one, and the request may be repeated`() async throws {
        let api = try await TestAPI()
        try await api.serve { calls in
            api.store.setReachable(false)
            let reply = try await calls.send(.post, Samples.schedules, Samples.schedule("one"))
            #expect(reply.status == 503)
            #expect(reply.code == "DATABASE_UNAVAILABLE")
            #expect(reply.headers["Retry-After"] == "1")
            api.store.setReachable(true)
            #expect(try await calls.send(.post, Samples.schedules, Samples.schedule("one")).status == 201)
        }
    }
}
