package import EscapementModel

/// One expression of the dialect, parsed and checked: calendar fields, an interval, or one instant.
///
/// A value; its program is shared. See the manual, `docs/scheduling.md`, for the grammar.
package struct CronExpression: Hashable, Sendable {
    package enum Body: Hashable, Sendable {
        /// Fields, macros, `cron(...)`.
        case calendar(CronProgram)
        /// `@every`, `rate(...)`: seconds between two occurrences, counted from an anchor.
        case interval(seconds: Int)
        /// `at(...)`: a civil time, seconds since 1970-01-01T00:00:00 on the zone's clocks.
        case instant(civil: Int)
    }

    /// Text longer than this is refused, in Unicode scalars.
    package static let lengthMax = 1000

    package let body: Body
    /// The zone of a `CRON_TZ=` or `TZ=` prefix.
    package let zoneName: String?
    /// It contains `H`, so the seed matters.
    package let isSeeded: Bool
    /// Five fields or a macro of five: it names whole minutes.
    package let namesMinutes: Bool

    /// Parses an expression.
    ///
    /// - Parameters:
    ///   - seed: what `H` is drawn from; without one `H` is an error.
    ///   - zones: where a zone in a prefix must exist.
    /// - Throws: `CronError` with the first error from the left.
    package static func parse(
        _ text: String, seed: String?, zones: ZoneDatabase
    ) throws(CronError) -> CronExpression {
        var parser = CronParser(text: text, seed: seed, zones: zones)
        return try parser.parse()
    }

    /// The least occurrence strictly after `instant`, `nil` when there is none until 2200.
    ///
    /// - Parameters:
    ///   - zone: the zone in force; the caller has looked up `zoneName` when there is one.
    ///   - anchor: where the grid of an interval starts, whole seconds.
    package func next(after instant: WallInstant, in zone: ZoneRules, anchor: WallInstant) -> WallInstant? {
        let second = instant.wholeSeconds
        switch self.body {
        case .calendar(let program):
            return ZoneSearch(zone: zone, isWildcard: program.masks.isWildcard).next(program, after: second)
                .map(WallInstant.init(seconds:))
        case .interval(let seconds):
            return IntervalGrid(anchor: anchor.wholeSeconds, period: seconds).next(after: second)
                .map(WallInstant.init(seconds:))
        case .instant(let civil):
            return ZoneSearch(zone: zone, isWildcard: false).next(CivilPoint(civil: civil), after: second)
                .map(WallInstant.init(seconds:))
        }
    }

    /// The greatest occurrence strictly before `instant`, `nil` when there is none since 1970.
    package func previous(before instant: WallInstant, in zone: ZoneRules, anchor: WallInstant) -> WallInstant? {
        let second = instant.secondBefore + 1
        switch self.body {
        case .calendar(let program):
            return ZoneSearch(zone: zone, isWildcard: program.masks.isWildcard).previous(program, before: second)
                .map(WallInstant.init(seconds:))
        case .interval(let seconds):
            return IntervalGrid(anchor: anchor.wholeSeconds, period: seconds).previous(before: second)
                .map(WallInstant.init(seconds:))
        case .instant(let civil):
            return ZoneSearch(zone: zone, isWildcard: false).previous(CivilPoint(civil: civil), before: second)
                .map(WallInstant.init(seconds:))
        }
    }

    /// Whether `instant` is an occurrence; one made up at the end of a gap is.
    package func matches(_ instant: WallInstant, in zone: ZoneRules, anchor: WallInstant) -> Bool {
        let before = WallInstant(milliseconds: instant.milliseconds - 1)
        return self.next(after: before, in: zone, anchor: anchor) == instant
    }

    /// How many occurrences lie after `after` and not after `through`, without enumerating them.
    package func count(after: WallInstant, through: WallInstant, in zone: ZoneRules, anchor: WallInstant) -> Int {
        let from = after.wholeSeconds
        let to = through.wholeSeconds
        switch self.body {
        case .calendar(let program):
            return ZoneSearch(zone: zone, isWildcard: program.masks.isWildcard)
                .count(program, after: from, through: to)
        case .interval(let seconds):
            return IntervalGrid(anchor: anchor.wholeSeconds, period: seconds).count(after: from, through: to)
        case .instant(let civil):
            return ZoneSearch(zone: zone, isWildcard: false)
                .count(CivilPoint(civil: civil), after: from, through: to)
        }
    }
}
