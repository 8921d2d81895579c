package import EscapementModel

/// Which schedules of a namespace are asked for.
package struct ScheduleFilter: Hashable, Sendable {
    package enum State: String, Hashable, Sendable, CaseIterable {
        case active
        case paused
    }

    /// Only names that hold this text.
    package var containing: String?
    /// All of these must hold.
    package var labels: [LabelRequirement]
    /// As of `at`.
    package var state: State?
    package var at: WallInstant

    package init(
        containing: String? = nil, labels: [LabelRequirement] = [], state: State? = nil,
        at: WallInstant = .distantPast
    ) {
        self.containing = containing
        self.labels = labels
        self.state = state
        self.at = at
    }

    package func admits(_ schedule: StoredSchedule) -> Bool {
        let isNamed = self.containing.map { $0.isEmpty || schedule.name.contains($0) } ?? true
        let hasState = self.state.map { ($0 == .paused) == schedule.isPaused(at: self.at) } ?? true
        return isNamed && hasState && self.labels.allSatisfy { $0.holds(schedule.body.labels) }
    }
}

/// One part of a label selector, as of Kubernetes: `team=billing`, `tier in (gold,silver)`, `!legacy`.
package enum LabelRequirement: Hashable, Sendable {
    /// One value for equality, several for `in`.
    case isOneOf(name: String, values: [String])
    /// Holds too when there is no such label.
    case isNoneOf(name: String, values: [String])
    case exists(name: String)
    case isAbsent(name: String)

    package func holds(_ labels: [String: String]) -> Bool {
        switch self {
        case .isOneOf(let name, let values): labels[name].map { values.contains($0) } ?? false
        case .isNoneOf(let name, let values): !(labels[name].map { values.contains($0) } ?? false)
        case .exists(let name): labels[name] != nil
        case .isAbsent(let name): labels[name] == nil
        }
    }
}
