import EscapementModel

/// How a date field reads its values: one or more formats, tried in order.
struct DateFormat: Equatable, Sendable {
    private enum Part: String, CaseIterable, Sendable {
        case strictDateOptionalTime = "strict_date_optional_time"
        case strictDateOptionalTimeNanos = "strict_date_optional_time_nanos"
        case dateOptionalTime = "date_optional_time"
        case strictDateTime = "strict_date_time"
        case dateTime = "date_time"
        case strictDate = "strict_date"
        case date
        case epochMilliseconds = "epoch_millis"
        case epochSeconds = "epoch_second"
    }

    static let standard = DateFormat(parts: [.strictDateOptionalTime, .epochMilliseconds])

    private let parts: [Part]

    private init(parts: [Part]) { self.parts = parts }

    /// - Parameter text: names with `||` between.
    /// - Returns: `nil` for a name that we do not have; free patterns are among them.
    init?(text: String) {
        let names = text.split(separator: "|").map(String.init)
        let parts = names.compactMap { Part(rawValue: $0) }
        guard !parts.isEmpty, parts.count == names.count else { return nil }
        self.parts = parts
    }

    var text: String { self.parts.map(\.rawValue).joined(separator: "||") }

    /// Which instant an incomplete date means.
    enum Rounding: Sendable {
        case down
        /// The last millisecond of the day, hour and so on: for `gt` and `lte`.
        case up
    }

    /// - Returns: `nil` when no format fits.
    func parse(_ text: String, rounding: Rounding = .down) -> WallInstant? {
        for part in self.parts {
            let instant: WallInstant?
            switch part {
            case .epochMilliseconds: instant = Int64(text).map { WallInstant(milliseconds: $0) }
            case .epochSeconds:
                instant = Int64(text).flatMap { seconds in
                    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
                    return overflow ? nil : WallInstant(milliseconds: product)
                }
            case .strictDateOptionalTime, .strictDateOptionalTimeNanos, .dateOptionalTime, .strictDateTime, .dateTime,
                .strictDate, .date:
                instant = Self.parseOptionalTime(text, rounding)
            }
            if let instant { return instant }
        }
        return nil
    }

    /// Year, then month, day, time, fraction and zone as far as they are given: ISO 8601.
    private static func parseOptionalTime(_ text: String, _ rounding: Rounding) -> WallInstant? {
        let halves = text.split(separator: "T", maxSplits: 1, omittingEmptySubsequences: false)
        let date = halves[0].split(separator: "-", omittingEmptySubsequences: false)
        guard (1...3).contains(date.count), date[0].utf8.count == 4,
            date.dropFirst().allSatisfy({ $0.utf8.count == 2 }),
            date.allSatisfy({ $0.utf8.allSatisfy { (48...57).contains($0) } })
        else { return nil }
        if halves.count == 2, date.count != 3 { return nil }
        let (clock, zoneText) = halves.count == 2 ? self.splitZone(halves[1]) : ("", "Z")
        guard let zone = self.normalZone(zoneText.isEmpty ? "Z" : zoneText) else { return nil }
        let time = clock.isEmpty ? [] : clock.split(separator: ":", omittingEmptySubsequences: false)
        guard time.count <= 3 else { return nil }
        func complete(_ month: Substring, _ day: String, _ time: [Substring]) -> WallInstant? {
            var parts = time.map(String.init)
            // A comma may stand before the fraction.
            if parts.count == 3 { parts[2] = String(parts[2].map { $0 == "," ? "." : $0 }) }
            while parts.count < 3 { parts.append("00") }
            return WallInstant(text: "\(date[0])-\(month)-\(day)T\(parts.joined(separator: ":"))\(zone)")
        }
        guard let start = complete(date.count > 1 ? date[1] : "01", date.count > 2 ? String(date[2]) : "01", time)
        else { return nil }
        if rounding == .down { return start }
        switch (date.count, time.count) {
        case (1, _): return DateMath.adding(1, .year, to: start).advanced(by: .milliseconds(-1))
        case (2, _): return DateMath.adding(1, .month, to: start).advanced(by: .milliseconds(-1))
        case (_, 0): return DateMath.adding(1, .day, to: start).advanced(by: .milliseconds(-1))
        case (_, 1): return DateMath.adding(1, .hour, to: start).advanced(by: .milliseconds(-1))
        case (_, 2): return DateMath.adding(1, .minute, to: start).advanced(by: .milliseconds(-1))
        default:
            let hasFraction = time.last?.contains { $0 == "." || $0 == "," } == true
            return hasFraction ? start : start.advanced(by: .milliseconds(999))
        }
    }

    private static func splitZone(_ text: Substring) -> (clock: Substring, zone: Substring) {
        guard let index = text.firstIndex(where: { $0 == "Z" || $0 == "+" || $0 == "-" }) else { return (text, "") }
        return (text[..<index], text[index...])
    }

