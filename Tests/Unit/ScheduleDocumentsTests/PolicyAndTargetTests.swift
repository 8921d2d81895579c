import JSON
import ScheduleDocuments
import Scheduling
import Testing

@Suite struct PolicyDocumentTests {
    private func read(_ text: String, _ scope: PolicyDocument.Scope = .schedule) throws -> (PolicyDocument, [String]) {
        let result = PolicyDocument.read(try JSONParser.parse(text), scope: scope)
        return (result.policy, result.problems.map { "\($0.pointer) \($0.code)" })
    }

    @Test func `the flat and the nested spelling mean the same`() throws {
        let flat = try self.read(
            #"{"misfire": "all", "tolerance": "5s", "catchupWindow": "2h", "catchupLimit": 7, "expireAfter": "3h"}"#)
        let nested = try self.read(
            #"{"misfire": {"policy": "all", "tolerance": "5s", "window": "2h", "limit": 7}, "expireAfter": "3h"}"#)
        let rule = MisfireRule(policy: .all, toleranceMilliseconds: 5000, windowMilliseconds: 7_200_000, limit: 7)
        #expect(flat.0 == PolicyDocument(misfire: rule, expireAfterMilliseconds: 10_800_000))
        #expect(flat.0 == nested.0)
        #expect(flat.1 + nested.1 == [])
    }

    @Test func `defaults are the documented ones and are written out`() throws {
        #expect(PolicyDocument.read(nil, scope: .schedule).policy.misfire == MisfireRule())
        #expect(
            PolicyDocument().write(scope: .schedule).text
                == #"{"misfire":"latest","tolerance":"1m","catchupWindow":"1h","catchupLimit":100,"expireAfter":null}"#)
    }

    @Test func `delivery settings are checked and kept`() throws {
        let (policy, problems) = try self.read(
            #"{"retry": {"maxAttempts": 8, "minBackoff": "200ms"}, "onExhausted": "dead-letter"}"#)
        #expect(problems == [])
        #expect(policy.retry.attemptsMax == 8 && policy.retry.backoffMinMilliseconds == 200)
        #expect(!policy.retry.dropsExhausted)
        #expect(policy.write(scope: .schedule)["retry"]?["maxAttempts"] == 8)
        #expect(try self.read(#"{"retry": {"attempts": 8}}"#).1 == ["/policy/retry/attempts UNKNOWN_FIELD"])
    }

    @Test func `faults are told together`() throws {
        let (_, problems) = try self.read(
            #"{"misfire": "newest", "catchupWindow": "10s", "catchupLimit": 0, "expireAfter": "-1s", "x": 1}"#)
        #expect(
            problems == [
                "/policy/misfire INVALID_VALUE", "/policy/catchupWindow CONFLICTING_FIELDS",
                "/policy/catchupLimit OUT_OF_RANGE", "/policy/expireAfter INVALID_DURATION", "/policy/x UNKNOWN_FIELD",
            ])
    }

    @Test func `a timer has no misfire policy`() throws {
        #expect(try self.read(#"{"misfire": "skip"}"#, .timer).1 == ["/policy/misfire UNKNOWN_FIELD"])
        #expect(try self.read(#"{"expireAfter": "2h"}"#, .timer).0.expireAfterMilliseconds == 7_200_000)
    }
}

@Suite struct TargetDocumentTests {
    private func read(_ text: String) throws -> (TargetDocument, [String]) {
        let result = TargetDocument.read(try JSONParser.parse(text), cluster: "prod-eu")
        return (result.target, result.problems.map { "\($0.pointer) \($0.code)" })
    }

    @Test func `a payload keeps its numbers`() throws {
        let (target, problems) = try self.read(#"{"payload": {"limit": 9007199254740993, "pi": 3.10}}"#)
        #expect(problems == [])
        #expect(String(decoding: target.payloadBytes, as: UTF8.self) == #"{"limit":9007199254740993,"pi":3.10}"#)
    }

    @Test func `no payload, null and text are never an empty record`() throws {
        #expect(try self.read("{}").0.payloadBytes == Array("{}".utf8))
        #expect(try self.read(#"{"payload": null}"#).0.payloadBytes == Array("null".utf8))
        #expect(try self.read(#"{"payload": "hi", "contentType": "text/plain"}"#).0.payloadBytes == Array("hi".utf8))
        #expect(try self.read(#"{"payload": "", "contentType": "text/plain"}"#).0.payloadBytes == Array(#""""#.utf8))
        #expect(try self.read(#"{"payload": "hi"}"#).0.payloadBytes == Array(#""hi""#.utf8))
    }

    @Test func `a payload above one mebibyte is refused by name`() throws {
        let text = String(repeating: "x", count: TargetDocument.payloadMax)
        let value: JSONValue = ["payload": .string(text)]
        let problems = TargetDocument.read(value, cluster: "c").problems
        #expect(problems.map(\.code) == ["PAYLOAD_TOO_LARGE"])
        #expect(problems.map(\.pointer) == ["/target/payload"])
        #expect(problems.allSatisfy { !$0.detail.contains("xxxx") })
    }

    @Test(arguments: [
        (#"{"topic": "a b"}"#, "/target/topic INVALID_NAME"),
        (#"{"topic": ".."}"#, "/target/topic INVALID_NAME"),
        (#"{"topic": "__consumer_offsets"}"#, "/target/topic TOPIC_NOT_ALLOWED"),
        (#"{"topic": "escapement.journal"}"#, "/target/topic TOPIC_NOT_ALLOWED"),
        (#"{"topic": "Escapement_prod-eu_journal"}"#, "/target/topic TOPIC_NOT_ALLOWED"),
        (#"{"topic": "prod-eu.journal"}"#, "/target/topic TOPIC_NOT_ALLOWED"),
        (#"{"topic": "journal"}"#, "/target/topic TOPIC_NOT_ALLOWED"),
        (#"{"format": "json"}"#, "/target/format INVALID_VALUE"),
        (#"{"action": "reports"}"#, "/target/action INVALID_NAME"),
        (#"{"contentType": "json"}"#, "/target/contentType INVALID_VALUE"),
        (#"{"key": ""}"#, "/target/key INVALID_VALUE"),
        (#"{"Topic": "a"}"#, "/target/Topic UNKNOWN_FIELD"),
    ])
    func `one fault, one problem at its place`(text: String, problem: String) throws {
        #expect(try self.read(text).1 == [problem])
    }

    @Test func `ordinary topics are allowed`() {
        for topic in ["escapement.fires", "orders", "billing.journal", "my_topic-1"] {
            #expect(TopicRules.fault(in: topic) == nil)
            #expect(!TopicRules.isReserved(topic, cluster: "prod-eu"))
        }
    }
}

@Suite struct WebTargetTests {
    private func read(_ text: String) throws -> (TargetDocument, [String]) {
        let result = TargetDocument.read(try JSONParser.parse(text), cluster: "prod-eu")
        return (result.target, result.problems.map { "\($0.pointer) \($0.code)" })
    }

    @Test(arguments: [
        #"{"contentType":"application/json","headers":{"x-a":"1"},"http":{"url":"https://a.example/x","secret":"s"}}"#,
        #"{"contentType":"application/json","openwhisk":{"trigger":"/guest/nightly"}}"#,
        #"{"contentType":"text/plain","template":true,"openwhisk":{"action":"/guest/p/a"}}"#,
    ])
    func `what was read is written as it was`(text: String) throws {
        let (target, problems) = try self.read(text)
        #expect(problems == [])
        #expect(target.write() == (try JSONParser.parse(text)))
    }

    @Test(arguments: [
        (#"{"http": {"url": "http://a.example"}}"#, "/target/http/url INVALID_VALUE"),
        (#"{"http": {"url": "https://user:pass@a.example"}}"#, "/target/http/url INVALID_VALUE"),
        (#"{"http": {"url": "https://"}}"#, "/target/http/url INVALID_VALUE"),
        (#"{"http": {}}"#, "/target/http/url MISSING_FIELD"),
        (#"{"http": {"url": "https://a.example", "secret": "../x"}}"#, "/target/http/secret INVALID_NAME"),
        (#"{"http": {"url": "https://a.example"}, "topic": "t"}"#, "/target/topic INVALID_VALUE"),
        (
            #"{"http": {"url": "https://a.example"}, "openwhisk": {"trigger": "/a/b"}}"#,
            "/target/openwhisk INVALID_VALUE"
        ),
        (#"{"openwhisk": {"trigger": "/a/b/c"}}"#, "/target/openwhisk/trigger INVALID_NAME"),
        (#"{"openwhisk": {"trigger": "b"}}"#, "/target/openwhisk/trigger INVALID_NAME"),
        (#"{"openwhisk": {}}"#, "/target/openwhisk INVALID_VALUE"),
        (#"{"headers": {"ce_id": "1"}}"#, "/target/headers INVALID_NAME"),
        (#"{"headers": {"Webhook-Signature": "1"}}"#, "/target/headers INVALID_NAME"),
        (#"{"headers": {"idempotency-key": "1"}}"#, "/target/headers INVALID_NAME"),
        (#"{"headers": {"Transfer-Encoding": "chunked"}}"#, "/target/headers INVALID_NAME"),
        (
            #"{"openwhisk": {"trigger": "/guest/a"}, "headers": {"x-a": "1"}}"#, "/target/headers INVALID_VALUE"
        ),
        (#"{"headers": {"a b": "1"}}"#, "/target/headers INVALID_NAME"),
        (#"{"headers": {"a": "1\n2"}}"#, "/target/headers INVALID_VALUE"),
        (#"{"headers": {"a": 1}}"#, "/target/headers INVALID_VALUE"),
    ])
    func `one fault, one problem at its place`(text: String, problem: String) throws {
        #expect(try self.read(text).1 == [problem])
    }
}
