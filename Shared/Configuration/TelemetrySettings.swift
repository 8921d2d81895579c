/// Where traces go, in OpenTelemetry's own variables; nowhere unless an endpoint is set.
package struct TelemetrySettings: Sendable {
    /// `OTEL_TRACES_SAMPLER`.
    package enum Sampler: String, CaseIterable, Sendable {
        case alwaysOn = "always_on"
        case alwaysOff = "always_off"
        case ratio = "traceidratio"
        case parentAlwaysOn = "parentbased_always_on"
        case parentAlwaysOff = "parentbased_always_off"
        case parentRatio = "parentbased_traceidratio"
    }

    /// `OTEL_EXPORTER_OTLP_PROTOCOL`, for traces.
    private enum TransferProtocol: String, CaseIterable {
        case json = "http/json"
        case protobuf = "http/protobuf"
        case grpc
    }

    /// The address that traces are posted to; `nil`: no traces.
    package var tracesURL: String?
    /// `name=value`, several with commas: what the collector asks for.
    package var headers: Secret?
    /// PEM; `nil`: the system's authorities.
    package var authorityFile: String?
    package var timeout: Duration
    package var sampler: Sampler
    /// Of `traceidratio`, 0...1.
    package var ratio: Double
    /// `nil`: `escapement-` and the role.
    package var serviceName: String?
    package var resource: [(name: String, value: String)]

    package init() {
        self.timeout = .seconds(10)
        self.sampler = .parentAlwaysOn
        self.ratio = 1
        self.resource = []
    }

    init(reading reader: inout ConfigurationReader) {
        self.init()
        let base = Self.url("OTEL_EXPORTER_OTLP_ENDPOINT", &reader)
        let own = Self.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &reader)
        let isOff = reader.flag("OTEL_SDK_DISABLED", default: false)
        self.tracesURL = isOff ? nil : own ?? base.map { ($0.hasSuffix("/") ? $0 : $0 + "/") + "v1/traces" }
        self.headers = reader.secret("OTEL_EXPORTER_OTLP_HEADERS")
        if let text = try? self.headers?.read(), Self.pairs(text) == nil {
            // The text is not repeated: it is a secret.
            reader.refuse(
                "OTEL_EXPORTER_OTLP_HEADERS", "is not name=value, several with commas between them",
                remedy: "write values as in an address: Authorization=Bearer%20...")
        }
        self.authorityFile = reader.file("OTEL_EXPORTER_OTLP_CERTIFICATE")
        self.timeout = .milliseconds(
            reader.integer("OTEL_EXPORTER_OTLP_TIMEOUT", default: 10_000, in: 100...600_000))
        let form = reader.choice("OTEL_EXPORTER_OTLP_PROTOCOL", default: TransferProtocol.json)
        switch form {
        case .json: break
        case .protobuf:
            reader.warn(
                "OTEL_EXPORTER_OTLP_PROTOCOL", "is http/protobuf, and the body is sent as JSON to the same address",
                remedy: "set it to http/json")
        case .grpc:
            // Often set for a whole cluster: no reason not to fire.
            if self.tracesURL != nil {
                reader.warn(
                    "OTEL_EXPORTER_OTLP_PROTOCOL", "is grpc, which is not spoken here: no traces are sent",
                    remedy: "set it to http/json, and the endpoint to the collector's port for HTTP, 4318 as a rule")
            }
            self.tracesURL = nil
        }
        self.sampler = reader.choice("OTEL_TRACES_SAMPLER", default: self.sampler)
        self.ratio = reader.value(
            "OTEL_TRACES_SAMPLER_ARG", default: self.ratio, expected: "a number from 0 to 1", show: { "\($0)" },
            parse: { Double($0).flatMap { (0...1).contains($0) ? $0 : nil } })
        self.serviceName = reader.text("OTEL_SERVICE_NAME")
        self.resource = reader.value(
            "OTEL_RESOURCE_ATTRIBUTES", default: [], expected: "name=value, several with commas between them",
            show: { $0.map { "\($0.name)=\($0.value)" }.joined(separator: ",") }, parse: { Self.pairs($0) })
    }

    /// The share of new traces that is recorded.
    package var effectiveRatio: Double {
        switch self.sampler {
        case .alwaysOn, .parentAlwaysOn: 1
        case .alwaysOff, .parentAlwaysOff: 0
        case .ratio, .parentRatio: self.ratio
        }
    }

    /// Whether what a caller decided about its own trace is kept.
    package var followsParent: Bool { self.sampler.rawValue.hasPrefix("parentbased") }

    /// The headers that the collector asks for, read anew.
    ///
    /// - Throws: `SecretError` when the file cannot be read now.
    package func headerFields() throws(SecretError) -> [(name: String, value: String)] {
        guard let headers = self.headers else { return [] }
        return Self.pairs(try headers.read()) ?? []
    }

    private static func url(_ name: String, _ reader: inout ConfigurationReader) -> String? {
        reader.value(
            name, default: nil, expected: "an http or https address without credentials, such as http://collector:4318",
            show: { $0 ?? "" },
            parse: { text in
                let rest = ["https://", "http://"].first { text.hasPrefix($0) }.map { text.dropFirst($0.utf8.count) }
                return rest.map { !$0.isEmpty && !$0.contains("@") } == true ? .some(text) : nil
            })
    }

    /// `a=b,c=d`, the values percent-encoded; `nil` for something else.
    private static func pairs(_ text: String) -> [(name: String, value: String)]? {
        var result: [(name: String, value: String)] = []
        for item in ConfigurationReader.list(text) {
            let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let value = Self.decoded(ConfigurationReader.trimmed(parts[1]))
            else { return nil }
            result.append((ConfigurationReader.trimmed(parts[0]), value))
        }
        return result
    }

    private static func decoded(_ text: String) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit), let value = UInt8(digits, radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
