package import EscapementModel

/// What a user wrote under "when": exactly one trigger, and what narrows it. Plain values; the stored
/// and transmitted form. Nothing is checked here; `CompiledSchedule` and `problems(zones:)` do that.
package struct ScheduleDefinition: Hashable, Sendable {
    /// What makes the schedule fire.
    package enum Trigger: Hashable, Sendable {
        /// 1 to 16 expressions in any form of the cron dialect; the schedule fires at their union.
        case cron([String])
        /// A fixed pace. Without an anchor the grid starts at `startAt`, else where the schedule was created.
        case every(Interval, anchor: WallInstant?)
        /// 1 to 10 000 instants, in any order.
        case at([WallInstant])
    }

    /// The length of a step. `24h` is elapsed time; `1d` in a zone is a civil day, 23 to 25 hours long.
    package enum Interval: Hashable, Sendable {
        /// 1 second to 3 660 days.
        case elapsed(milliseconds: Int64)
        /// 1 to 3 660 days; weeks are seven of them.
        case civilDays(Int)
        /// 1 to 1 200 months; a day the month does not have becomes its last one.
        case civilMonths(Int)
    }

    /// What becomes of a civil time that the clock jumps over. Fixed schedules only.
    package enum GapPolicy: UInt8, Hashable, Sendable, CaseIterable {
        /// Fires at the first instant after the gap.
        case shift = 0
        /// Does not fire.
        case skip = 1
    }

    /// What becomes of a civil time that the clock shows twice. Fixed schedules only.
    package enum OverlapPolicy: UInt8, Hashable, Sendable, CaseIterable {
        case first = 0
        case second = 1
        case both = 2
    }

    /// Occurrences that fall into any exclusion do not exist. Dates and times are civil, in the
    /// schedule's zone.
    package enum Exclusion: Hashable, Sendable {
        case date(CivilDate)
        /// Both ends included.
        case dates(from: CivilDate, through: CivilDate)
        case weekly(WeeklyWindow)
        /// The times an expression names; five fields name whole minutes. Calendar forms only.
        case cron(String)
        /// A named list of dates, looked up when the schedule is compiled.
        case calendar(String)
        /// A named list of dates that the schedule brings along, 1 to 4 096 of them.
        case list(name: String, dates: [CivilDate])
    }

    package var trigger: Trigger
    /// An IANA name. A `CRON_TZ=` prefix inside an expression replaces the default and must not
    /// contradict another zone.
    package var timeZone: String
    package var gap: GapPolicy
    package var overlap: OverlapPolicy
    /// The first instant at which an occurrence may lie.
    package var startAt: WallInstant?
    /// The instant at and after which there are no occurrences.
    package var endAt: WallInstant?
    /// How many occurrences there are at most, counted from the first; 1 to 100 000.
    package var limit: Int?
    /// At most 256.
    package var exclusions: [Exclusion]
    /// Each occurrence becomes due up to this much after its scheduled time, by a stable hash; 0 to 24 hours.
    package var jitterMilliseconds: Int64
    /// What `H` is drawn from; `nil` is the schedule's uid in hexadecimal.
    package var seed: String?

    package init(
        trigger: Trigger, timeZone: String = "UTC", gap: GapPolicy = .shift, overlap: OverlapPolicy = .first,
        startAt: WallInstant? = nil, endAt: WallInstant? = nil, limit: Int? = nil, exclusions: [Exclusion] = [],
        jitterMilliseconds: Int64 = 0, seed: String? = nil
    ) {
        self.trigger = trigger
        self.timeZone = timeZone
        self.gap = gap
        self.overlap = overlap
        self.startAt = startAt
        self.endAt = endAt
        self.limit = limit
        self.exclusions = exclusions
        self.jitterMilliseconds = jitterMilliseconds
        self.seed = seed
    }

    /// Bounds of a definition. They keep compiling and one search step short; see the properties.
    package enum Limits {
        package static let expressions = 16
        package static let instants = 10_000
        package static let exclusions = 256
        package static let occurrences = 100_000
        package static let seedBytes = 256
        package static let jitterMilliseconds: Int64 = 86_400_000
        package static let intervalMilliseconds: ClosedRange<Int64> = 1000...(3660 * 86_400_000)
        package static let civilDays = 1...3660
        package static let civilMonths = 1...1200
    }
}

/// Days of the week as a set; bit 0 is Sunday.
package struct WeekdaySet: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue & 0x7f }

    package static let sunday = WeekdaySet(rawValue: 1)
    package static let monday = WeekdaySet(rawValue: 2)
    package static let tuesday = WeekdaySet(rawValue: 4)
    package static let wednesday = WeekdaySet(rawValue: 8)
    package static let thursday = WeekdaySet(rawValue: 16)
    package static let friday = WeekdaySet(rawValue: 32)
    package static let saturday = WeekdaySet(rawValue: 64)
    package static let all = WeekdaySet(rawValue: 0x7f)
}

/// A stretch of every week, in civil time: from a time of day on each of `weekdays`, for less than or
/// exactly a day.
package struct WeeklyWindow: Hashable, Sendable {
    /// The days on which the window opens.
    package var weekdays: WeekdaySet
    /// Second of the day at which it opens, 0..<86 400, included.
    package var fromSecond: Int
    /// Second of the day at which it closes, 0...86 400, not included. Not after `fromSecond`: it
    /// closes on the following day.
    package var toSecond: Int

    package init(weekdays: WeekdaySet, fromSecond: Int = 0, toSecond: Int = 86_400) {
        self.weekdays = weekdays
        self.fromSecond = fromSecond
        self.toSecond = toSecond
    }
}
