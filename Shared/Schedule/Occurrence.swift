package import EscapementModel

/// One time a schedule names. The scheduled time is its identity; it becomes due then or up to the
/// jitter later, never earlier and always before the next one's scheduled time.
package struct Occurrence: Hashable, Comparable, Sendable {
    package var scheduled: WallInstant
    package var due: WallInstant

    package init(scheduled: WallInstant, due: WallInstant) {
        self.scheduled = scheduled
        self.due = due
    }

    package static func < (left: Occurrence, right: Occurrence) -> Bool { left.scheduled < right.scheduled }
}
