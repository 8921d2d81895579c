/// A date of the proleptic Gregorian calendar, without a zone.
///
/// The arithmetic stands here and not only in `GregorianDate`, because the search runs through it on
/// every step and must be open to the optimiser of this module.
package struct CivilDate: Hashable, Comparable, Sendable {
    package let year: Int
    /// 1...12.
    package let month: Int
    /// 1...31.
    package let day: Int

    /// The date, or `nil` when the calendar has no such date.
    package init?(year: Int, month: Int, day: Int) {
        guard (1...9999).contains(year), (1...12).contains(month), day >= 1,
            day <= Self.daysInMonth(year: year, month: month)
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
    }

    /// Reads `yyyy-mm-dd`; `nil` for anything else.
    package init?(text: some StringProtocol) {
        let bytes = Array(text.utf8)
        guard bytes.count == 10, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-") else { return nil }
        func number(_ range: Range<Int>) -> Int? {
            var value = 0
            for byte in bytes[range] {
                guard (48...57).contains(byte) else { return nil }
                value = value * 10 + Int(byte - 48)
            }
            return value
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10) else { return nil }
        self.init(year: year, month: month, day: day)
    }

    /// The date `dayNumber` days after 1970-01-01.
    package init(dayNumber: Int) {
        // After H. Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shifted = dayNumber + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = UInt32(truncatingIfNeeded: shifted - era * 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        self.day = Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        self.month = Int(month)
        self.year = Int(yearOfEra) + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days from 1970-01-01 to this date.
    package var dayNumber: Int { Self.dayNumber(year: self.year, month: self.month, day: self.day) }

    package static func < (left: CivilDate, right: CivilDate) -> Bool { left.dayNumber < right.dayNumber }

    static func dayNumber(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    static func isLeap(_ year: Int) -> Bool { year & 3 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// - Precondition: `month` is in 1...12.
    static func daysInMonth(year: Int, month: Int) -> Int {
        if month == 2 { return Self.isLeap(year) ? 29 : 28 }
        // Bit m is set for the months of 31 days.
        return 30 + (0b1_0101_1010_1010 >> month) & 1
    }

    /// 0 = Sunday ... 6 = Saturday, of the day `dayNumber` days after 1970-01-01, a Thursday.
    static func weekday(dayNumber: Int) -> Int {
        let remainder = (dayNumber + 4) % 7
        return remainder < 0 ? remainder + 7 : remainder
    }
}

extension CivilDate: CustomStringConvertible {
    /// `2026-12-25`.
    package var description: String {
        "\(Self.padded(self.year, 4))-\(Self.padded(self.month, 2))-\(Self.padded(self.day, 2))"
    }

    static func padded(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

/// Civil times are `Int`s in this module: seconds since 1970-01-01T00:00:00 on the wall clock of some
/// zone. Only whole civil years 1970 to 2200 ever match anything.
enum CivilTime {
    static let secondsPerDay = 86_400
    static let yearMin = 1970
    static let yearMax = 2200
    static let dayMin = 0
    /// 2200-12-31.
    static let dayMax = CivilDate.dayNumber(year: 2200, month: 12, day: 31)
    /// 1970-01-01T00:00:00.
    static let min = 0
    /// 2200-12-31T23:59:59.
    static let max = dayMax * secondsPerDay + secondsPerDay - 1

    /// The day number and the second of the day, for any sign.
    static func split(_ civil: Int) -> (day: Int, second: Int) {
        var (day, second) = civil.quotientAndRemainder(dividingBy: Self.secondsPerDay)
        if second < 0 {
            day -= 1
            second += Self.secondsPerDay
        }
        return (day, second)
    }

    /// `2026-03-29T02:30:00`.
    static func text(_ civil: Int) -> String {
        let (day, second) = Self.split(civil)
        return "\(CivilDate(dayNumber: day))T\(Self.clockText(second, withSeconds: true))"
    }

    /// `02:30`, or `02:30:15` when `withSeconds`.
    static func clockText(_ secondOfDay: Int, withSeconds: Bool) -> String {
        let hours = CivilDate.padded(secondOfDay / 3600, 2)
        let minutes = CivilDate.padded(secondOfDay / 60 % 60, 2)
        return withSeconds ? "\(hours):\(minutes):\(CivilDate.padded(secondOfDay % 60, 2))" : "\(hours):\(minutes)"
    }
}
