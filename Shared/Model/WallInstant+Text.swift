/// RFC 3339 text, in own arithmetic: the scheduler's formats must not depend on a locale or on ICU.
extension WallInstant: CustomStringConvertible {
    /// `2026-11-23T01:30:00.021Z`, always with milliseconds, years 0000 to 9999.
    package var description: String {
        String(unsafeUninitializedCapacity: Self.textCount) { bytes in
            self.writeText(to: UnsafeMutableRawPointer(bytes.baseAddress.unsafelyUnwrapped))
            return Self.textCount
        }
    }

    /// Bytes of `description`.
    package static let textCount = 24

    /// Appends the bytes of `description` to `buffer`.
    package func appendText(to buffer: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: Self.textCount, alignment: 1) { text in
            self.writeText(to: text.baseAddress.unsafelyUnwrapped)
            buffer.append(contentsOf: text)
        }
    }

    /// Writes the bytes of `description`, without allocating.
    ///
    /// - Precondition: `memory` has room for `textCount` bytes.
    package func writeText(to memory: UnsafeMutableRawPointer) {
        let (days, millisecondOfDay) = self.milliseconds.quotientAndRemainder(flooring: 86_400_000)
        let (year, month, day) = GregorianDate.civil(fromDays: days)
        let bytes = memory.assumingMemoryBound(to: UInt8.self)
        func digit(_ value: UInt32, at place: Int) { bytes[place] = UInt8(ascii: "0") + UInt8(value % 10) }
        func pair(_ value: UInt32, at place: Int) {
            digit(value / 10, at: place)
            digit(value, at: place + 1)
        }
        let time = UInt32(truncatingIfNeeded: millisecondOfDay)
        let shownYear = UInt32(truncatingIfNeeded: max(0, min(year, 9999)))
        pair(shownYear / 100, at: 0)
        pair(shownYear % 100, at: 2)
        bytes[4] = UInt8(ascii: "-")
        pair(UInt32(truncatingIfNeeded: month), at: 5)
        bytes[7] = UInt8(ascii: "-")
        pair(UInt32(truncatingIfNeeded: day), at: 8)
        bytes[10] = UInt8(ascii: "T")
        pair(time / 3_600_000, at: 11)
        bytes[13] = UInt8(ascii: ":")
        pair(time / 60_000 % 60, at: 14)
        bytes[16] = UInt8(ascii: ":")
        pair(time / 1000 % 60, at: 17)
        bytes[19] = UInt8(ascii: ".")
        digit(time % 1000 / 100, at: 20)
        pair(time % 100, at: 21)
        bytes[23] = UInt8(ascii: "Z")
    }

    /// Reads RFC 3339: date, `T`, time, optional fraction (truncated to milliseconds), `Z` or `±hh:mm`.
    ///
    /// `nil` for anything else, for a date that does not exist, and for a leap second.
    package init?(text: some StringProtocol) {
        var bytes = Array(text.utf8)[...]
        func number(_ count: Int) -> Int64? {
            guard bytes.count >= count else { return nil }
            var value: Int64 = 0
            for byte in bytes.prefix(count) {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - UInt8(ascii: "0"))
            }
            bytes.removeFirst(count)
            return value
        }
        func take(_ character: Character) -> Bool {
            guard let first = bytes.first, first == character.asciiValue else { return false }
            bytes.removeFirst()
            return true
        }
        guard let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2),
            take("T") || take("t") || take(" "), let hour = number(2), take(":"), let minute = number(2), take(":"),
            let second = number(2), (1...12).contains(month), day >= 1,
            day <= GregorianDate.daysInMonth(year: year, month: month), hour < 24, minute < 60, second < 60
        else { return nil }
        var fraction: Int64 = 0
        if take(".") {
            var scale: Int64 = 100
            guard let first = bytes.first, (48...57).contains(first) else { return nil }
            while let byte = bytes.first, (48...57).contains(byte) {
                fraction += Int64(byte - 48) * scale
                scale /= 10
                bytes.removeFirst()
            }
        }
        var offsetMinutes: Int64 = 0
        if !(take("Z") || take("z")) {
            let sign: Int64
            if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
            guard let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60 else {
                return nil
            }
            offsetMinutes = sign * (hours * 60 + minutes)
        }
        guard bytes.isEmpty else { return nil }
        let days = GregorianDate.days(year: year, month: month, day: day)
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offsetMinutes * 60
        self.init(milliseconds: seconds * 1000 + fraction)
    }
}

/// Days and dates of the proleptic Gregorian calendar, after H. Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms". O(1), no table.
package enum GregorianDate {
    /// Days from 1970-01-01 to the date.
    package static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The date that lies `days` after 1970-01-01.
    package static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    package static func isLeap(year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// - Precondition: `month` is in 1...12.
    package static func daysInMonth(year: Int64, month: Int64) -> Int64 {
        switch month {
        case 2: self.isLeap(year: year) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension Int64 {
    /// Quotient rounded towards minus infinity, and the remainder in `0..<divisor`.
    package func quotientAndRemainder(flooring divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = self.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
