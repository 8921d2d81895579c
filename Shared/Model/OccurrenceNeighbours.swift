/// The scheduled times before and after an occurrence, as the rules of its schedule name them: whether those fired is
/// another matter. `nil` where there is none.
package struct OccurrenceNeighbours: Hashable, Sendable {
    package var previous: WallInstant?
    package var next: WallInstant?

    package init(previous: WallInstant?, next: WallInstant?) {
        self.previous = previous
        self.next = next
    }
}
