/// A cron expression compiled to bit masks: what each field selects, and how the day fields combine.
///
/// Immutable; equal programs are shared (see `ProgramCache`). It knows civil times only: zones are the
/// business of `ZoneSearch`.
package final class CronProgram: Sendable {
    /// The masks as a value, for building, comparing and hashing.
    struct Masks: Hashable, Sendable {
        /// Bit n: second n.
        var seconds: UInt64 = 1
        var minutes: UInt64 = 0
        var hours: UInt64 = 0
        /// Bits 1...12.
        var months: UInt64 = 0
        /// Bit n of word w: year 1970 + 64 w + n.
        var years = Years()
        var days = DayRule()
        /// Second, minute or hour has the star flag: the schedule follows the wall clock through changes.
        var isWildcard = false
    }

    struct Years: Hashable, Sendable {
        var words: SIMD4<UInt64> = SIMD4(.max, .max, .max, (1 << 39) - 1)
        static let none = Years(words: .zero)
        static let all = Years()

        init() {}
        private init(words: SIMD4<UInt64>) { self.words = words }

        mutating func insert(_ year: Int) {
            let bit = year - CivilTime.yearMin
            self.words[bit >> 6] |= 1 << UInt64(bit & 63)
        }

        func contains(_ year: Int) -> Bool {
            let bit = year - CivilTime.yearMin
            return bit >= 0 && bit <= 230 && self.words[bit >> 6] >> UInt64(bit & 63) & 1 == 1
        }

        /// The first selected year not before `year`.
        func first(from year: Int) -> Int? {
            var bit = max(0, year - CivilTime.yearMin)
            while bit < 256 {
                let rest = self.words[bit >> 6] >> UInt64(bit & 63)
                if rest != 0 { return CivilTime.yearMin + bit + rest.trailingZeroBitCount }
                bit = (bit | 63) + 1
            }
            return nil
        }

        /// The last selected year not after `year`.
        func last(through year: Int) -> Int? {
            var bit = min(230, year - CivilTime.yearMin)
            while bit >= 0 {
                let rest = self.words[bit >> 6] << UInt64(63 - (bit & 63))
                if rest != 0 { return CivilTime.yearMin + bit - rest.leadingZeroBitCount }
                bit = (bit & ~63) - 1
            }
            return nil
        }

        var values: [Int] { (CivilTime.yearMin...CivilTime.yearMax).filter { self.contains($0) } }
    }

    let masks: Masks
    let secondFirst: Int
    let secondLast: Int
    let minuteFirst: Int
    let minuteLast: Int
    /// First and last second of a matching day.
    let clockFirst: Int
    let clockLast: Int
    /// Every date of 1970 to 2200 matches.
    let isEveryDate: Bool

    /// - Precondition: no time mask is empty.
    init(_ masks: Masks) {
        self.masks = masks
        self.secondFirst = masks.seconds.trailingZeroBitCount
        self.secondLast = 63 - masks.seconds.leadingZeroBitCount
        self.minuteFirst = masks.minutes.trailingZeroBitCount
        self.minuteLast = 63 - masks.minutes.leadingZeroBitCount
        self.clockFirst = masks.hours.trailingZeroBitCount * 3600 + self.minuteFirst * 60 + self.secondFirst
        self.clockLast = (63 - masks.hours.leadingZeroBitCount) * 3600 + self.minuteLast * 60 + self.secondLast
        self.isEveryDate = masks.days.isEveryDay && masks.months == 0b1_1111_1111_1110 && masks.years == .all
    }

    /// How many times of day it selects.
    var timesPerDay: Int {
        self.masks.seconds.nonzeroBitCount * self.masks.minutes.nonzeroBitCount * self.masks.hours.nonzeroBitCount
    }
}

extension CronProgram: Hashable {
    package static func == (left: CronProgram, right: CronProgram) -> Bool {
        left === right || left.masks == right.masks
    }
    package func hash(into hasher: inout Hasher) { hasher.combine(self.masks) }
}

