import HTTPClient
import JSON
import TelemetrySupport
import Testing

/// A fire seen by a collector of traces, across the processes that it passes.
@Suite(.serialized) struct TraceTests {
    private func attributes(_ span: JSONValue) -> [String: String] {
        var found: [String: String] = [:]
        for attribute in span["attributes"]?.arrayValue ?? [] {
            guard let key = attribute["key"]?.stringValue else { continue }
            found[key] = attribute["value"]?["stringValue"]?.stringValue ?? attribute["value"]?["intValue"]?.stringValue
        }
        return found
    }

    @Test func `a fire's trace has its activation id, and links to the request that made it`() async throws {
        let collector = TraceCollector()
        try await collector.run { url in
            let variables = ["OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_TRACES_SAMPLER": "always_on"]
            try await Stack.with(environment: variables) { stack in
                let reader = try await stack.consumer()
                let body = #"{"id":"once","delay":"1s","target":{"action":"/guest/a","payload":{}}}"#
                let made = try await stack.call(.post, "/v1/namespaces/guest/timers", body)
                #expect(made.status == 201, "\(made.body.text)")
                try await reader.until("the timer is in Kafka") { $0.contains { $0.key == "guest/once" } }
                let fire = try #require(reader.all.first { $0.key == "guest/once" })
                func span(_ kind: String) throws -> JSONValue? {
                    try collector.spans.first {
                        $0["traceId"]?.stringValue == fire.id && $0["name"]?.stringValue?.hasPrefix(kind) == true
                    }
                }
                let root = try await Eventually.value("the fire's span has come") { try span("fire ") }
                let send = try await Eventually.value("the span of its way to Kafka has come") { try span("send ") }
                #expect(send["parentSpanId"] == root["spanId"])
                #expect(self.attributes(root)["escapement.outcome"] == "dispatched")
                #expect(self.attributes(send)["messaging.destination.name"] == stack.firesTopic)
                // Consumers go on from where the record says it was sent.
                let spanID = try #require(send["spanId"]?.stringValue)
                #expect(fire.headers["traceparent"] == "00-\(fire.id)-\(spanID)-01")
                let link = try #require(root["links"]?.arrayValue?.first, "a link to the request")
                let request = try await Eventually.value("the request's span has come") {
                    try collector.spans.first { $0["spanId"] == link["spanId"] && $0["traceId"] == link["traceId"] }
                }
                #expect(request["name"]?.stringValue == "POST /v1/namespaces/{namespace}/timers")
                await reader.close()
            }
        }
    }
}
