/// Civil times that a rule names, in order. Implemented by cron programs, civil intervals and single
/// civil times; `ZoneSearch` turns them into instants.
protocol CivilPattern {
    /// The least civil time not before `civil` and not after `limit`, `nil` when there is none.
    func first(from civil: Int, through limit: Int) -> Int?
    /// The greatest civil time not after `civil`, `nil` when there is none.
    func last(through civil: Int) -> Int?
    /// How many civil times lie in `from..<to`.
    func count(from: Int, to: Int) -> Int
}

extension CronProgram: CivilPattern {
    func first(from civil: Int, through limit: Int) -> Int? {
        if civil > limit { return nil }
        var (day, second) = civil > CivilTime.min ? CivilTime.split(civil) : (CivilTime.dayMin, 0)
        if second > self.clockLast || !self.isSelected(day) {
            guard let next = self.day(after: day, limit: CivilTime.split(limit).day) else { return nil }
            day = next
            second = 0
        }
        if day > CivilTime.dayMax { return nil }
        let found = day * CivilTime.secondsPerDay + self.clock(from: second)
        return found <= limit ? found : nil
    }

    func last(through civil: Int) -> Int? {
        var (day, second) =
            civil < CivilTime.max ? CivilTime.split(civil) : (CivilTime.dayMax, CivilTime.secondsPerDay - 1)
        if day < CivilTime.dayMin { return nil }
        if second < self.clockFirst || !self.isSelected(day) {
            guard let previous = self.day(before: day) else { return nil }
            day = previous
            second = CivilTime.secondsPerDay - 1
        }
        return day * CivilTime.secondsPerDay + self.clock(through: second)
    }

    func count(from: Int, to: Int) -> Int {
        let from = max(from, CivilTime.min)
        let to = min(to, CivilTime.max + 1)
        if from >= to { return 0 }
        let (fromDay, fromSecond) = CivilTime.split(from)
        let (toDay, toSecond) = CivilTime.split(to)
        var count = self.dayCount(from: fromDay, to: toDay) * self.timesPerDay
        if self.isSelected(fromDay) { count -= self.clockCount(before: fromSecond) }
        if toSecond > 0, self.isSelected(toDay) { count += self.clockCount(before: toSecond) }
        return count
    }

    /// Whether `civil` itself is named.
    func contains(_ civil: Int) -> Bool { self.first(from: civil, through: civil) != nil }

    // MARK: Time of day

    /// The first selected second of the day not before `second`.
    ///
    /// - Precondition: `second <= clockLast`.
    private func clock(from second: Int) -> Int {
        let masks = self.masks
        let hour = second / 3600
        let inHour = second - hour * 3600
        let minute = inHour / 60
        if masks.hours >> UInt64(hour) & 1 == 1 {
            let seconds = masks.seconds >> UInt64(inHour - minute * 60)
            let minutes = masks.minutes >> UInt64(minute)
            if minutes & 1 == 1, seconds != 0 { return second + seconds.trailingZeroBitCount }
            let later = minutes & ~1
            if later != 0 {
                return hour * 3600 + (minute + later.trailingZeroBitCount) * 60 + self.secondFirst
            }
        }
        let later = masks.hours >> UInt64(hour + 1)
        return (hour + 1 + later.trailingZeroBitCount) * 3600 + self.minuteFirst * 60 + self.secondFirst
    }

    /// The last selected second of the day not after `second`.
    ///
    /// - Precondition: `second >= clockFirst`.
    private func clock(through second: Int) -> Int {
        let masks = self.masks
        let hour = second / 3600
        let inHour = second - hour * 3600
        let minute = inHour / 60
        if masks.hours >> UInt64(hour) & 1 == 1 {
            let seconds = masks.seconds << UInt64(63 - (inHour - minute * 60))
            let minutes = masks.minutes << UInt64(63 - minute)
            if minutes >> 63 == 1, seconds != 0 { return second - seconds.leadingZeroBitCount }
            let earlier = minutes & (.max >> 1)
            if earlier != 0 {
                return hour * 3600 + (minute - earlier.leadingZeroBitCount) * 60 + self.secondLast
            }
        }
        let earlier = masks.hours & ((1 << UInt64(hour)) - 1)
        return (63 - earlier.leadingZeroBitCount) * 3600 + self.minuteLast * 60 + self.secondLast
    }

    /// How many selected seconds of the day lie before `second`.
    private func clockCount(before second: Int) -> Int {
        func below(_ mask: UInt64, _ bit: Int) -> Int { (mask & ((1 << UInt64(bit)) - 1)).nonzeroBitCount }
        let masks = self.masks
        let hour = second / 3600
        let minute = second / 60 % 60
        let perMinute = masks.seconds.nonzeroBitCount
        let perHour = perMinute * masks.minutes.nonzeroBitCount
        var count = below(masks.hours, hour) * perHour
        if masks.hours >> UInt64(hour) & 1 == 1 {
            count += below(masks.minutes, minute) * perMinute
            if masks.minutes >> UInt64(minute) & 1 == 1 { count += below(masks.seconds, second % 60) }
        }
        return count
    }

