package import EscapementModel

/// What keeps a dispatcher from doing a lane's work.
package enum LaneTrouble: Hashable, Sendable {
    /// An attempt at the takeover or a publish failed, or the lane was lost.
    case failed
    /// The lane stands until people decide: no other dispatcher could do more.
    case halted
    /// The lane's fires wait for a topic that is led by a broker which does not answer this process.
    case leaderOutOfReach
}

/// Since when a dispatcher cannot do a lane's work, for the word to the leader.
package struct LaneTroubles: Sendable {
    /// Such a broker may lead some partitions of a topic and not others, whose fires come through between two failures:
    /// only a pause of this length ends the trouble.
    package static let outOfReachCalm = Duration.seconds(30)

    private var failingSince: MonotonicInstant?
    private var outOfReach: (since: MonotonicInstant, lastAt: MonotonicInstant)?

    package init() {}

    package mutating func add(_ trouble: LaneTrouble, now: MonotonicInstant) {
        switch trouble {
        case .failed: self.failingSince = self.failingSince ?? now
        case .halted: self = LaneTroubles()
        case .leaderOutOfReach:
            let isNew = self.outOfReach.map { now.duration(since: $0.lastAt) >= Self.outOfReachCalm } ?? true
            self.outOfReach = (isNew ? now : self.outOfReach?.since ?? now, now)
        }
    }

    /// A publish succeeded.
    package mutating func published() { self.failingSince = nil }

    /// Whether one of them has lasted for `duration`, and goes on.
    package func last(for duration: Duration, now: MonotonicInstant) -> Bool {
        if let failingSince, now.duration(since: failingSince) >= duration { return true }
        guard let outOfReach, now.duration(since: outOfReach.lastAt) < Self.outOfReachCalm else { return false }
        // From one look to another: a single one may have met a leader that was about to change.
        return outOfReach.lastAt.duration(since: outOfReach.since) >= duration
    }
}
