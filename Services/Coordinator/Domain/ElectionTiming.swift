/// The times of leader election.
///
/// A leader trusts its lease for less time than a challenger waits, by enough that clocks may run at
/// rates that differ by half. Nothing about safety rests on this: every write of a leader is fenced.
package struct ElectionTiming: Equatable, Sendable {
    /// Between renewals of a leader.
    package var renewEvery: Duration
    /// Between looks of a standby.
    package var observeEvery: Duration
    /// How long a standby must see the same row before it takes over.
    package var takeAfter: Duration
    /// How long a leader leads without a further renewal, from the moment the last successful one was
    /// *sent*.
    package var trust: Duration
    /// How far waits are spread, in percent of themselves either way, so that standbys do not march in step.
    package var jitterPercent: Int

    package init(
        renewEvery: Duration = .seconds(1), observeEvery: Duration = .milliseconds(500),
        takeAfter: Duration = .seconds(6), trust: Duration = .seconds(4), jitterPercent: Int = 20
    ) {
        precondition(trust * 3 / 2 <= takeAfter, "a trust of \(trust) is too near a takeover after \(takeAfter)")
        precondition(renewEvery * 2 < trust, "renewing every \(renewEvery) leaves no second try in \(trust)")
        precondition((0...50).contains(jitterPercent), "a jitter of \(jitterPercent) percent")
        self.renewEvery = renewEvery
        self.observeEvery = observeEvery
        self.takeAfter = takeAfter
        self.trust = trust
        self.jitterPercent = jitterPercent
    }
}
