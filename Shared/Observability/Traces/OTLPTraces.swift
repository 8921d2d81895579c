import JSON

/// The body of an OTLP/HTTP request for traces, in its JSON encoding: ids as hexadecimal digits, 64-bit numbers as text.
///
/// The names of attributes follow OpenTelemetry's conventions for messaging and FaaS of version 1.37, which are still in
/// development; the mapping of fires is in `FireSpans` alone.
package enum OTLPTraces {
    package static let schemaURL = "https://opentelemetry.io/schemas/1.37.0"

    /// - Parameter resource: attributes of the process: `service.name` and more.
    package static func body(_ spans: [Span], resource: [(name: String, value: String)]) -> [UInt8] {
        let document: JSONValue = [
            "resourceSpans": [
                [
                    "resource": ["attributes": .array(resource.map { Self.attribute($0.name, .text($0.value)) })],
                    "scopeSpans": [
                        [
                            "scope": [
                                "name": "escapement", "version": .string(BuildInformation.version),
                            ],
                            "spans": .array(spans.map { Self.document(of: $0) }), "schemaUrl": .string(Self.schemaURL),
                        ]
                    ],
                ]
            ]
        ]
        return document.bytes
    }

    private static func document(of span: Span) -> JSONValue {
        .record([
            "traceId": .string(span.context.traceID), "spanId": .string(span.context.spanID),
            "parentSpanId": span.parent.map { .string($0) }, "name": .string(span.name),
            "kind": .integer(span.kind.rawValue), "startTimeUnixNano": .string("\(span.start)"),
            "endTimeUnixNano": .string("\(span.end)"),
            "attributes": .array(span.attributes.map { Self.attribute($0.name, $0.value) }),
            "links": span.links.isEmpty
                ? nil : .array(span.links.map { ["traceId": .string($0.traceID), "spanId": .string($0.spanID)] }),
            "status": span.error.map { ["code": 2, "message": .string($0)] },
        ])
    }

    private static func attribute(_ name: String, _ value: Span.Value) -> JSONValue {
        switch value {
        case .text(let text): ["key": .string(name), "value": ["stringValue": .string(text)]]
        case .integer(let number): ["key": .string(name), "value": ["intValue": .string("\(number)")]]
        }
    }
}