    /// `Z`, or `±hh:mm`.
    private static func normalZone(_ zone: Substring) -> String? {
        if zone == "Z" { return "Z" }
        let digits = zone.dropFirst().filter { $0 != ":" }
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), digits.count == 2 || digits.count == 4 else {
            return nil
        }
        return "\(zone.prefix(1))\(digits.prefix(2)):\(digits.count == 4 ? digits.suffix(2) : "00")"
    }
}

/// Date arithmetic of queries: `now-1d/d`, `2026-11-23||+1M`.
enum DateMath {
    enum Unit: Character, Sendable {
        case year = "y"
        case month = "M"
        case week = "w"
        case day = "d"
        case hour = "h"
        case hourCapital = "H"
        case minute = "m"
        case second = "s"
    }

    /// The instant that `text` names.
    ///
    /// - Returns: `nil` when the text is not date math, or its date fits no format.
    static func parse(
        _ text: String, format: DateFormat, rounding: DateFormat.Rounding, now: WallInstant
    ) -> WallInstant? {
        if text.hasPrefix("now") { return self.apply(text.dropFirst(3), to: now, rounding) }
        if let bars = text.firstRange(of: "||") {
            // The anchor itself is not rounded when arithmetic follows.
            let expression = text[bars.upperBound...]
            guard
                let anchor = format.parse(
                    String(text[..<bars.lowerBound]), rounding: expression.isEmpty ? rounding : .down)
            else { return nil }
            return self.apply(expression, to: anchor, rounding)
        }
        return format.parse(text, rounding: rounding)
    }

    private static func apply(
        _ expression: Substring, to anchor: WallInstant, _ rounding: DateFormat.Rounding
    ) -> WallInstant? {
        var instant = anchor
        var rest = expression
        while let sign = rest.popFirst() {
            let digits = rest.prefix { $0.isNumber && $0.isASCII }
            rest = rest.dropFirst(digits.count)
            guard let unit = rest.popFirst().flatMap({ Unit(rawValue: $0) }) else { return nil }
            let count = digits.isEmpty ? 1 : Int64(digits)
            guard let count, count < 1 << 32 else { return nil }
            switch sign {
            case "+": instant = self.adding(count, unit, to: instant)
            case "-": instant = self.adding(-count, unit, to: instant)
            case "/":
                guard count == 1, digits.isEmpty else { return nil }
                let start = self.start(of: unit, at: instant)
                instant =
                    rounding == .down
                    ? start : self.adding(1, unit, to: start).advanced(by: .milliseconds(-1))
            default: return nil
            }
        }
        return instant
    }

    /// Months and years keep the day where it exists, and else take the month's last.
    static func adding(_ count: Int64, _ unit: Unit, to instant: WallInstant) -> WallInstant {
        switch unit {
        case .second: return instant.advanced(by: .seconds(count))
        case .minute: return instant.advanced(by: .seconds(count * 60))
        case .hour, .hourCapital: return instant.advanced(by: .seconds(count * 3600))
        case .day: return instant.advanced(by: .seconds(count * 86_400))
        case .week: return instant.advanced(by: .seconds(count * 7 * 86_400))
        case .year: return self.addingMonths(count * 12, to: instant)
        case .month: return self.addingMonths(count, to: instant)
        }
    }

    private static func addingMonths(_ count: Int64, to instant: WallInstant) -> WallInstant {
        let (days, rest) = instant.milliseconds.quotientAndRemainder(flooring: 86_400_000)
        let (year, month, day) = GregorianDate.civil(fromDays: days)
        let (newYear, monthIndex) = (year * 12 + month - 1 + count).quotientAndRemainder(flooring: 12)
        let last = GregorianDate.daysInMonth(year: newYear, month: monthIndex + 1)
        let newDays = GregorianDate.days(year: newYear, month: monthIndex + 1, day: min(day, last))
        return WallInstant(milliseconds: newDays * 86_400_000 + rest)
    }

    /// The beginning of the year, month, week (Monday), day, hour, minute or second. UTC.
    static func start(of unit: Unit, at instant: WallInstant) -> WallInstant {
        func floored(_ length: Int64) -> WallInstant {
            let remainder = instant.milliseconds.quotientAndRemainder(flooring: length).remainder
            return WallInstant(milliseconds: instant.milliseconds - remainder)
        }
        switch unit {
        case .second: return floored(1000)
        case .minute: return floored(60_000)
        case .hour, .hourCapital: return floored(3_600_000)
        case .day: return floored(86_400_000)
        case .week:
            // 1970-01-05 was a Monday.
            let monday: Int64 = 4 * 86_400_000
            let remainder = (instant.milliseconds - monday).quotientAndRemainder(flooring: 7 * 86_400_000).remainder
            return WallInstant(milliseconds: instant.milliseconds - remainder)
        case .month, .year:
            let days = instant.milliseconds.quotientAndRemainder(flooring: 86_400_000).quotient
            let (year, month, _) = GregorianDate.civil(fromDays: days)
            let start = GregorianDate.days(year: year, month: unit == .year ? 1 : month, day: 1)
            return WallInstant(milliseconds: start * 86_400_000)
        }
    }
}
