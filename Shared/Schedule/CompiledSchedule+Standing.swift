package import EscapementModel

extension CompiledSchedule {
    /// What a clock change did to an occurrence, for previews.
    package enum ClockChange: Hashable, Sendable {
        /// The civil time does not exist that day; the occurrence stands at the end of the gap.
        case shifted(skippedTime: String)
        /// The civil time happens twice that day; this is the first or a later pass.
        case repeated(isFirst: Bool)

        /// `dst-gap-shifted`, `dst-overlap-first`, `dst-overlap-second`.
        package var note: String {
            switch self {
            case .shifted: "dst-gap-shifted"
            case .repeated(let isFirst): isFirst ? "dst-overlap-first" : "dst-overlap-second"
            }
        }
    }

    /// The clock change that touches an occurrence at the scheduled time `instant`, `nil` on ordinary days.
    package func clockChange(at instant: WallInstant) -> ClockChange? {
        let second = instant.wholeSeconds
        for source in self.sources {
            guard case .cron(let program, let search) = source,
                search.next(program, after: second - 1) == second
            else { continue }
            let period = search.zone.periods[search.zone.index(at: second)]
            let civil = second + period.offset
            if !program.contains(civil) {
                return program.last(through: civil).map { .shifted(skippedTime: CivilTime.text($0)) }
            }
            if case .overlap(let instants) = search.zone.resolution(ofCivil: civil) {
                return .repeated(isFirst: instants[0] == second)
            }
        }
        return nil
    }

    /// How an instant stands to the schedule, for explanations.
    package enum Standing: Hashable, Sendable {
        /// It is the scheduled time of this occurrence.
        case occurrence(Occurrence)
        /// Before `startAt`, or before the schedule was created.
        case beforeStart
        /// At or after `endAt`, or beyond the limit.
        case afterEnd
        /// The trigger names it, an exclusion removes it.
        case excluded
        /// The trigger names a civil time that the clock jumped over here.
        case clockGap
        /// The trigger does not name it.
        case notDue
    }

    /// How `instant` stands to the schedule.
    package func standing(of instant: WallInstant) -> Standing {
        let milliseconds = Int(instant.milliseconds)
        let isNamed = self.sources.contains { $0.next(after: milliseconds - 1) == milliseconds }
        guard isNamed else { return self.isInGap(instant.wholeSeconds) ? .clockGap : .notDue }
        if milliseconds < self.first { return .beforeStart }
        if milliseconds > self.last { return .afterEnd }
        if self.exclusions?.stretch(around: ScheduleSource.floor(milliseconds)) != nil { return .excluded }
        return .occurrence(self.occurrence(milliseconds))
    }

    /// Whether a fixed or wildcard source lost a civil time to a gap that ends at `second`.
    private func isInGap(_ second: Int) -> Bool {
        self.sources.contains { source in
            guard case .cron(let program, let search) = source else { return false }
            let periods = search.zone.periods
            let index = search.zone.index(at: second)
            guard index > 0, periods[index].start == second else { return false }
            return program.count(from: second + periods[index - 1].offset, to: second + periods[index].offset) > 0
        }
    }

    /// The first occurrence after `now` that a new compilation of the same definition moves, for the log
    /// line after a reload of the time-zone data; `nil` when the next `count` stay.
    package func firstMove(
        to new: CompiledSchedule, after now: WallInstant, count: Int = 100
    ) -> (before: Occurrence?, after: Occurrence?)? {
        var position = now
        for _ in 0..<count {
            let before = self.next(after: position)
            let after = new.next(after: position)
            if before != after { return (before, after) }
            guard let before else { return nil }
            position = before.due
        }
        return nil
    }
}
