import EscapementModel

/// Checks a definition and turns it into the parts of a compiled schedule, collecting all problems.
struct ScheduleCompiler {
    struct Parts {
        var sources: [ScheduleSource]
        var exclusions: ExclusionRules?
        var first: Int
        var last: Int
        var zone: ZoneRules
        var zoneNames: [String]
        var isOneShot: Bool
    }

    let definition: ScheduleDefinition
    let uid: UID
    let createdAt: WallInstant
    let zones: ZoneDatabase
    let calendars: HolidayCalendars
    let cache: ProgramCache?
    private(set) var problems: [ScheduleError] = []
    private var zoneNames: Set<String> = []
    private var prefixZones: Set<String> = []

    init(
        definition: ScheduleDefinition, uid: UID, createdAt: WallInstant, zones: ZoneDatabase,
        calendars: HolidayCalendars, cache: ProgramCache?
    ) {
        self.definition = definition
        self.uid = uid
        self.createdAt = createdAt
        self.zones = zones
        self.calendars = calendars
        self.cache = cache
    }

    private typealias Limits = ScheduleDefinition.Limits

    /// The parts; to be used only when `problems` is empty afterwards.
    mutating func compile() -> Parts {
        self.checkBounds()
        var zone = self.rules(self.definition.timeZone, path: "timeZone") ?? .utc
        let (sources, isOneShot) = self.sources(zone: zone)
        // A single prefix is as good as the zone itself for the dates of exclusions and for texts.
        if self.definition.timeZone == "UTC", self.prefixZones.count == 1, let name = self.prefixZones.first,
            let prefixed = try? self.zones.rules(named: name)
        {
            zone = prefixed
        }
        var first = self.createdAt
        if case .at = self.definition.trigger {} else if first < .distantFuture { first.milliseconds += 1 }
        if let startAt = self.definition.startAt { first = max(first, startAt) }
        let exclusions = self.exclusions(zone: zone)
        return Parts(
            sources: sources, exclusions: exclusions, first: max(Int(first.milliseconds), Int.min + 1),
            last: self.definition.endAt.map { Int($0.milliseconds) - 1 } ?? .max, zone: zone,
            zoneNames: self.zoneNames.sorted(), isOneShot: isOneShot)
    }

    private mutating func refuse(_ code: ScheduleErrorCode, _ path: String, _ detail: String) {
        self.problems.append(ScheduleError(code, path: path, detail))
    }

    private mutating func checkBounds() {
        if !(0...Limits.jitterMilliseconds).contains(self.definition.jitterMilliseconds) {
            self.refuse(.valueOutOfRange, "jitter", "Jitter must be from 0s to 24h.")
        }
        if let limit = self.definition.limit, !(1...Limits.occurrences).contains(limit) {
            self.refuse(.valueOutOfRange, "limit", "The limit must be from 1 to \(Limits.occurrences) occurrences.")
        }
        if let seed = self.definition.seed, seed.utf8.count > Limits.seedBytes {
            self.refuse(.tooLong, "seed", "A seed has at most \(Limits.seedBytes) bytes.")
        }
        for (instant, path) in [(self.definition.startAt, "startAt"), (self.definition.endAt, "endAt")] {
            if let instant, !Self.instants.contains(Int(instant.milliseconds)) {
                self.refuse(.valueOutOfRange, path, "Times must lie in the years 1970 to 2200.")
            }
        }
        if let startAt = self.definition.startAt, let endAt = self.definition.endAt, endAt <= startAt {
            self.refuse(.valueOutOfRange, "endAt", "The end must lie after the start.")
        }
    }

    /// Milliseconds an instant of a definition may have: 1970 to 2200 in every zone.
    private static let instants =
        -ZoneRules.offsetMax * 1000...(CivilTime.max + ZoneRules.offsetMax) * 1000

    private mutating func rules(_ name: String, path: String) -> ZoneRules? {
        do {
            let rules = try self.zones.rules(named: name)
            self.zoneNames.insert(name)
            return rules
        } catch {
            self.refuse(.unknownTimeZone, path, error.detail)
            return nil
        }
    }