    // MARK: Dates

    private func monthMask(year: Int, month: Int, firstDay: Int) -> UInt32 {
        self.masks.days.mask(
            length: CivilDate.daysInMonth(year: year, month: month),
            firstWeekday: CivilDate.weekday(dayNumber: firstDay))
    }

    private func isSelected(_ day: Int) -> Bool {
        if self.isEveryDate { return day >= CivilTime.dayMin && day <= CivilTime.dayMax }
        guard day >= CivilTime.dayMin, day <= CivilTime.dayMax else { return false }
        let date = CivilDate(dayNumber: day)
        guard self.masks.months >> UInt64(date.month) & 1 == 1, self.masks.years.contains(date.year) else {
            return false
        }
        return self.monthMask(year: date.year, month: date.month, firstDay: day - date.day + 1) >> UInt32(date.day) & 1
            == 1
    }

    /// The first selected day after `day`; gives up beyond `limit`.
    private func day(after day: Int, limit: Int) -> Int? {
        let limit = min(limit, CivilTime.dayMax)
        if self.isEveryDate { return day < limit ? max(day + 1, CivilTime.dayMin) : nil }
        if day >= limit { return nil }
        let start = CivilDate(dayNumber: max(day + 1, CivilTime.dayMin))
        var year = start.year
        var month = start.month
        // Bits of the days of the first month that are already past.
        var past: UInt32 = (1 << UInt32(start.day)) - 1
        while true {
            let months = self.masks.years.contains(year) ? self.masks.months >> UInt64(month) : 0
            guard months != 0 else {
                guard let next = self.masks.years.first(from: year + 1) else { return nil }
                year = next
                month = 1
                past = 0
                if CivilDate.dayNumber(year: year, month: 1, day: 1) > limit { return nil }
                continue
            }
            if months & 1 == 0 {
                month += months.trailingZeroBitCount
                past = 0
            }
            let firstDay = CivilDate.dayNumber(year: year, month: month, day: 1)
            if firstDay > limit { return nil }
            let mask = self.monthMask(year: year, month: month, firstDay: firstDay) & ~past
            if mask != 0 { return firstDay + mask.trailingZeroBitCount - 1 }
            month += 1
            past = 0
        }
    }

    /// The last selected day before `day`.
    private func day(before day: Int) -> Int? {
        if self.isEveryDate { return day > CivilTime.dayMin ? min(day - 1, CivilTime.dayMax) : nil }
        if day <= CivilTime.dayMin { return nil }
        let start = CivilDate(dayNumber: min(day - 1, CivilTime.dayMax))
        var year = start.year
        var month = start.month
        var ahead: UInt32 = start.day == 31 ? .max : (1 << UInt32(start.day + 1)) - 1
        while true {
            let months = self.masks.years.contains(year) ? self.masks.months << UInt64(63 - month) : 0
            guard months != 0 else {
                guard let previous = self.masks.years.last(through: year - 1) else { return nil }
                year = previous
                month = 12
                ahead = .max
                continue
            }
            let skipped = months.leadingZeroBitCount
            if skipped > 0 {
                month -= skipped
                ahead = .max
            }
            let firstDay = CivilDate.dayNumber(year: year, month: month, day: 1)
            let mask = self.monthMask(year: year, month: month, firstDay: firstDay) & ahead
            if mask != 0 { return firstDay + 30 - mask.leadingZeroBitCount }
            month -= 1
            ahead = .max
            if month == 0 {
                guard let previous = self.masks.years.last(through: year - 1) else { return nil }
                year = previous
                month = 12
            }
        }
    }

    /// How many selected days lie in `from..<to`. One popcount a month.
    private func dayCount(from: Int, to: Int) -> Int {
        if self.isEveryDate { return to - from }
        if from >= to { return 0 }
        let start = CivilDate(dayNumber: from)
        let end = CivilDate(dayNumber: to)
        var count = 0
        var year = start.year
        var month = start.month
        while (year, month) <= (end.year, end.month) {
            if self.masks.years.contains(year), self.masks.months >> UInt64(month) & 1 == 1 {
                let firstDay = CivilDate.dayNumber(year: year, month: month, day: 1)
                var mask = self.monthMask(year: year, month: month, firstDay: firstDay)
                if year == start.year, month == start.month { mask &= ~((1 << UInt32(start.day)) - 1) }
                if year == end.year, month == end.month { mask &= (1 << UInt32(end.day)) - 1 }
                count += mask.nonzeroBitCount
            }
            month += 1
            if month > 12 {
                month = 1
                year += 1
            }
        }
        return count
    }

    /// Whether any date of 1970 to 2200 is selected.
    var firesEver: Bool { self.day(after: CivilTime.dayMin - 1, limit: CivilTime.dayMax) != nil }
}
