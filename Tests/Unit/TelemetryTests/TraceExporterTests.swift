import EscapementModel
import JSON
import Logging
import Observability
import ServiceConfiguration
import ServiceLifecycle
import Telemetry
import TelemetrySupport
import TestSupport
import Testing

@Suite struct TraceExporterTests {
    private let observability = Observability(
        identity: ProcessIdentity(role: "dispatcher", instance: "d-0", cluster: "c"), sink: LogSink { _ in })
    private let trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    private func exporter(_ url: String, _ more: [String: String] = [:]) throws -> TraceExporter {
        var reader = ConfigurationReader(
            ConfigurationSources(environment: ["OTEL_EXPORTER_OTLP_ENDPOINT": url].merging(more) { $1 }))
        let common = TickerConfiguration(reading: &reader).common
        return try #require(
            TraceExporter(common.telemetry, observability: self.observability, clocks: ManualClocks()))
    }

    private func span(_ id: Int) -> Span {
        let digits = String(id, radix: 16)
        return Span(
            TraceContext(
                traceID: self.trace, spanID: String(repeating: "0", count: 16 - digits.utf8.count) + digits,
                isSampled: true),
            parent: "00f067aa0ba902b7", name: "send escapement.fires", kind: .producer,
            start: 1_800_000_000_000_000_000,
            end: 1_800_000_000_004_000_000,
            attributes: [("messaging.system", .text("kafka")), ("escapement.lateness_ms", .integer(4))],
            links: [TraceContext(traceID: self.trace, spanID: "00f067aa0ba902b7", isSampled: false)],
            error: "KAFKA_UNAVAILABLE")
    }

    private func count(_ name: String) throws -> Int? {
        let line = self.observability.metrics.exposition().split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.split(separator: " ")[1]) }
    }

    @Test func `spans arrive as OTLP's JSON, with what the collector asks for`() async throws {
        let collector = TraceCollector()
        try await collector.run { url in
            let exporter = try self.exporter(
                url,
                ["OTEL_EXPORTER_OTLP_HEADERS": "X-Token=hunter%202", "OTEL_RESOURCE_ATTRIBUTES": "deployment=test"])
            self.observability.spans.record(self.span(1))
            #expect(await exporter.sendBatch(attempts: 1) == 1)
            #expect(await exporter.sendBatch(attempts: 1) == 0)
        }
        #expect(collector.tokens == ["hunter 2"])
        let body = try JSONParser.parse(try #require(collector.bodies.first))
        let resource = body["resourceSpans"]?[0]
        let attributes = resource?["resource"]?["attributes"]?.arrayValue ?? []
        #expect(
            attributes.map { $0["key"]?.stringValue } == [
                "service.name", "service.version", "service.instance.id", "service.namespace", "deployment",
            ])
        #expect(attributes.first?["value"]?["stringValue"]?.stringValue == "escapement-dispatcher")
        let span = resource?["scopeSpans"]?[0]?["spans"]?[0]
        #expect(
            span
                == [
                    "traceId": .string(self.trace), "spanId": "0000000000000001", "parentSpanId": "00f067aa0ba902b7",
                    "name": "send escapement.fires", "kind": 4, "startTimeUnixNano": "1800000000000000000",
                    "endTimeUnixNano": "1800000000004000000",
                    "attributes": [
                        ["key": "messaging.system", "value": ["stringValue": "kafka"]],
                        ["key": "escapement.lateness_ms", "value": ["intValue": "4"]],
                    ], "links": [["traceId": .string(self.trace), "spanId": "00f067aa0ba902b7"]],
                    "status": ["code": 2, "message": "KAFKA_UNAVAILABLE"],
                ])
    }

    @Test func `what does not fit is dropped and counted, and the rest goes in batches`() async throws {
        let collector = TraceCollector()
        try await collector.run { url in
            let exporter = try self.exporter(url)
            for id in 1...(SpanRecorder.spanCountMax + 10) { self.observability.spans.record(self.span(id)) }
            #expect(try self.count("escapement_trace_spans_total") == SpanRecorder.spanCountMax)
            #expect(try self.count("escapement_trace_spans_dropped_total") == 10)
            var sent = 0
            while case let count = await exporter.sendBatch(attempts: 1), count > 0 { sent += count }
            #expect(sent == SpanRecorder.spanCountMax)
        }
        #expect(collector.bodies.count == SpanRecorder.spanCountMax / TraceExporter.batchMax)
    }

    @Test func `a batch that is refused is dropped at once, and the process goes on`() async throws {
        let collector = TraceCollector()
        collector.answer([400])
        try await collector.run { url in
            let exporter = try self.exporter(url)
            self.observability.spans.record(self.span(1))
            #expect(await exporter.sendBatch(attempts: 3) == 1)
        }
        #expect(collector.bodies.count == 1)
        #expect(try self.count("escapement_trace_spans_dropped_total") == 1)
    }

    @Test func `a collector that is away loses one batch, counted`() async throws {
        let exporter = try self.exporter("http://127.0.0.1:9")
        self.observability.spans.record(self.span(1))
        #expect(await exporter.sendBatch(attempts: 1) == 1)
        #expect(try self.count("escapement_trace_spans_dropped_total") == 1)
    }

    @Test func `nothing is recorded without an endpoint, and none of the unsampled`() throws {
        self.observability.spans.record(self.span(1))
        #expect(self.observability.spans.take(1) == [])
        _ = try self.exporter(
            "http://127.0.0.1:9", ["OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"])
        #expect(!self.observability.spans.samples(traceID: self.trace))
    }

    @Test(arguments: [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", true),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-later", false),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false), ("", false), ("00--", false),
    ])
    func `what a traceparent may be`(header: String, isGood: Bool) {
        #expect((TraceContext(header: header) != nil) == isGood)
    }
}
