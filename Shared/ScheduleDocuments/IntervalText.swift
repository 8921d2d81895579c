package import Scheduling
import EscapementModel

/// The text of `every`: `90s`, `1h30m`, `24h` are elapsed time; `1d`, `2w` civil days; `1mo`, `1y`
/// civil months. Mixed (`1d12h`) is elapsed time.
package enum IntervalText {
    /// Reads a period; `nil` when the text is none. The range is for the calendar engine to check.
    package static func parse(_ text: String) -> ScheduleDefinition.Interval? {
        if let months = self.count(text, unit: "mo") ?? self.isoCount(text, unit: "M") {
            return .civilMonths(months)
        }
        if let years = self.count(text, unit: "y") ?? self.isoCount(text, unit: "Y") {
            return .civilMonths(years.multipliedReportingOverflow(by: 12).overflow ? .max : years * 12)
        }
        if let days = self.count(text, unit: "d") ?? self.isoCount(text, unit: "D") { return .civilDays(days) }
        if let weeks = self.count(text, unit: "w") ?? self.isoCount(text, unit: "W") {
            return .civilDays(weeks.multipliedReportingOverflow(by: 7).overflow ? .max : weeks * 7)
        }
        guard let duration = DurationText.parse(text), duration >= .zero else { return nil }
        return .elapsed(milliseconds: duration.wholeMilliseconds)
    }

    /// The text that `parse` reads back as the same period.
    package static func format(_ interval: ScheduleDefinition.Interval) -> String {
        switch interval {
        case .civilMonths(let months): return "\(months)mo"
        case .civilDays(let days): return "\(days)d"
        case .elapsed(let milliseconds):
            // Without days: a lone `1d` would be a civil day.
            var text = ""
            var rest = milliseconds
            for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] as [(String, Int64)]
            where rest >= size {
                text += "\(rest / size)\(unit)"
                rest %= size
            }
            return text.isEmpty ? "0s" : text
        }
    }

    /// The number of a text that is one number and `unit`.
    private static func count(_ text: String, unit: String) -> Int? {
        guard text.hasSuffix(unit) else { return nil }
        let digits = text.dropLast(unit.count)
        return !digits.isEmpty && digits.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(digits) : nil
    }

    private static func isoCount(_ text: String, unit: String) -> Int? {
        text.hasPrefix("P") ? self.count(String(text.dropFirst()), unit: unit) : nil
    }
}
