/// Turns the civil times of a pattern into the instants of a zone: the fire set of the dialect's
/// section 9, searched without enumerating.
///
/// Civil times and instants are seconds. Costs a zone look-up or two besides the pattern's own search;
/// never allocates.
struct ZoneSearch {
    /// Which instants of an overlap count.
    enum Mode: UInt8, Hashable, Sendable {
        /// `resolve(c)`: the earliest instant of each civil time.
        case first
        /// The latest instant of each civil time.
        case second
        /// Every instant whose local time is named.
        case each
    }

    var zone: ZoneRules
    var mode: Mode
    /// A civil time in a gap makes an occurrence at its end.
    var makesUpGaps: Bool

    /// The classic daemons' rule: wildcard patterns follow the wall clock, fixed ones happen once.
    init(zone: ZoneRules, isWildcard: Bool) {
        self.zone = zone
        self.mode = isWildcard ? .each : .first
        self.makesUpGaps = !isWildcard
    }

    init(zone: ZoneRules, mode: Mode, makesUpGaps: Bool) {
        self.zone = zone
        self.mode = mode
        self.makesUpGaps = makesUpGaps
    }

    /// The least instant after `instant`.
    func next(_ pattern: some CivilPattern, after instant: Int) -> Int? {
        // Nothing lies before 1970, and nothing may overflow.
        let instant = max(instant, CivilTime.min - 2 * ZoneRules.offsetMax)
        if instant > CivilTime.max + ZoneRules.offsetMax { return nil }
        switch self.mode {
        case .first, .second: return self.nextMonotone(pattern, after: instant)
        case .each: return self.nextEach(pattern, after: instant)
        }
    }

    /// The greatest instant before `instant`.
    func previous(_ pattern: some CivilPattern, before instant: Int) -> Int? {
        if instant < CivilTime.min - ZoneRules.offsetMax { return nil }
        let instant = min(instant, CivilTime.max + 2 * ZoneRules.offsetMax)
        switch self.mode {
        case .first, .second: return self.previousMonotone(pattern, through: instant - 1)
        case .each: return self.previousEach(pattern, through: instant - 1)
        }
    }

    // MARK: One instant a civil time

    /// The least civil time whose instant lies after `instant`, given the period that contains it.
    /// Instants never decrease as civil times grow, so all that follow lie after it too.
    private func civilStart(after instant: Int, index: Int) -> Int {
        let period = self.zone.periods[index]
        let local = instant + period.offset + 1
        if self.mode == .first { return max(local, period.civilHigh) }
        return index + 1 < self.zone.periods.count ? min(local, self.zone.periods[index + 1].civilLow) : local
    }

    private func nextMonotone(_ pattern: some CivilPattern, after instant: Int) -> Int? {
        let index = self.zone.index(at: instant)
        var civil = self.civilStart(after: instant, index: index)
        while let found = pattern.first(from: civil, through: CivilTime.max) {
            let period = self.zone.periods[index]
            let guess = found - period.offset
            // The usual case: still in the same period. In an overlap only the first instant may be taken
            // without looking further.
            if self.mode == .first, guess < period.end { return guess }
            let (resolved, gapEndCivil) = self.resolve(found)
            guard let gapEndCivil else { return resolved }
            if self.makesUpGaps { return resolved }
            civil = gapEndCivil
        }
        return nil
    }

    private func previousMonotone(_ pattern: some CivilPattern, through instant: Int) -> Int? {
        var civil = self.civilStart(after: instant, index: self.zone.index(at: instant)) - 1
        while let found = pattern.last(through: civil) {
            let (resolved, gapEndCivil) = self.resolve(found)
            if gapEndCivil == nil || self.makesUpGaps { return resolved }
            civil = found - 1
        }
        return nil
    }

