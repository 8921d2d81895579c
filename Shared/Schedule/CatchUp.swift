package import EscapementModel

/// What becomes of the occurrences between a watermark and now: a pure function of the schedule, the
/// watermark, the clock and the misfire rule (sections 12.3 to 12.6 of the dialect).
///
/// Nothing is dropped without a record, and the record is bounded however long the outage was: skipped
/// occurrences are told as ranges with a count.
package enum CatchUp {
    /// Why occurrences were not fired.
    package enum Reason: UInt8, Hashable, Sendable, CaseIterable {
        /// They were later than the window, or later than the tolerance under the policy `skip`.
        case catchupWindow = 0
        /// There were more than the policy `all` may fire.
        case catchupLimit = 1
        /// A newer one was fired in their stead (policy `latest`).
        case coalesced = 2

        /// As interfaces write it: `CATCHUP_WINDOW`.
        package var name: String {
            switch self {
            case .catchupWindow: "CATCHUP_WINDOW"
            case .catchupLimit: "CATCHUP_LIMIT"
            case .coalesced: "COALESCED"
            }
        }
    }

    /// What happens to one occurrence, or to a run of skipped ones.
    package enum Settlement: Hashable, Sendable {
        /// Fire it under its own scheduled time. `skippedBefore` counts the missed ones it stands for.
        case fire(Occurrence, skippedBefore: Int)
        /// All occurrences from `from` through `through` are skipped; counts above
        /// `CompiledSchedule.countMax` may be too low for unions and exclusions.
        case skip(from: Occurrence, through: Occurrence, count: Int, reason: Reason)
    }

    /// Settles every occurrence due after `watermark` and not after `now`, in order of due time.
    ///
    /// At most three ranges and, besides the on-time ones, `rule.limit` fires; an hour's tolerance holds
    /// at most 3 601 on-time occurrences of a cron expression. Does not pace: the caller fires as fast
    /// as its credit lets it.
    ///
    /// - Parameter rule: validated.
    package static func settlements(
        of schedule: CompiledSchedule, after watermark: WallInstant, now: WallInstant, rule: MisfireRule
    ) -> [Settlement] {
        guard watermark < now, let oldest = schedule.next(after: watermark), oldest.due <= now else { return [] }
        if schedule.isOneShot { return [.fire(oldest, skippedBefore: 0)] }
        var settlements: [Settlement] = []
        // An occurrence is expired before `missedFrom`, missed before `onTimeFrom`, else on time.
        let missedFrom = now.advanced(by: .zero - .milliseconds(rule.windowMilliseconds))
        let onTimeFrom = now.advanced(by: .zero - .milliseconds(rule.toleranceMilliseconds))
        var position = watermark
        if oldest.due < missedFrom, let newest = schedule.previous(before: missedFrom) {
            settlements.append(
                self.skip(schedule, after: position, through: newest, from: oldest, reason: .catchupWindow))
            position = newest.due
        }
        if let first = schedule.next(after: position), first.due < onTimeFrom,
            let newest = schedule.previous(before: onTimeFrom)
        {
            settlements += self.missed(schedule, after: position, first: first, newest: newest, rule: rule)
            position = newest.due
        }
        while let occurrence = schedule.next(after: position), occurrence.due <= now {
            settlements.append(.fire(occurrence, skippedBefore: 0))
            position = occurrence.due
        }
        return settlements
    }

    /// What the policy says about the missed occurrences from `first` through `newest`.
    private static func missed(
        _ schedule: CompiledSchedule, after position: WallInstant, first: Occurrence, newest: Occurrence,
        rule: MisfireRule
    ) -> [Settlement] {
        switch rule.policy {
        case .skip:
            return [self.skip(schedule, after: position, through: newest, from: first, reason: .catchupWindow)]
        case .latest:
            guard first != newest, let older = schedule.previous(before: newest.due) else {
                return [.fire(newest, skippedBefore: 0)]
            }
            let skipped = self.skip(schedule, after: position, through: older, from: first, reason: .coalesced)
            guard case .skip(_, _, let count, _) = skipped else { return [skipped] }
            return [skipped, .fire(newest, skippedBefore: count)]
        case .all:
            var fired = [newest]
            while fired.count < rule.limit, let older = schedule.previous(before: fired[fired.count - 1].due),
                older.due > position
            {
                fired.append(older)
            }
            var settlements: [Settlement] = []
            if let older = schedule.previous(before: fired[fired.count - 1].due), older.due > position {
                settlements.append(
                    self.skip(schedule, after: position, through: older, from: first, reason: .catchupLimit))
            }
            return settlements + fired.reversed().map { .fire($0, skippedBefore: 0) }
        }
    }

    private static func skip(
        _ schedule: CompiledSchedule, after position: WallInstant, through newest: Occurrence, from first: Occurrence,
        reason: Reason
    ) -> Settlement {
        let count = schedule.count(after: position, through: newest.due)
        return .skip(from: first, through: newest, count: count, reason: reason)
    }
}