    // MARK: Triggers

    private mutating func sources(zone: ZoneRules) -> (sources: [ScheduleSource], isOneShot: Bool) {
        switch self.definition.trigger {
        case .cron(let texts):
            guard (1...Limits.expressions).contains(texts.count) else {
                self.refuse(.tooMany, "cron", "A schedule has 1 to \(Limits.expressions) expressions.")
                return ([], false)
            }
            let sources = texts.enumerated().compactMap {
                self.source($0.element, zone: zone, path: "cron/\($0.offset)")
            }
            if sources.count == 1, case .point = sources[0] { return (sources, true) }
            return (sources, false)
        case .every(let interval, let anchor):
            return (self.source(interval, anchor: anchor, zone: zone).map { [$0] } ?? [], false)
        case .at(let instants):
            guard (1...Limits.instants).contains(instants.count) else {
                self.refuse(.tooMany, "at", "A schedule has 1 to \(Limits.instants) instants.")
                return ([], false)
            }
            for (index, instant) in instants.enumerated() where !Self.instants.contains(Int(instant.milliseconds)) {
                self.refuse(.valueOutOfRange, "at/\(index)", "Times must lie in the years 1970 to 2200.")
                return ([], false)
            }
            let list = Set(instants.map { Int($0.milliseconds) }).sorted()
            return ([.list(list)], list.count == 1)
        }
    }

    private mutating func source(_ text: String, zone: ZoneRules, path: String) -> ScheduleSource? {
        let seed = self.definition.seed ?? self.uid.hex
        let expression: CronExpression
        do {
            if let cache {
                expression = try cache.expression(text, seed: seed, zones: self.zones)
            } else {
                expression = try CronExpression.parse(text, seed: seed, zones: self.zones)
            }
        } catch {
            self.problems.append(ScheduleError(error, path: path))
            return nil
        }
        var zone = zone
        if let name = expression.zoneName {
            if self.definition.timeZone != "UTC", self.definition.timeZone != name {
                self.refuse(
                    .timeZoneConflict, path,
                    "The expression says \(name), the schedule \(self.definition.timeZone); remove one of them.")
                return nil
            }
            guard let prefixed = self.rules(name, path: path) else { return nil }
            self.prefixZones.insert(name)
            zone = prefixed
        }
        switch expression.body {
        case .calendar(let program):
            return .cron(program, self.search(zone, isWildcard: program.masks.isWildcard))
        case .interval(let seconds):
            return .grid(
                IntervalGrid(anchor: self.anchor(nil) * 1000, period: seconds * 1000, end: CivilTime.max * 1000))
        case .instant(let civil):
            return .point(CivilPoint(civil: civil), self.search(zone, isWildcard: false))
        }
    }

    private func search(_ zone: ZoneRules, isWildcard: Bool) -> ZoneSearch {
        if isWildcard { return ZoneSearch(zone: zone, isWildcard: true) }
        let mode: ZoneSearch.Mode =
            switch self.definition.overlap {
            case .first: .first
            case .second: .second
            case .both: .each
            }
        return ZoneSearch(zone: zone, mode: mode, makesUpGaps: self.definition.gap == .shift)
    }

    /// Whole seconds; an interval measures from its anchor, else from the start, else from the creation.
    private func anchor(_ given: WallInstant?) -> Int {
        (given ?? self.definition.startAt ?? self.createdAt).wholeSeconds
    }