    /// The instant of a civil time under this mode; for one in a gap its end, and the civil time there.
    private func resolve(_ civil: Int) -> (instant: Int, gapEndCivil: Int?) {
        let periods = self.zone.periods
        if self.mode == .first {
            var index = self.zone.index(at: civil - ZoneRules.offsetMax)
            while true {
                let period = periods[index]
                let instant = civil - period.offset
                if instant < period.start { return (period.start, period.start + period.offset) }
                if instant < period.end { return (instant, nil) }
                index += 1
            }
        }
        var index = self.zone.index(at: civil + ZoneRules.offsetMax)
        while true {
            let period = periods[index]
            let instant = civil - period.offset
            if instant >= period.end {
                return (period.end, period.end + periods[index + 1].offset)
            }
            if instant >= period.start { return (instant, nil) }
            index -= 1
        }
    }

    // MARK: Every instant

    private func nextEach(_ pattern: some CivilPattern, after instant: Int) -> Int? {
        let periods = self.zone.periods
        var index = self.zone.index(at: instant)
        var low = instant + 1 + periods[index].offset
        // The least civil time of the pattern not before `low`; beyond the end of time when there is none.
        var civil = pattern.first(from: low, through: CivilTime.max) ?? .max
        while true {
            let period = periods[index]
            if civil != .max, period.end == .max || civil < period.end + period.offset { return civil - period.offset }
            if period.end > CivilTime.max + ZoneRules.offsetMax { return nil }
            index += 1
            let start = period.end + periods[index].offset
            if start > civil {
                if self.makesUpGaps { return period.end }
                civil = pattern.first(from: start, through: CivilTime.max) ?? .max
            } else if start < low {
                // The clock falls back to before the search began: that stretch has not been looked at.
                civil = pattern.first(from: start, through: low - 1) ?? civil
            }
            low = start
        }
    }

    private func previousEach(_ pattern: some CivilPattern, through instant: Int) -> Int? {
        let periods = self.zone.periods
        var index = self.zone.index(at: instant)
        var high = instant + periods[index].offset
        var civil = pattern.last(through: high) ?? .min
        while true {
            let period = periods[index]
            if civil != .min, period.start == .min || civil >= period.start + period.offset {
                return civil - period.offset
            }
            if period.start < CivilTime.min - ZoneRules.offsetMax { return nil }
            index -= 1
            let end = period.start + periods[index].offset
            if self.makesUpGaps, civil != .min, civil >= end { return period.start }
            if civil >= end || end - 1 > high { civil = pattern.last(through: end - 1) ?? .min }
            high = end - 1
        }
    }

    // MARK: Counting

    /// How many instants lie after `after` and not after `through`, without enumerating them: one
    /// count of the pattern for each zone period in between.
    func count(_ pattern: some CivilPattern, after: Int, through: Int) -> Int {
        let after = max(after, CivilTime.min - 2 * ZoneRules.offsetMax)
        let through = min(through, CivilTime.max + 2 * ZoneRules.offsetMax)
        if after >= through { return 0 }
        let periods = self.zone.periods
        let firstIndex = self.zone.index(at: after)
        let lastIndex = self.zone.index(at: through)
        var count = 0
        if self.mode == .each {
            for index in firstIndex...lastIndex {
                let from = max(after + 1, periods[index].start)
                let to = min(through + 1, periods[index].end)
                count += pattern.count(from: from + periods[index].offset, to: to + periods[index].offset)
            }
        } else {
            count = pattern.count(
                from: self.civilStart(after: after, index: firstIndex),
                to: self.civilStart(after: through, index: lastIndex))
        }
        // Civil times in a gap: none of them an instant of its own.
        var index = firstIndex + 1
        while index <= lastIndex {
            let end = periods[index].start
            let from = end + periods[index - 1].offset
            let to = end + periods[index].offset
            if from < to {
                let skipped = pattern.count(from: from, to: to)
                let isTaken = pattern.count(from: to, to: to + 1) > 0
                let made = self.makesUpGaps && skipped > 0 && !isTaken ? 1 : 0
                count += made - (self.mode == .each ? 0 : skipped)
            }
            index += 1
        }
        return count
    }
}
