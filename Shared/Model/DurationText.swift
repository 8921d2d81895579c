/// Durations as people write them: `90s`, `1h30m`, `250ms`, `2d`, or ISO 8601 `PT90S`, `P1DT12H`.
package enum DurationText {
    /// Reads a duration; units `w d h m s ms` in this order, each at most once, whole numbers. An ISO
    /// 8601 duration has days, hours, minutes and seconds (no months or years: they have no length).
    ///
    /// `nil` when the text is neither, or does not fit 100 years. A leading `-` gives a negative
    /// duration, so that the caller can say "is negative" rather than "is malformed".
    package static func parse(_ text: some StringProtocol) -> Duration? {
        if text.hasPrefix("-") { return self.parse(text.dropFirst()).map { .zero - $0 } }
        let milliseconds: Int64?
        if text.hasPrefix("P") || text.hasPrefix("p") {
            milliseconds = self.parseISO(text.dropFirst().lowercased())
        } else {
            milliseconds = self.parseUnits(
                String(text),
                units: [
                    ("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
                ])
        }
        return milliseconds.map { .milliseconds($0) }
    }

    /// The shortest text that `parse` reads back: `1h30m`, `90s` becomes `1m30s`, zero is `0s`.
    package static func format(_ duration: Duration) -> String {
        var rest = duration.wholeMilliseconds
        if rest == 0 { return "0s" }
        var text = rest < 0 ? "-" : ""
        rest = abs(rest)
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
            as [(String, Int64)]
        where rest >= size {
            text += "\(rest / size)\(unit)"
            rest %= size
        }
        return text
    }

    private static let limitMilliseconds: Int64 = 36_525 * 86_400_000

    private static func parseISO(_ text: String) -> Int64? {
        let parts = text.split(separator: "t", maxSplits: 1, omittingEmptySubsequences: false)
        guard let date = parts.first else { return nil }
        var total: Int64 = 0
        if !date.isEmpty {
            guard let days = self.parseUnits(String(date), units: [("w", 604_800_000), ("d", 86_400_000)]) else {
                return nil
            }
            total = days
        }
        if parts.count == 2 {
            guard let time = self.parseUnits(String(parts[1]), units: [("h", 3_600_000), ("m", 60_000), ("s", 1000)])
            else { return nil }
            total += time
        }
        guard parts.count == 2 || !date.isEmpty, total <= self.limitMilliseconds else { return nil }
        return total
    }

    private static func parseUnits(_ text: String, units: [(String, Int64)]) -> Int64? {
        var total: Int64 = 0
        var remaining = units[...]
        var rest = Substring(text)
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let number = rest.prefix { $0.isASCII && $0.isNumber }
            guard !number.isEmpty, let value = Int64(number) else { return nil }
            rest = rest.dropFirst(number.count)
            let name = rest.prefix { $0.isASCII && $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard let index = remaining.firstIndex(where: { $0.0 == name }) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: remaining[index].1)
            guard !overflow, product <= self.limitMilliseconds else { return nil }
            total += product
            remaining = remaining[(index + 1)...]
        }
        return total <= self.limitMilliseconds ? total : nil
    }
}
