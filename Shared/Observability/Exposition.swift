/// The text that Prometheus scrapes: format 0.0.4, or OpenMetrics 1.0 when the scraper prefers it.
package enum ExpositionFormat: Equatable, Sendable {
    case prometheusText
    case openMetrics

    /// The value of the `Content-Type` header.
    package var contentType: String {
        switch self {
        case .prometheusText: "text/plain; version=0.0.4; charset=utf-8"
        case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
        }
    }

    /// What an `Accept` header asks for. OpenMetrics only when it is named and not ranked below plain
    /// text; anything else, also no header, gets the format every tool reads.
    package init(accept: String?) {
        var openMetrics = 0.0
        var text = 0.0
        for range in (accept ?? "").split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.lowercased().filter { $0 != " " } }
            let quality = parts.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            switch parts.first {
            case "application/openmetrics-text": openMetrics = max(openMetrics, quality)
            case "text/plain", "text/*": text = max(text, quality)
            default: break
            }
        }
        self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .prometheusText
    }
}

extension MetricsRegistry {
    /// The exposition of everything at this moment. O(series); several microseconds per histogram.
    package func exposition(_ format: ExpositionFormat = .prometheusText) -> String {
        var text = ""
        for family in self.snapshot() { family.write(format, to: &text) }
        if format == .openMetrics { text += "# EOF\n" }
        return text
    }
}

extension MetricSnapshot {
    /// Appends the family's HELP, TYPE and samples.
    package func write(_ format: ExpositionFormat, to text: inout String) {
        let familyName =
            format == .openMetrics && self.kind == .counter ? String(self.name.dropLast("_total".count)) : self.name
        text += "# HELP \(familyName) \(Self.escape(self.help, quotes: format == .openMetrics))\n"
        text += "# TYPE \(familyName) \(self.kind.rawValue)\n"
        for (labels, value) in self.series {
            switch value {
            case .count(let count): Self.writeSample(self.name, labels, "\(count)", to: &text)
            case .number(let number): Self.writeSample(self.name, labels, Self.number(number), to: &text)
            case .distribution(let buckets, let counts, let sum):
                var cumulative: UInt64 = 0
                for (bound, count) in zip(buckets.bounds + [.infinity], counts) {
                    cumulative += count
                    let le = MetricLabel("le", Self.number(bound))
                    Self.writeSample(self.name + "_bucket", labels + [le], "\(cumulative)", to: &text)
                }
                Self.writeSample(self.name + "_sum", labels, Self.number(sum), to: &text)
                Self.writeSample(self.name + "_count", labels, "\(cumulative)", to: &text)
            }
        }
    }

    /// A floating-point number as Prometheus reads it; whole numbers keep `.0`, so that `le="1.0"` is the
    /// same before and after Prometheus 3 normalises it.
    package static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return "\(value)"
    }

    private static func writeSample(_ name: String, _ labels: [MetricLabel], _ value: String, to text: inout String) {
        text += name
        if !labels.isEmpty {
            text += "{"
            for (index, label) in labels.enumerated() {
                if index > 0 { text += "," }
                text += "\(label.name)=\"\(self.escape(label.value, quotes: true))\""
            }
            text += "}"
        }
        text += " \(value)\n"
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
