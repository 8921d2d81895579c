package import EscapementModel

/// How many fires a second a shard makes, smoothed over minutes: cron work comes in bursts, and what is placed by this
/// rate must not follow them.
///
/// An exponential mean that counts only the time there was: it is right from the beginning, and is said when there was
/// enough of that. O(1) in time and memory.
package struct FireRate: Equatable, Sendable {
    /// Time in which a fire's part of the mean shrinks to about a third.
    package static let smoothedOver = Duration.seconds(300)
    /// Time after which there is something to say: one whole round of a schedule that fires each minute.
    package static let saidAfter = Duration.seconds(60)

    private let since: MonotonicInstant
    private var foldedAt: MonotonicInstant
    private var unfolded = 0
    /// The weighted sum of the rates so far, and of their weights.
    private var sum = 0.0
    private var weight = 0.0

    package init(now: MonotonicInstant) {
        self.since = now
        self.foldedAt = now
    }

    /// So many fires were handed on.
    package mutating func count(_ fires: Int) { self.unfolded += fires }

    /// Takes what was counted into the mean, at most once a second.
    package mutating func fold(now: MonotonicInstant) {
        let seconds = now.duration(since: self.foldedAt) / .seconds(1)
        guard seconds >= 1 else { return }
        let smoothing = Self.smoothedOver / .seconds(1)
        let kept = smoothing / (smoothing + seconds)
        self.sum = self.sum * kept + Double(self.unfolded) / seconds * (1 - kept)
        self.weight = self.weight * kept + (1 - kept)
        self.unfolded = 0
        self.foldedAt = now
    }

    /// In thousandths of a fire a second; `nil` while it is too early to say.
    package func milliPerSecond(now: MonotonicInstant) -> UInt64? {
        guard now.duration(since: self.since) >= Self.saidAfter, self.weight > 0 else { return nil }
        return UInt64(self.sum / self.weight * 1000)
    }
}
