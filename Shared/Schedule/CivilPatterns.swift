/// A single civil time.
struct CivilPoint: CivilPattern, Hashable, Sendable {
    var civil: Int

    func first(from civil: Int, through limit: Int) -> Int? {
        civil <= self.civil && self.civil <= limit ? self.civil : nil
    }
    func last(through civil: Int) -> Int? { self.civil <= civil ? self.civil : nil }
    func count(from: Int, to: Int) -> Int { from <= self.civil && self.civil < to ? 1 : 0 }
}

/// Every so many civil days from an anchor, at the anchor's time of day.
struct CivilDays: CivilPattern, Hashable, Sendable {
    var anchor: Int
    var days: Int

    private var period: Int { self.days * CivilTime.secondsPerDay }

    func first(from civil: Int, through limit: Int) -> Int? {
        let from = max(civil, CivilTime.min)
        if from > CivilTime.max { return nil }
        var found = self.anchor
        if from > found { found += (from - found + self.period - 1) / self.period * self.period }
        return found <= min(limit, CivilTime.max) ? found : nil
    }

    func last(through civil: Int) -> Int? {
        let through = min(civil, CivilTime.max)
        if through < self.anchor { return nil }
        return self.anchor + (through - self.anchor) / self.period * self.period
    }

    func count(from: Int, to: Int) -> Int {
        guard let first = self.first(from: from, through: to - 1), let last = self.last(through: to - 1) else {
            return 0
        }
        return (last - first) / self.period + 1
    }
}

/// Every so many civil months from an anchor, on the anchor's day or the last one of a shorter month.
struct CivilMonths: CivilPattern, Hashable, Sendable {
    var anchor: Int
    var months: Int

    /// The occurrence number `index`.
    private func civil(_ index: Int) -> Int {
        let (day, second) = CivilTime.split(self.anchor)
        let date = CivilDate(dayNumber: day)
        let month = date.year * 12 + date.month - 1 + index * self.months
        let year = month / 12
        let monthOfYear = month % 12 + 1
        let dayOfMonth = min(date.day, CivilDate.daysInMonth(year: year, month: monthOfYear))
        return CivilDate.dayNumber(year: year, month: monthOfYear, day: dayOfMonth) * CivilTime.secondsPerDay + second
    }

    /// The last index whose civil time is not after `civil`; -1 when there is none.
    private func index(through civil: Int) -> Int {
        if civil < self.anchor { return -1 }
        let start = CivilDate(dayNumber: CivilTime.split(self.anchor).day)
        let end = CivilDate(dayNumber: CivilTime.split(civil).day)
        let index = ((end.year - start.year) * 12 + end.month - start.month) / self.months
        return self.civil(index) <= civil ? index : index - 1
    }

    func first(from civil: Int, through limit: Int) -> Int? {
        let from = max(civil, CivilTime.min)
        if from > CivilTime.max { return nil }
        let found = self.civil(self.index(through: from - 1) + 1)
        return found <= min(limit, CivilTime.max) ? found : nil
    }

    func last(through civil: Int) -> Int? {
        let index = self.index(through: min(civil, CivilTime.max))
        return index >= 0 ? self.civil(index) : nil
    }

    func count(from: Int, to: Int) -> Int {
        let from = max(from, CivilTime.min)
        let to = min(to, CivilTime.max + 1)
        if from >= to { return 0 }
        return self.index(through: to - 1) - self.index(through: from - 1)
    }
}

/// A grid of instants: `anchor + k * period`, k from 0, in any unit. It ends with the year 2200.
struct IntervalGrid: Hashable, Sendable {
    var anchor: Int
    var period: Int
    /// The last possible instant, in the unit of the grid.
    var end: Int = CivilTime.max

    func next(after instant: Int) -> Int? {
        if instant >= self.end { return nil }
        var found = self.anchor
        if instant >= found { found += ((instant - found) / self.period + 1) * self.period }
        return found <= self.end ? found : nil
    }

    func previous(before instant: Int) -> Int? {
        let through = min(instant - 1, self.end)
        if through < self.anchor { return nil }
        return self.anchor + (through - self.anchor) / self.period * self.period
    }

    func count(after: Int, through: Int) -> Int {
        guard let first = self.next(after: after), let last = self.previous(before: min(through, self.end) + 1),
            first <= last
        else { return 0 }
        return (last - first) / self.period + 1
    }
}
