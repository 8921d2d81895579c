package import EscapementModel

/// Who leads, by an observed-change lease on one row that holds an epoch and a beat. See docs/cluster.md.
///
/// A leader increases the beat every second. A standby that has seen the same (epoch, beat) for six
/// seconds of its own clock takes over by compare-and-set, which raises the epoch. No time is stored
/// anywhere, so no two clocks are ever compared. A process that starts where the holder ran does not wait.
///
/// Normal path: `watching` → `taking` → `leading`. Failure paths: a lost race goes back to `watching`;
/// a refused renewal, or four seconds without one, ends `leading`.
///
/// Invariants: between `lead` and `stepDown` no other action but `renew` appears; an epoch is led at most
/// once and without a gap, so whatever grows within an epoch never starts again; after `stop` there is nothing but
/// `release`.
package struct LeaderElection: Sendable {
    /// The row as a standby sees it.
    package struct Row: Hashable, Sendable {
        package var epoch: Epoch
        package var beat: UInt64
        package var holder: Incarnation?
        /// The holder accepted links where this process does now: it was an earlier run, and has ended.
        package var isHeldByPredecessor: Bool

        package init(epoch: Epoch, beat: UInt64, holder: Incarnation?, isHeldByPredecessor: Bool = false) {
            self.epoch = epoch
            self.beat = beat
            self.holder = holder
            self.isHeldByPredecessor = isHeldByPredecessor
        }
    }

    package enum State: Equatable, Sendable {
        /// Looking at the row; `since` is when this (epoch, beat) was first seen. Next: `taking`.
        case watching(seen: Row?, since: MonotonicInstant)
        /// The compare-and-set is on its way. Next: `leading` or `watching`.
        case taking(from: Row)
        /// Leading until `trustedUntil` unless renewed. Next: `watching`.
        case leading(Epoch, trustedUntil: MonotonicInstant)
        /// Over; nothing follows.
        case stopped
    }

    package enum Event: Equatable, Sendable {
        /// Time has passed.
        case tick
        case observed(Row)
        /// No answer to a look: what was seen before stays seen, and its time goes on.
        case observationFailed
        /// The takeover that was sent at `sentAt` succeeded.
        case took(Epoch, sentAt: MonotonicInstant)
        /// Somebody was quicker, or no answer came: look again.
        case takeFailed
        case renewed(Epoch, sentAt: MonotonicInstant)
        /// No answer to a renewal.
        case renewalFailed(Epoch)
        /// The row has moved on: somebody else leads.
        case deposed(Epoch)
        case stop
    }

    package enum Action: Equatable, Sendable {
        case observe
        case take(from: Row)
        case renew(Epoch)
        case lead(Epoch)
        case stepDown(Epoch, StepDownReason)
        case release(Epoch)
    }

    package enum StepDownReason: String, Equatable, Sendable {
        /// Another process has taken over.
        case deposed
        /// The lease could not be renewed in time.
        case unrenewed
        /// This process stops.
        case stopping
    }

    package private(set) var state: State
    /// Whether a takeover is on its way whose answer decides if there is something to give back.
    package private(set) var isTaking = false
    /// When `tick` is due next. A late tick is harmless, an early one does nothing.
    package private(set) var wakeAt: MonotonicInstant
    private let timing: ElectionTiming
    private let me: Incarnation
    /// A look, a takeover or a renewal whose answer is awaited: at most one at a time.
    private var isAwaitingAnswer = false
    private var hasSeenRow = false
    private var nextCallAt: MonotonicInstant

    package init(me: Incarnation, timing: ElectionTiming = ElectionTiming(), now: MonotonicInstant) {
        self.me = me
        self.timing = timing
        self.state = .watching(seen: nil, since: now)
        self.wakeAt = now
        self.nextCallAt = now
    }

    /// The epoch led at `now`; `nil` when not leading, also when the lease ran out a moment ago and no
    /// tick has noticed it yet.
    package func ledEpoch(at now: MonotonicInstant) -> Epoch? {
        guard case .leading(let epoch, let trustedUntil) = self.state, now < trustedUntil else { return nil }
        return epoch
    }

    /// Takes one event; returns what the shell has to do, in order. `generator` spreads the waits.
    package mutating func receive(
        _ event: Event, now: MonotonicInstant, using generator: inout some RandomNumberGenerator
    ) -> [Action] {
        var actions: [Action] = []
        switch event {
        case .tick: break
        case .stop: actions = self.stop()
        case .observed(let row):
            self.answered(now, every: self.timing.observeEvery, using: &generator)
            actions = self.see(row, at: now)
        case .observationFailed:
            self.answered(now, every: self.timing.observeEvery, using: &generator)
        case .took(let epoch, let sentAt):
            self.isTaking = false
            actions = self.begin(epoch, sentAt: sentAt, now: now, using: &generator)
        case .takeFailed:
            self.isTaking = false
            self.answered(now, every: self.timing.observeEvery, using: &generator)
            if case .taking = self.state { self.state = .watching(seen: nil, since: now) }
            self.nextCallAt = now
        case .renewed(let epoch, let sentAt):
            self.answered(now, every: self.timing.renewEvery, using: &generator)
            // Trust that ran out stays out, also when no tick has noticed: what leading work was left undone meanwhile
            // is done again in a new term only.
            if case .leading(epoch, let trustedUntil) = self.state, now < trustedUntil {
                self.state = .leading(epoch, trustedUntil: max(trustedUntil, sentAt.advanced(by: self.timing.trust)))
            }
        case .renewalFailed:
            // Soon again: there is time for a second try, not for a full period.
            self.answered(now, every: self.timing.renewEvery / 4, using: &generator)
        case .deposed(let epoch):
            self.answered(now, every: self.timing.observeEvery, using: &generator)
            actions = self.end(epoch, .deposed, now: now)
        }
        actions += self.proceed(now)
        return actions
    }

    /// What is due at `now` in the state reached.
    private mutating func proceed(_ now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        if case .leading(let epoch, let trustedUntil) = self.state, now >= trustedUntil {
            actions += self.end(epoch, .unrenewed, now: now)
        }
        if !self.isAwaitingAnswer, now >= self.nextCallAt {
            switch self.state {
            case .watching:
                actions.append(.observe)
                self.isAwaitingAnswer = true
            case .leading(let epoch, _):
                actions.append(.renew(epoch))
                self.isAwaitingAnswer = true
            case .taking, .stopped: break
            }
        }
        self.wakeAt = self.isAwaitingAnswer ? now.advanced(by: self.timing.observeEvery) : self.nextCallAt
        if case .leading(_, let trustedUntil) = self.state { self.wakeAt = min(self.wakeAt, trustedUntil) }
        return actions
    }

    private mutating func see(_ row: Row, at now: MonotonicInstant) -> [Action] {
        guard case .watching(let seen, var since) = self.state else { return [] }
        if seen != row { since = now }
        self.state = .watching(seen: row, since: since)
        // Our own name in the row: a takeover whose answer was lost, or a lease that ran out while the
        // store was away. Taking it again gives an epoch that was never led.
        // A predecessor's is taken at the first look only: two processes that were given one address by mistake
        // must not depose each other for ever.
        let isFree = row.holder == nil || row.holder == self.me || row.isHeldByPredecessor && !self.hasSeenRow
        self.hasSeenRow = true
        guard isFree || now.duration(since: since) >= self.timing.takeAfter else { return [] }
        self.state = .taking(from: row)
        self.isTaking = true
        self.isAwaitingAnswer = true
        return [.take(from: row)]
    }

    private mutating func begin(
        _ epoch: Epoch, sentAt: MonotonicInstant, now: MonotonicInstant,
        using generator: inout some RandomNumberGenerator
    ) -> [Action] {
        switch self.state {
        case .taking:
            self.answered(now, every: self.timing.renewEvery, using: &generator)
            let trustedUntil = sentAt.advanced(by: self.timing.trust)
            guard now < trustedUntil else {
                // The answer took longer than the lease lasts. It is ours in the row; take it anew.
                self.state = .watching(seen: nil, since: now)
                self.nextCallAt = now
                return []
            }
            self.state = .leading(epoch, trustedUntil: trustedUntil)
            return [.lead(epoch)]
        case .stopped: return [.release(epoch)]
        case .watching, .leading: return []  // An echo of a takeover that was given up.
        }
    }

    private mutating func end(_ epoch: Epoch, _ reason: StepDownReason, now: MonotonicInstant) -> [Action] {
        guard case .leading(epoch, _) = self.state else { return [] }
        self.state = .watching(seen: nil, since: now)
        return [.stepDown(epoch, reason)]
    }

    private mutating func stop() -> [Action] {
        defer { self.state = .stopped }
        guard case .leading(let epoch, _) = self.state else { return [] }
        return [.stepDown(epoch, .stopping), .release(epoch)]
    }

    private mutating func answered(
        _ now: MonotonicInstant, every period: Duration, using generator: inout some RandomNumberGenerator
    ) {
        self.isAwaitingAnswer = false
        let percent = Int.random(in: -self.timing.jitterPercent...self.timing.jitterPercent, using: &generator)
        self.nextCallAt = now.advanced(by: period * (100 + percent) / 100)
    }
}