    private mutating func source(
        _ interval: ScheduleDefinition.Interval, anchor: WallInstant?, zone: ZoneRules
    ) -> ScheduleSource? {
        let range = anchor ?? self.definition.startAt ?? self.createdAt
        guard Self.instants.contains(Int(range.milliseconds)) else {
            self.refuse(.valueOutOfRange, "anchor", "Times must lie in the years 1970 to 2200.")
            return nil
        }
        let civilAnchor = zone.civil(atSecond: self.anchor(anchor))
        let search = self.search(zone, isWildcard: false)
        switch interval {
        case .elapsed(let milliseconds):
            guard Limits.intervalMilliseconds.contains(milliseconds) else {
                self.refuse(.durationOutOfRange, "every", "An interval is from 1s to 3660d.")
                return nil
            }
            let start = anchor.map { Int($0.milliseconds) } ?? self.anchor(nil) * 1000
            return .grid(IntervalGrid(anchor: start, period: Int(milliseconds), end: CivilTime.max * 1000))
        case .civilDays(let days):
            guard Limits.civilDays.contains(days) else {
                self.refuse(.durationOutOfRange, "every", "An interval in days is from 1d to 3660d.")
                return nil
            }
            return .days(CivilDays(anchor: civilAnchor, days: days), search)
        case .civilMonths(let months):
            guard Limits.civilMonths.contains(months) else {
                self.refuse(.durationOutOfRange, "every", "An interval in months is from 1mo to 1200mo.")
                return nil
            }
            return .months(CivilMonths(anchor: civilAnchor, months: months), search)
        }
    }

    // MARK: Exclusions

    private mutating func exclusions(zone: ZoneRules) -> ExclusionRules? {
        if self.definition.exclusions.isEmpty { return nil }
        guard self.definition.exclusions.count <= Limits.exclusions else {
            self.refuse(.tooMany, "exclusions", "A schedule has at most \(Limits.exclusions) exclusions.")
            return nil
        }
        var days: [ExclusionRules.DayRange] = []
        var windows: [WeeklyWindow] = []
        var patterns: [ExclusionRules.Pattern] = []
        for (index, exclusion) in self.definition.exclusions.enumerated() {
            let path = "exclusions/\(index)"
            switch exclusion {
            case .date(let date):
                days.append(ExclusionRules.DayRange(first: date.dayNumber, last: date.dayNumber))
            case .dates(let from, let through):
                if from > through {
                    self.refuse(.badExclusion, path, "The range \(from) to \(through) ends before it begins.")
                } else {
                    days.append(ExclusionRules.DayRange(first: from.dayNumber, last: through.dayNumber))
                }
            case .weekly(let window):
                if window.weekdays.isEmpty || !(0..<86_400).contains(window.fromSecond)
                    || !(0...86_400).contains(window.toSecond)
                {
                    self.refuse(
                        .badExclusion, path, "A weekly window needs a weekday and times from 00:00 to 24:00.")
                } else {
                    windows.append(window)
                }
            case .cron(let text):
                if let pattern = self.pattern(text, path: path) { patterns.append(pattern) }
            case .calendar(let name):
                if let dates = self.calendars[name] {
                    days += dates.map { ExclusionRules.DayRange(first: $0.dayNumber, last: $0.dayNumber) }
                } else {
                    self.refuse(
                        .unknownCalendar, path, "There is no calendar '\(name)'; give its dates beside the name.")
                }
            case .list(_, let dates):
                if (1...HolidayCalendars.datesMax).contains(dates.count) {
                    days += dates.map { ExclusionRules.DayRange(first: $0.dayNumber, last: $0.dayNumber) }
                } else {
                    self.refuse(.badExclusion, path, "A calendar has 1 to \(HolidayCalendars.datesMax) dates.")
                }
            }
        }
        return ExclusionRules(zone: zone, days: days, windows: windows, patterns: patterns)
    }

    private mutating func pattern(_ text: String, path: String) -> ExclusionRules.Pattern? {
        do {
            let expression = try CronExpression.parse(
                text, seed: self.definition.seed ?? self.uid.hex, zones: self.zones)
            guard case .calendar(let program) = expression.body, expression.zoneName == nil else {
                self.refuse(.badExclusion, path, "An exclusion takes calendar fields without a time zone.")
                return nil
            }
            return ExclusionRules.Pattern(program: program, namesMinutes: expression.namesMinutes)
        } catch {
            self.problems.append(ScheduleError(error, path: path))
            return nil
        }
    }
}
