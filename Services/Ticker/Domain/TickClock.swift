package import EscapementModel

/// The time by which a ticker fires: wall time, made monotonic, and not taken from a clock that has jumped ahead until
/// the leader says the same.
///
/// A backward step: time stands still until the wall clock has caught up, and nothing fires again. A forward step of more
/// than `stepMax` may be a wrong clock, and a fire that left early cannot be taken back: time goes on at its old pace, by the
/// monotonic clock, for `judgementAfter` or as long as the leader's clock contradicts the wall clock. Without a leader
/// the wall clock is believed after that; dispatchers still refuse what is ahead of their own clocks.
package struct TickClock: Sendable {
    /// What has to be said of a step.
    package enum Note: Hashable, Sendable {
        /// The wall clock jumped ahead by so much; the old pace is kept.
        case held(Duration)
        /// The leader's clock contradicts: the old pace is kept for as long as it does.
        case contradicted(Duration)
        /// The wall clock is believed again.
        case released
    }

    /// A step ahead by more may be a wrong clock; a smaller one fires at most this early.
    package static let stepMax = Duration.seconds(2)
    /// How long the old pace is kept at least. The leader answers twice a second.
    package static let judgementAfter = Duration.seconds(3)
    /// Clocks that differ by no more agree.
    package static let agreementMax = Duration.milliseconds(500)

    private struct Held {
        /// How far the wall clock is ahead of what is believed.
        var skew: Duration
        var since: MonotonicInstant
        var isContradicted = false
    }

    /// Never decreases.
    package private(set) var now: WallInstant
    private var lastWall: WallInstant
    private var lastMonotonic: MonotonicInstant
    private var held: Held?
    /// The leader's clock, and when it was heard.
    private var witness: (wall: WallInstant, at: MonotonicInstant)?

    package init(wall: WallInstant, monotonic: MonotonicInstant) {
        self.now = wall
        self.lastWall = wall
        self.lastMonotonic = monotonic
    }

    /// The leader said what time it is.
    package mutating func heard(_ wall: WallInstant, at monotonic: MonotonicInstant) {
        self.witness = (wall, monotonic)
    }

    /// Both clocks were read.
    ///
    /// - Returns: what is new about a step.
    package mutating func read(wall: WallInstant, monotonic: MonotonicInstant) -> Note? {
        let step = wall.duration(since: self.lastWall) - monotonic.duration(since: self.lastMonotonic)
        self.lastWall = wall
        self.lastMonotonic = monotonic
        let note = self.judge(step, wall, monotonic)
        self.now = max(self.now, wall.advanced(by: .zero - (self.held?.skew ?? .zero)))
        return note
    }

    private mutating func judge(_ step: Duration, _ wall: WallInstant, _ monotonic: MonotonicInstant) -> Note? {
        guard var held = self.held else {
            guard step > Self.stepMax else { return nil }
            self.held = Held(skew: step, since: monotonic)
            return .held(step)
        }
        // Stepped again, or back.
        if step > Self.stepMax || step < .zero - Self.agreementMax {
            held.skew += step
            held.since = monotonic
            held.isContradicted = false
        }
        self.held = held
        guard held.skew > Self.agreementMax else { return self.release() }
        guard monotonic.duration(since: held.since) >= Self.judgementAfter else { return nil }
        guard let witness, witness.at > held.since else {
            // Contradicted once, it stays so until a leader says otherwise.
            return held.isContradicted ? nil : self.release()
        }
        let expected = witness.wall.advanced(by: monotonic.duration(since: witness.at))
        let difference = wall.duration(since: expected)
        if difference <= Self.agreementMax, difference >= .zero - Self.agreementMax { return self.release() }
        if held.isContradicted { return nil }
        self.held?.isContradicted = true
        return .contradicted(difference)
    }

    private mutating func release() -> Note {
        self.held = nil
        return .released
    }

    /// What the wall clock shows when this clock will show `instant`.
    package func wall(at instant: WallInstant) -> WallInstant {
        guard let held else { return instant }
        return instant.advanced(by: held.skew)
    }
}
