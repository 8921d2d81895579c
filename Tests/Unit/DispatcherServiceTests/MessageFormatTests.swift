import DispatcherDomain
import DispatcherService
import EscapementModel
import JSON
import NIOCore
import Testing
import WireProtocol

@Suite struct MessageFormatTests {
    private struct Keys: NamespaceKeys {
        func whiskKey(of namespace: String) -> WhiskKey? {
            namespace == "guest" ? WhiskKey(text: "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:SECRET") : nil
        }
        func signingKey(_ name: String) -> [UInt8]? { nil }
    }

    private var whisk: EventFormat {
        EventFormat(whisk: EventFormat.Whisk(topic: "invoker0", cluster: "prod", keys: Keys()))
    }

    private func template(_ change: (inout FireTemplate) -> Void) -> FireTemplate {
        var template = Samples.template
        change(&template)
        return template
    }

    @Test func `plain is the payload and the means to deduplicate`() throws {
        let record = try EventFormat().record(
            of: Samples.fire(self.template { $0.format = "plain" }), topic: "t", now: Samples.produced)
        #expect(record.value == Samples.template.payload)
        #expect(
            record.headers.map(\.name) == [
                "traceparent", "content-type", "esc-activation-id", "esc-schedule", "esc-nominal", "esc-lane",
                "esc-seq",
            ])
    }

    @Test func `OpenWhisk's message has every member that its reader demands`() throws {
        let record = try self.whisk.record(
            of: Samples.fire(self.template { $0.format = "openwhisk" }), topic: "invoker0", now: Samples.produced)
        #expect(
            String(buffer: record.value)
                == #"{"transid":["9d0c1f6e2b7a4c55a1f0e3d2c4b59687",1795397400004],"#
                + #""action":{"path":"guest/reports","name":"nightly"},"revision":null,"user":{"subject":"escapement","#
                + #""namespace":{"name":"guest","uuid":"23bc46b1-71f6-4ed5-8c54-816aa4f8c502"},"#
                + #""authkey":{"api_key":"23bc46b1-71f6-4ed5-8c54-816aa4f8c502:SECRET"},"#
                + #""rights":["READ","PUT","DELETE","ACTIVATE"],"limits":{}},"#
                + #""activationId":"9d0c1f6e2b7a4c55a1f0e3d2c4b59687","#
                + #""rootControllerIndex":{"asString":"escapement-prod","instanceType":"controller"},"#
                + #""blocking":false,"content":{"report":"daily","limit":9007199254740993},"initArgs":[],"#
                + #""lockedArgs":{},"traceContext":{"traceparent":"\#(Samples.trace)"}}"#)
    }

    @Test func `a message with a key goes to the one topic that the operator named`() {
        let fire = Samples.fire(self.template { $0.format = "openwhisk" })
        for (format, topic) in [(self.whisk, "other"), (EventFormat(), "invoker0")] {
            #expect(throws: FormatError.self) { try format.record(of: fire, topic: topic, now: Samples.due) }
        }
        let stranger = Samples.fire(
            self.template { template in
                template.format = "openwhisk"
                template.namespace = "stranger"
                template.action = "/stranger/nightly"
            })
        #expect(throws: FormatError(.credentialsMissing, "there is no OpenWhisk key for the namespace stranger")) {
            try self.whisk.record(of: stranger, topic: "invoker0", now: Samples.due)
        }
    }

    @Test func `OpenWhisk's message is of the fire's own namespace`() throws {
        func message(_ action: String) throws -> JSONValue {
            let fire = Samples.fire(
                self.template { template in
                    template.format = "openwhisk"
                    template.action = action
                })
            let record = try self.whisk.record(of: fire, topic: "invoker0", now: Samples.due)
            return try JSONParser.parse(record.value.readableBytesView)
        }
        #expect(try message("/_/nightly")["action"]?["path"] == "guest")
        #expect(try message("/_/reports/nightly")["action"]?["path"] == "guest/reports")
        #expect(try message("/guest/nightly")["action"]?["path"] == "guest")
        #expect(throws: FormatError.self) { try message("/shop/nightly") }
        #expect(throws: FormatError.self) { try message("/whisk.system/utils/echo") }
    }

    @Test(arguments: ["plain", "cloudevents-binary", "cloudevents-structured", ""])
    func `the topic for OpenWhisk takes nothing else`(format: String) throws {
        let fire = Samples.fire(self.template { $0.format = format })
        let error = #expect(throws: FormatError.self) {
            try self.whisk.record(of: fire, topic: "invoker0", now: Samples.due)
        }
        #expect(error?.reason == .topicNotAllowed)
        #expect(try self.whisk.record(of: fire, topic: "other", now: Samples.due).topic == "other")
    }

    @Test(arguments: [RecordRefusal.forbiddenTopic, .unknownTopic, .invalid, .tooLarge])
    func `the key of a message for OpenWhisk is in no dead letter`(refusal: RecordRefusal) throws {
        var rules = Samples.rules
        rules.format = self.whisk
        rules.topics = TopicPolicy(
            defaultTopic: "escapement.fires", deadLetterTopic: "escapement.deadletters", pattern: "invoker0",
            internalPrefix: "escapement.test.")
        let template = self.template { template in
            template.format = "openwhisk"
            template.topic = "invoker0"
        }
        let plan = RoundPlan(
            Samples.round([Samples.occurrence(template)]), lane: LaneID(13), laneEpoch: Epoch(1), rules: rules,
            now: Samples.due)
        #expect(plan.records.map { String(buffer: $0.value).contains("SECRET") } == [true])
        let settlement = plan.settlement([.refused(refusal, detail: "no", attempts: 1)], now: Samples.due)
        let letter = try #require(settlement.deadLetters.first)
        for record in settlement.deadLetters + settlement.waitingLetters + settlement.journal {
            #expect(!String(buffer: record.value).contains("SECRET"))
        }
        #expect(letter.headers.contains(.init("esc-topic", "invoker0")))
        #expect(letter.headers.contains { $0.name == "ce_id" })
        #expect(String(buffer: letter.value) == (refusal == .tooLarge ? "{}" : String(buffer: template.payload)))
    }

    @Test func `words are replaced where the schedule asks for it, and nowhere else`() throws {
        let text = #"{"id":"{{id}}","at":"{{scheduledAt}}","now":"{{firedAt}}","who":"{{namespace}}/{{schedule}}"}"#
        let plain = self.template { $0.payload = ByteBuffer(string: text) }
        let untouched = try EventFormat().record(of: Samples.fire(plain), topic: "t", now: Samples.produced)
        #expect(String(buffer: untouched.value) == text)
        var pattern = plain
        pattern.isPattern = true
        pattern.headers = [.init(name: "x-kind", value: "{{kind}}-{{generation}}-{{attempt}}")]
        let record = try EventFormat().record(of: Samples.fire(pattern), topic: "t", now: Samples.produced)
        #expect(
            String(buffer: record.value)
                == #"{"id":"9d0c1f6e2b7a4c55a1f0e3d2c4b59687","at":"2026-11-23T01:30:00.000Z","#
                + #""now":"2026-11-23T01:30:00.004Z","who":"guest/nightly-report"}"#)
        #expect(record.headers.contains(.init("x-kind", "cron-3-1")))
    }

    @Test func `the occurrences before and after are words, empty where there is none`() throws {
        var template = self.template { template in
            template.payload = ByteBuffer(string: "[{{previousAt}}|{{nextAt}}]")
            template.isPattern = true
        }
        func value(_ fire: borrowing EventFormat.Fire) throws -> String {
            String(buffer: try EventFormat().record(of: fire, topic: "t", now: Samples.produced).value)
        }
        var fire = Samples.fire(template)
        #expect(try value(fire) == "[|]")
        let day = Duration.seconds(86_400)
        fire.neighbours = OccurrenceNeighbours(
            previous: Samples.due.advanced(by: .zero - day), next: nil)
        #expect(try value(fire) == "[2026-11-22T01:30:00.000Z|]")
        template.neighbours = OccurrenceNeighbours(previous: nil, next: Samples.due.advanced(by: day))
        var backfill = Samples.fire(template)
        backfill.neighbours = fire.neighbours
        #expect(try value(backfill) == "[|2026-11-24T01:30:00.000Z]", "those of what a backfill makes up for")
    }

    @Test func `an unknown word is a recorded failure with its dead letter`() throws {
        let template = self.template { template in
            template.payload = ByteBuffer(string: "{{secret}}")
            template.isPattern = true
        }
        let plan = RoundPlan(
            Samples.round([Samples.occurrence(template)]), lane: LaneID(13), laneEpoch: Epoch(1), rules: Samples.rules,
            now: Samples.due)
        let settlement = plan.settlement([], now: Samples.due)
        #expect(settlement.outcomes.map(\.reason) == [.invalidTemplate])
        #expect(settlement.outcomes[0].error.contains("{{secret}}"))
        #expect(settlement.deadLetters.map { String(buffer: $0.value) } == ["{{secret}}"])
    }

    @Test(arguments: ["{{", "}}", "{{id", "a {{ b", "{}{", ""])
    func `braces without a partner stay`(text: String) throws {
        let template = self.template { template in
            template.payload = ByteBuffer(string: text.isEmpty ? "x" : text)
            template.isPattern = true
        }
        let record = try EventFormat().record(of: Samples.fire(template), topic: "t", now: Samples.due)
        #expect(record.value == template.payload)
    }

    @Test func `the template survives its encoding`() throws {
        for web: FireTemplate.Web? in [
            nil, .hook(url: "https://a.example/x?y=z", secret: "s"), .hook(url: "https://a.example", secret: ""),
            .trigger("/guest/t"), .action("/guest/p/a"),
        ] {
            let template = self.template { template in
                template.headers = [.init(name: "x-a", value: "1"), .init(name: "x-b", value: "")]
                template.isPattern = true
                template.web = web
            }
            #expect(try FireTemplate(decoding: template.encoded()) == template)
        }
    }
}
