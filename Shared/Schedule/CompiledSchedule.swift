package import EscapementModel

/// A definition made ready to answer "when next?": pure arithmetic, no IO, no allocation a question.
///
/// Occurrences are the union of the trigger's instants, without the excluded ones, from the creation
/// (or `startAt`) to `endAt` and within `limit`. All doors speak of due times: the due time is the
/// scheduled time plus the jitter and stays before the next scheduled time, so both have one order.
package struct CompiledSchedule: Sendable {
    let sources: [ScheduleSource]
    let exclusions: ExclusionRules?
    /// Bounds of the scheduled time in milliseconds, both included.
    let first: Int
    private(set) var last: Int
    let jitter: Int
    private let jitterSeed: UInt64
    /// The zone of civil dates and texts.
    package let zone: ZoneRules
    /// Names of all zones the schedule depends on, sorted.
    package let zoneNames: [String]
    /// A single instant: it has no misfire window and is fired however late.
    package let isOneShot: Bool
    package let definition: ScheduleDefinition

    /// Excluded stretches passed over in one search before the schedule is taken to be exhausted.
    static let skipsMax = 200_000

    /// Compiles a definition.
    ///
    /// - Parameters:
    ///   - uid: the schedule; `H` and jitter are drawn from it.
    ///   - createdAt: when this version came into force. There is no occurrence before it.
    ///   - cache: shares equal programs between schedules.
    /// - Throws: the first problem found. A schedule whose occurrences are all past compiles.
    package init(
        _ definition: ScheduleDefinition, uid: UID, createdAt: WallInstant, zones: ZoneDatabase,
        calendars: HolidayCalendars = .none, cache: ProgramCache? = nil
    ) throws(ScheduleError) {
        var compiler = ScheduleCompiler(
            definition: definition, uid: uid, createdAt: createdAt, zones: zones, calendars: calendars, cache: cache)
        let parts = compiler.compile()
        if let problem = compiler.problems.first { throw problem }
        self.init(parts, definition: definition, uid: uid)
    }

    init(_ parts: ScheduleCompiler.Parts, definition: ScheduleDefinition, uid: UID) {
        self.sources = parts.sources
        self.exclusions = parts.exclusions
        self.first = parts.first
        self.last = parts.last
        self.jitter = Int(definition.jitterMilliseconds)
        self.jitterSeed = SpreadHash.finish(uid.high ^ SpreadHash.finish(uid.low))
        self.zone = parts.zone
        self.zoneNames = parts.zoneNames
        self.isOneShot = parts.isOneShot
        self.definition = definition
        if let limit = definition.limit { self.last = min(self.last, self.instant(number: limit) ?? .max) }
    }

    /// The least occurrence whose due time lies strictly after `due`, `nil` when the schedule is exhausted.
    package func next(after due: WallInstant) -> Occurrence? {
        let due = Int(due.milliseconds)
        if self.jitter > 0 {
            // The newest scheduled time may still be waiting for its due time.
            if due < .max, let waiting = self.scheduled(before: due + 1) {
                let occurrence = self.occurrence(waiting)
                if Int(occurrence.due.milliseconds) > due { return occurrence }
            }
        }
        return self.scheduled(after: due).map(self.occurrence)
    }

    /// The greatest occurrence whose due time lies strictly before `instant`.
    package func previous(before instant: WallInstant) -> Occurrence? {
        guard let scheduled = self.scheduled(before: Int(instant.milliseconds)) else { return nil }
        let occurrence = self.occurrence(scheduled)
        if occurrence.due < instant { return occurrence }
        return self.scheduled(before: scheduled).map(self.occurrence)
    }

    /// Up to `count` occurrences due after `after`, in order.
    package func upcoming(after: WallInstant, count: Int) -> [Occurrence] {
        var found: [Occurrence] = []
        var position = after
        while found.count < count, let occurrence = self.next(after: position) {
            found.append(occurrence)
            position = occurrence.due
        }
        return found
    }

    package func neighbours(of occurrence: Occurrence) -> OccurrenceNeighbours {
        OccurrenceNeighbours(
            previous: self.previous(before: occurrence.due)?.scheduled,
            next: self.next(after: occurrence.due)?.scheduled)
    }

    /// Counts saturate here when occurrences have to be looked at one by one (unions and exclusions).
    package static let countMax = 1_000_000

    /// How many occurrences are due after `after` and not after `through`.
    ///
    /// Not enumerated for a single trigger without exclusions; otherwise one search each, up to `countMax`.
    package func count(after: WallInstant, through: WallInstant) -> Int {
        if after >= through { return 0 }
        var count = self.scheduledCount(after: Int(after.milliseconds), through: Int(through.milliseconds))
        if self.jitter > 0 {
            func isWaiting(at instant: WallInstant) -> Bool {
                guard instant < .distantFuture, let newest = self.scheduled(before: Int(instant.milliseconds) + 1)
                else {
                    return false
                }
                return self.occurrence(newest).due > instant
            }
            if isWaiting(at: after) { count += 1 }
            if isWaiting(at: through) { count -= 1 }
        }
        return count
    }

    /// Whether nothing is due after `now`.
    package func isExhausted(at now: WallInstant) -> Bool { self.next(after: now) == nil }

    // MARK: Scheduled times

    func occurrence(_ scheduled: Int) -> Occurrence {
        let instant = WallInstant(milliseconds: Int64(scheduled))
        if self.jitter == 0 { return Occurrence(scheduled: instant, due: instant) }
        let hash = SpreadHash.finish(self.jitterSeed ^ UInt64(bitPattern: Int64(scheduled)) &* 0x9e37_79b9_7f4a_7c15)
        var delay = Int(hash % UInt64(self.jitter + 1))
        if delay > 0, let next = self.scheduled(after: scheduled) { delay = min(delay, next - scheduled - 1) }
        return Occurrence(scheduled: instant, due: WallInstant(milliseconds: Int64(scheduled + delay)))
    }

    /// The least scheduled time after `instant`.
    func scheduled(after instant: Int) -> Int? {
        if instant >= self.last { return nil }
        var position = max(instant, self.first - 1)
        if self.exclusions == nil {
            guard let found = self.union(after: position), found <= self.last else { return nil }
            return found
        }
        for _ in 0..<Self.skipsMax {
            guard let found = self.union(after: position), found <= self.last else { return nil }
            guard let stretch = self.exclusions?.stretch(around: ScheduleSource.floor(found)) else { return found }
            position = stretch.last * 1000 + 999
        }
        return nil
    }

    /// The greatest scheduled time before `instant`.
    func scheduled(before instant: Int) -> Int? {
        if instant <= self.first { return nil }
        var position = self.last == .max ? instant : min(instant, self.last + 1)
        for _ in 0..<Self.skipsMax {
            guard let found = self.union(before: position), found >= self.first else { return nil }
            guard let stretch = self.exclusions?.stretch(around: ScheduleSource.floor(found)) else { return found }
            position = stretch.first * 1000
        }
        return nil
    }

    private func union(after instant: Int) -> Int? {
        if self.sources.count == 1 { return self.sources[0].next(after: instant) }
        var least = Int.max
        for source in self.sources {
            if let found = source.next(after: instant), found < least { least = found }
        }
        return least == .max ? nil : least
    }

    private func union(before instant: Int) -> Int? {
        var greatest = Int.min
        for source in self.sources {
            if let found = source.previous(before: instant), found > greatest { greatest = found }
        }
        return greatest == .min ? nil : greatest
    }

    private func scheduledCount(after: Int, through: Int) -> Int {
        let after = max(after, self.first - 1)
        let through = min(through, self.last)
        if after >= through { return 0 }
        if self.sources.count == 1, self.exclusions == nil {
            return self.sources[0].count(after: after, through: through)
        }
        var count = 0
        var position = after
        while count < Self.countMax, let found = self.scheduled(after: position), found <= through {
            count += 1
            position = found
        }
        return count
    }

    /// The scheduled time of the `number`th occurrence, counted from 1.
    private func instant(number: Int) -> Int? {
        if self.exclusions == nil, self.sources.count == 1, case .grid(let grid) = self.sources[0] {
            return grid.next(after: self.first - 1).map { $0 + (number - 1) * grid.period }
        }
        var position = self.first - 1
        for _ in 0..<number {
            guard let found = self.scheduled(after: position) else { return nil }
            position = found
        }
        return position
    }
}
