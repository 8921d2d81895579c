import Observability

/// Counts log lines by their event code, so that a run can say which rare paths it took.
final class EventCounter: @unchecked Sendable {
    private(set) var counts: [String: Int] = [:]

    func count(_ event: String) { self.counts[event, default: 0] += 1 }

    /// Takes the lines of one process.
    func sink(_ host: Host, verbose: Bool) -> LogSink {
        LogSink { line in
            let text = String(decoding: line, as: UTF8.self)
            if verbose { print("\(host.name): \(text)", terminator: "") }
            guard let start = text.range(of: "\"event\":\"")?.upperBound else { return }
            self.count(String(text[start...].prefix { $0 != "\"" }))
        }
    }
}

extension String {
    /// The first place of `other`, without Foundation.
    fileprivate func range(of other: String) -> Range<String.Index>? {
        var start = self.startIndex
        while start < self.endIndex {
            if self[start...].hasPrefix(other) { return start..<self.index(start, offsetBy: other.count) }
            start = self.index(after: start)
        }
        return nil
    }
}
