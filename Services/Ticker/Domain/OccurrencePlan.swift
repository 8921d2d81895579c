package import EscapementModel
package import Scheduling

/// When a schedule fires and what becomes of late occurrences: all that the firing machine asks of
/// the calendar. Answered by `CompiledPlan`; tests answer it with lists. An object, so that many schedules can
/// share one, and a schedule holds two words of it.
package protocol OccurrencePlan: AnyObject, Sendable {
    /// The earliest occurrence due strictly after `due`; `nil` when there is none.
    func next(after due: WallInstant) -> Occurrence?
    /// What to do with `occurrence`, the earliest that is not settled, at `now`.
    func decision(on occurrence: Occurrence, now: WallInstant) -> LateDecision
    /// The last occurrence due at or before `due`, and how many lie from `first` to it; `nil` when it
    /// would lie before `first`.
    func run(from first: Occurrence, dueThrough due: WallInstant) -> SkippedRun?
    /// The occurrences before and after, for a schedule whose fires tell them; `nil` for any other.
    func neighbours(of occurrence: Occurrence) -> OccurrenceNeighbours?
    /// Whether the rules of one of these time zones have a say in it.
    func depends(on zones: Set<String>) -> Bool
}

extension OccurrencePlan {
    package func neighbours(of occurrence: Occurrence) -> OccurrenceNeighbours? { nil }
    package func depends(on zones: Set<String>) -> Bool { false }
}

/// Neighbouring occurrences that are settled as skipped together.
package struct SkippedRun: Hashable, Sendable {
    package var last: Occurrence
    package var count: UInt32

    package init(last: Occurrence, count: UInt32) {
        self.last = last
        self.count = count
    }
}

/// What becomes of the earliest unsettled occurrence.
package enum LateDecision: Hashable, Sendable {
    case fire(caughtUp: Bool)
    case skip(SkippedRun, reason: Reason)
}
