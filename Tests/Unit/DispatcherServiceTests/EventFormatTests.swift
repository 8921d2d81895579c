import DispatcherService
import EscapementModel
import JSON
import NIOCore
import Testing
import WireProtocol

@Suite struct EventFormatTests {
    @Test func `binary mode is exactly the documented message`() throws {
        let record = try EventFormat().record(of: Samples.fire(), topic: "escapement.fires", now: Samples.produced)
        let headers = record.headers.map { "\($0.name): \($0.value)" }
        #expect(
            headers == [
                "ce_specversion: 1.0",
                "ce_id: 9d0c1f6e2b7a4c55a1f0e3d2c4b59687",
                "ce_source: /namespaces/guest/schedules/nightly-report",
                "ce_type: escapement.schedule.fired.v1",
                "ce_time: 2026-11-23T01:30:00.000Z",
                "ce_recordedtime: 2026-11-23T01:30:00.004Z",
                "ce_subject: /guest/reports/nightly",
                "ce_partitionkey: guest/nightly-report",
                "ce_sequence: 00001795397400000",
                "ce_expirytime: 2026-11-23T03:30:00.000Z",
                "ce_firekind: cron",
                "ce_attempt: 1",
                "ce_generation: 3",
                "ce_traceparent: \(Samples.trace)",
                "traceparent: \(Samples.trace)",
                "content-type: application/json",
                "esc-activation-id: 9d0c1f6e2b7a4c55a1f0e3d2c4b59687",
                "esc-schedule: guest/nightly-report",
                "esc-nominal: 2026-11-23T01:30:00.000Z",
                "esc-lane: 13",
                "esc-seq: 42",
            ])
        #expect(record.key == "guest/nightly-report")
        #expect(String(buffer: record.value) == #"{"report":"daily","limit":9007199254740993}"#)
        #expect(record.topic == "escapement.fires")
        #expect(record.partition == nil)
    }

    @Test func `the longest headers have room`() throws {
        var template = Samples.template
        template.origin = .timer
        template.namespace = String(repeating: "n", count: 128)
        template.name = String(repeating: "m", count: 128)
        template.action = String(repeating: "a", count: 400)
        template.key = String(repeating: "k", count: 1000)
        template.contentType = String(repeating: "c", count: 200)
        template.expireAfterMilliseconds = 1 << 40
        template.headers = [
            .init(name: "x-own", value: String(repeating: "o", count: 500)), .init(name: "x-empty", value: ""),
        ]
        var fire = Samples.fire(template, kind: .interval, caughtUp: true)
        fire.sequence = .max
        fire.lane = LaneID(.max)
        fire.generation = .max
        fire.due = .distantFuture
        fire.trace = String(repeating: "t", count: 128)
        for mode in [EventFormat.Mode.binary, .plain] {
            let record = try EventFormat(mode: mode, sourcePrefix: String(repeating: "s", count: 300))
                .record(of: fire, topic: "t", now: .distantFuture)
            #expect(record.headers.contains(.init("esc-seq", "18446744073709551615")))
            #expect(record.headers.contains(.init("esc-lane", "65535")))
            #expect(record.headers.contains(.init("x-empty", "")))
            #expect(record.headers.contains(.init("ce_generation", "18446744073709551615")) == (mode == .binary))
            // Nothing between them and nothing behind the last one.
            let bytes = record.headers.reduce(0) { $0 + 8 + $1.name.utf8.count + 1 + $1.value.utf8.count }
            #expect(record.head.packedHeaders.count == bytes)
        }
    }

    @Test func `an instant before 1970 has the smallest sequence`() throws {
        var fire = Samples.fire()
        fire.due = WallInstant(milliseconds: -1)
        let record = try EventFormat().record(of: fire, topic: "t", now: Samples.produced)
        #expect(record.headers.contains(.init("ce_sequence", "00000000000000000")))
    }

    @Test func `a backfill is to consumers the occurrence that it makes up for`() throws {
        var template = Samples.template
        template.expireAfterMilliseconds = 0
        template.isPattern = true
        template.payload = ByteBuffer(string: #"{"for":"{{scheduledAt}}","kind":"{{kind}}"}"#)
        template.backfills = WallInstant(text: "2026-11-20T01:30:00Z")
        #expect(try FireTemplate(decoding: template.encoded()) == template)
        let record = try EventFormat().record(
            of: Samples.fire(template, kind: .delay, caughtUp: true), topic: "t", now: Samples.produced)
        let headers = record.headers.map { "\($0.name): \($0.value)" }
        for header in [
            "ce_time: 2026-11-20T01:30:00.000Z", "ce_sequence: 00001795138200000", "ce_firekind: backfill",
            "esc-nominal: 2026-11-23T01:30:00.000Z",
        ] { #expect(headers.contains(header), "\(header)") }
        #expect(String(buffer: record.value) == #"{"for":"2026-11-20T01:30:00.000Z","kind":"backfill"}"#)
    }

    @Test func `structured mode holds the same attributes and the payload byte for byte`() throws {
        let record = try EventFormat(mode: .structured).record(
            of: Samples.fire(), topic: "t", now: Samples.produced)
        #expect(
            String(buffer: record.value) == #"{"specversion":"1.0","id":"9d0c1f6e2b7a4c55a1f0e3d2c4b59687","#
                + #""source":"/namespaces/guest/schedules/nightly-report","type":"escapement.schedule.fired.v1","#
                + #""time":"2026-11-23T01:30:00.000Z","recordedtime":"2026-11-23T01:30:00.004Z","#
                + #""subject":"/guest/reports/nightly","partitionkey":"guest/nightly-report","#
                + #""sequence":"00001795397400000","expirytime":"2026-11-23T03:30:00.000Z","firekind":"cron","#
                + #""attempt":1,"generation":3,"traceparent":"\#(Samples.trace)","#
                + #""datacontenttype":"application/json","data":{"report":"daily","limit":9007199254740993}}"#)
        #expect(
            record.headers.first { $0.name == "content-type" }?.value
                == "application/cloudevents+json; charset=UTF-8")
        #expect(!record.headers.contains { $0.name.hasPrefix("ce_") })
    }

    @Test func `text and bytes have their own form in structured mode`() throws {
        var template = Samples.template
        template.contentType = "text/plain; charset=utf-8"
        template.payload = ByteBuffer(string: "a\"b")
        let text = try EventFormat(mode: .structured).record(of: Samples.fire(template), topic: "t", now: Samples.due)
        #expect(String(buffer: text.value).hasSuffix(#""data":"a\"b"}"#))
        template.contentType = "application/octet-stream"
        template.payload = ByteBuffer(bytes: [0, 255, 254, 1])
        let bytes = try EventFormat(mode: .structured).record(of: Samples.fire(template), topic: "t", now: Samples.due)
        #expect(String(buffer: bytes.value).hasSuffix(#""data_base64":"AP/+AQ=="}"#))
        template.contentType = "application/json"
        template.payload = ByteBuffer(string: "{not json")
        let broken = try EventFormat(mode: .structured).record(of: Samples.fire(template), topic: "t", now: Samples.due)
        #expect(String(buffer: broken.value).contains(#""data_base64":""#), "what is not JSON must not break the event")
    }

    @Test func `a timer has a type and source of its own`() throws {
        var template = Samples.template
        template.origin = .timer
        template.name = "order-8841"
        let headers = try EventFormat(sourcePrefix: "//escapement.example").record(
            of: Samples.fire(template, kind: .delay), topic: "t", now: Samples.due
        ).headers
        #expect(headers.contains(.init("ce_type", "escapement.timer.fired.v1")))
        #expect(headers.contains(.init("ce_source", "//escapement.example/namespaces/guest/timers/order-8841")))
        #expect(headers.contains(.init("ce_firekind", "delay")))
    }

    @Test func `a fire that catches up says so`() throws {
        let headers = try EventFormat().record(of: Samples.fire(caughtUp: true), topic: "t", now: Samples.due).headers
        #expect(headers.contains(.init("ce_firekind", "catchup")))
    }

    @Test(arguments: ["", "null", " null\n"])
    func `a null payload is never a null record`(payload: String) throws {
        var template = Samples.template
        template.payload = ByteBuffer(string: payload)
        let record = try EventFormat().record(of: Samples.fire(template), topic: "t", now: Samples.due)
        #expect(String(buffer: record.value) == "{}")
    }

    @Test func `the schedule's own format and key win`() throws {
        var template = Samples.template
        template.format = "cloudevents-structured"
        template.key = "order-8841"
        let record = try EventFormat(mode: .binary).record(of: Samples.fire(template), topic: "t", now: Samples.due)
        #expect(record.key == "order-8841")
        #expect(String(buffer: record.value).hasPrefix(#"{"specversion""#))
    }
}
