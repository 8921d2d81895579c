/// What to do about occurrences that could not be fired in time.
///
/// Lateness is the clock minus the due time when the occurrence is first considered. Up to the
/// tolerance it is on time, up to the window it is missed and the policy decides, beyond it is expired.
package struct MisfireRule: Hashable, Sendable {
    package enum Policy: UInt8, Hashable, Sendable, CaseIterable {
        /// Fire the newest missed occurrence; it carries the number of older ones.
        case latest = 0
        /// Fire every missed occurrence, the newest `limit` of them.
        case all = 1
        /// Fire none of them.
        case skip = 2
    }

    package var policy: Policy
    /// 0 to 1 hour.
    package var toleranceMilliseconds: Int64
    /// At least the tolerance, up to 366 days.
    package var windowMilliseconds: Int64
    /// For the policy `all`; 1 to 10 000.
    package var limit: Int

    package init(
        policy: Policy = .latest, toleranceMilliseconds: Int64 = 60_000, windowMilliseconds: Int64 = 3_600_000,
        limit: Int = 100
    ) {
        self.policy = policy
        self.toleranceMilliseconds = toleranceMilliseconds
        self.windowMilliseconds = windowMilliseconds
        self.limit = limit
    }

    package static let toleranceRange: ClosedRange<Int64> = 0...3_600_000
    package static let windowMax: Int64 = 366 * 86_400_000
    package static let limitRange = 1...10_000

    /// All that is wrong with the rule; empty when it can be used.
    package func validate() -> [ScheduleError] {
        var problems: [ScheduleError] = []
        if !Self.toleranceRange.contains(self.toleranceMilliseconds) {
            problems.append(
                ScheduleError(
                    .valueOutOfRange, path: "misfire/tolerance", "The misfire tolerance must be from 0s to 1h."))
        }
        if self.windowMilliseconds > Self.windowMax || self.windowMilliseconds < self.toleranceMilliseconds {
            problems.append(
                ScheduleError(
                    .valueOutOfRange, path: "misfire/window",
                    "The misfire window must be at least the tolerance and at most 366d."))
        }
        if !Self.limitRange.contains(self.limit) {
            problems.append(
                ScheduleError(.valueOutOfRange, path: "misfire/limit", "The misfire limit must be from 1 to 10000."))
        }
        return problems
    }
}