/// The two day fields of an expression, compiled.
struct DayRule: Hashable, Sendable {
    /// Day of month: plain days (bits 1...31), `nW` (bits 1...31), `L-n` and `L-nW` (bit n).
    var days: UInt32 = 0xffff_fffe
    var nearest: UInt32 = 0
    var fromLast: UInt32 = 0
    var fromLastNearest: UInt32 = 0
    /// Day of week: plain days, last ones of the month (bits 0...6), `d#k` (bit (k - 1) * 7 + d).
    var weekdays: UInt32 = 0x7f
    var lastWeekdays: UInt32 = 0
    var ordinals: UInt64 = 0
    /// Both fields have to select the date; else one of them is enough.
    var needsBoth = true

    var isEveryDayOfMonth: Bool { self.days == 0xffff_fffe }
    var isEveryWeekday: Bool { self.weekdays == 0x7f }
    var isEveryDay: Bool {
        self.needsBoth
            ? self.isEveryDayOfMonth && self.isEveryWeekday : self.isEveryDayOfMonth || self.isEveryWeekday
    }

    /// The matching days of a month as bits 1...`length`.
    ///
    /// - Parameter firstWeekday: weekday of the first, 0 = Sunday.
    func mask(length: Int, firstWeekday: Int) -> UInt32 {
        let month: UInt32 = length == 31 ? 0xffff_fffe : (1 << UInt32(length + 1)) - 2
        let isSimpleDay = self.nearest | self.fromLast | self.fromLastNearest == 0
        let byDay =
            isSimpleDay ? self.days : self.days | self.special(length: length, firstWeekday: firstWeekday)
        let byWeekday: UInt32
        if self.weekdays == 0x7f {
            byWeekday = month
        } else {
            var bits = Self.spread(self.weekdays, firstWeekday: firstWeekday)
            if self.lastWeekdays != 0 {
                let lastWeek: UInt32 = 0x7f << UInt32(length - 6)
                bits |= Self.spread(self.lastWeekdays, firstWeekday: firstWeekday) & lastWeek
            }
            if self.ordinals != 0 { bits |= self.ordinalMask(firstWeekday: firstWeekday) }
            byWeekday = bits
        }
        return (self.needsBoth ? byDay & byWeekday : byDay | byWeekday) & month
    }

    /// The weekdays of `set` in a month that starts on `firstWeekday`, as bits 1...31.
    private static func spread(_ set: UInt32, firstWeekday: Int) -> UInt32 {
        let shift = UInt32(firstWeekday)
        let week = UInt64((set >> shift | set << (7 - shift)) & 0x7f)
        return UInt32(truncatingIfNeeded: (week &* 0x1020_4081) << 1)
    }

    private func ordinalMask(firstWeekday: Int) -> UInt32 {
        var bits: UInt32 = 0
        for week in 0..<5 {
            let set = UInt32(truncatingIfNeeded: self.ordinals >> UInt64(week * 7)) & 0x7f
            guard set != 0 else { continue }
            // Week `week` of the month: days 7 * week + 1 ... 7 * week + 7.
            let window = UInt32(truncatingIfNeeded: UInt64(0xfe) << UInt64(week * 7))
            bits |= Self.spread(set, firstWeekday: firstWeekday) & window
        }
        return bits
    }

    private func special(length: Int, firstWeekday: Int) -> UInt32 {
        var bits: UInt32 = 0
        var rest = self.fromLast
        while rest != 0 {
            let day = length - rest.trailingZeroBitCount
            if day >= 1 { bits |= 1 << UInt32(day) }
            rest &= rest - 1
        }
        var nearest = self.nearest
        rest = self.fromLastNearest
        while rest != 0 {
            let day = length - rest.trailingZeroBitCount
            if day >= 1 { nearest |= 1 << UInt32(day) }
            rest &= rest - 1
        }
        while nearest != 0 {
            let day = nearest.trailingZeroBitCount
            if day <= length {
                bits |= 1 << UInt32(Self.workday(near: day, length: length, firstWeekday: firstWeekday))
            }
            nearest &= nearest - 1
        }
        return bits
    }

    /// The weekday (Monday to Friday) nearest to `day` within the month.
    private static func workday(near day: Int, length: Int, firstWeekday: Int) -> Int {
        switch (firstWeekday + day - 1) % 7 {
        case 6: day == 1 ? 3 : day - 1
        case 0: day == length ? day - 2 : day + 1
        default: day
        }
    }
}
