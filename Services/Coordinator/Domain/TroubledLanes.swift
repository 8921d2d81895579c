package import EscapementModel

/// Which dispatchers cannot publish which lanes, by their own word.
///
/// A dispatcher may reach most brokers and not the one that leads a lane's journal, or not be let in by it: such a
/// lane belongs to a dispatcher that is. Whoever had it and could not publish it is barred from it for
/// `barredFor` after its last word, so that a lane that nobody can publish visits each dispatcher once in that time,
/// and one that only some can does not come back to the others with the next move for balance.
package struct TroubledLanes: Equatable, Sendable {
    private struct Case: Hashable {
        var lane: UInt16
        var dispatcher: Incarnation
    }

    package static let barredFor = Duration.seconds(300)

    /// When each was last said.
    private var saidAt: [Case: MonotonicInstant] = [:]

    package init() {}

    /// Takes the word of a lane's owner.
    package mutating func report(_ lane: UInt16, isTroubled: Bool, by dispatcher: Incarnation, now: MonotonicInstant) {
        self.saidAt[Case(lane: lane, dispatcher: dispatcher)] = isTroubled ? now : nil
    }

    /// The member is no more.
    package mutating func forget(_ member: Incarnation) {
        self.saidAt = self.saidAt.filter { $0.key.dispatcher != member }
    }

    /// Forgets what was said too long ago.
    package mutating func expire(now: MonotonicInstant) {
        self.saidAt = self.saidAt.filter { now.duration(since: $0.value) < Self.barredFor }
    }

    /// The dispatchers that could not publish the lane when they last had it.
    package func barred(from lane: UInt16) -> Set<Incarnation> {
        Set(self.saidAt.keys.filter { $0.lane == lane }.map(\.dispatcher))
    }

    package var isEmpty: Bool { self.saidAt.isEmpty }
}
