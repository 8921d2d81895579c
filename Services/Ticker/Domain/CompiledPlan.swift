package import EscapementModel
package import Scheduling

/// A compiled schedule with its misfire rule.
package final class CompiledPlan: OccurrencePlan {
    private let schedule: CompiledSchedule
    private let rule: MisfireRule
    private let tellsNeighbours: Bool

    package init(schedule: CompiledSchedule, rule: MisfireRule, tellsNeighbours: Bool = false) {
        self.schedule = schedule
        self.rule = rule
        self.tellsNeighbours = tellsNeighbours
    }

    package func depends(on zones: Set<String>) -> Bool { self.schedule.zoneNames.contains { zones.contains($0) } }

    package func next(after due: WallInstant) -> Occurrence? { self.schedule.next(after: due) }

    package func neighbours(of occurrence: Occurrence) -> OccurrenceNeighbours? {
        guard self.tellsNeighbours else { return nil }
        return self.schedule.neighbours(of: occurrence)
    }

    /// The rule of cron-semantics: late by no more than the tolerance is on time; older than the window is
    /// skipped; between them the policy decides. Memoryless: it looks at what is unsettled and at `now`,
    /// so a new owner goes on where the old one stopped.
    package func decision(on occurrence: Occurrence, now: WallInstant) -> LateDecision {
        let toleranceStart = now.advanced(by: .milliseconds(-self.rule.toleranceMilliseconds))
        guard occurrence.due < toleranceStart, !self.schedule.isOneShot else { return .fire(caughtUp: false) }
        let windowStart = now.advanced(by: .milliseconds(-self.rule.windowMilliseconds))
        let beforeWindow = windowStart.advanced(by: .milliseconds(-1))
        if let expired = self.run(from: occurrence, dueThrough: beforeWindow) {
            return .skip(expired, reason: .catchupWindow)
        }
        let beforeTolerance = toleranceStart.advanced(by: .milliseconds(-1))
        guard let missed = self.run(from: occurrence, dueThrough: beforeTolerance) else {
            return .fire(caughtUp: true)
        }
        switch self.rule.policy {
        case .skip:
            return .skip(missed, reason: .catchupWindow)
        case .latest:
            if missed.count == 1 { return .fire(caughtUp: true) }
            return self.allBut(newest: 1, of: missed, from: occurrence, reason: .coalesced)
        case .all:
            if Int(missed.count) <= self.rule.limit { return .fire(caughtUp: true) }
            return self.allBut(newest: self.rule.limit, of: missed, from: occurrence, reason: .catchupLimit)
        }
    }

    package func run(from first: Occurrence, dueThrough due: WallInstant) -> SkippedRun? {
        guard due >= first.due else { return nil }
        let last = self.schedule.previous(before: due.advanced(by: .milliseconds(1))) ?? first
        guard last.due >= first.due else { return nil }
        return SkippedRun(last: last, count: self.count(from: first, through: last))
    }

    private func allBut(newest kept: Int, of missed: SkippedRun, from first: Occurrence, reason: Reason) -> LateDecision
    {
        var last = missed.last
        for _ in 0..<kept {
            guard let previous = self.schedule.previous(before: last.due) else { break }
            last = previous
        }
        return .skip(SkippedRun(last: last, count: missed.count - UInt32(kept)), reason: reason)
    }

    private func count(from first: Occurrence, through last: Occurrence) -> UInt32 {
        UInt32(
            clamping: self.schedule.count(
                after: first.due.advanced(by: .milliseconds(-1)), through: last.due))
    }
}
