package import EscapementModel

/// Which owners of lanes this ticker cannot reach, and when the leader has to hear of it.
///
/// One that is away for `reportAfter` is reported: a restart of a dispatcher is over sooner, and what the leader sees
/// for itself it needs no word of. The leader is told the whole list whenever it has changed, and each new leader once,
/// unless there is nothing to tell.
package struct DispatcherReach: Equatable, Sendable {
    package static let reportAfter = Duration.seconds(1)

    /// The owners that are not linked, and since when.
    private var away: [Incarnation: MonotonicInstant] = [:]
    private var owners: Set<Incarnation> = []
    /// What the present leader knows.
    private var told: [Incarnation] = []

    package init() {}

    /// Whether all owners are linked and the leader knows of nothing else; cheap enough to ask at every turn.
    package var isWhole: Bool { self.away.isEmpty && self.told.isEmpty }

    /// A view of the lanes names these owners. One that is new is away until its link is up.
    package mutating func follow(_ owners: Set<Incarnation>, linked: Set<Incarnation>, now: MonotonicInstant) {
        for owner in owners.subtracting(self.owners).subtracting(linked) { self.away[owner] = now }
        self.away = self.away.filter { owners.contains($0.key) }
        self.owners = owners
    }

    /// The link to a dispatcher is up.
    package mutating func linked(_ dispatcher: Incarnation) { self.away[dispatcher] = nil }

    /// The link is gone.
    package mutating func lost(_ dispatcher: Incarnation, now: MonotonicInstant) {
        guard self.owners.contains(dispatcher), self.away[dispatcher] == nil else { return }
        self.away[dispatcher] = now
    }

    /// There is another leader, or a new link to the same: it knows nothing.
    package mutating func leaderChanged() { self.told = [] }

    /// The owners that are out of reach now, in order.
    package func outOfReach(now: MonotonicInstant) -> [Incarnation] {
        self.away.filter { now.duration(since: $0.value) >= Self.reportAfter }.map(\.key).sorted()
    }

    /// What the leader is to be told now; `nil` when it knows.
    package mutating func news(now: MonotonicInstant) -> [Incarnation]? {
        let list = self.outOfReach(now: now)
        guard list != self.told else { return nil }
        self.told = list
        return list
    }
}
