/// Pauses between attempts: doubling, bounded, with full jitter, so that many who wait for the same thing do
/// not come back together.
package struct Backoff: Equatable, Sendable {
    private let first: Duration
    private let max: Duration
    /// Failures since the last success.
    package private(set) var failures = 0

    /// - Precondition: `first` is positive and not above `max`.
    package init(first: Duration, max: Duration) {
        precondition(first > .zero && first <= max, "a backoff from \(first) to \(max)")
        self.first = first
        self.max = max
    }

    /// How long to wait after one more failure: between a tenth and all of the current bound.
    package mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let bound = Swift.min(self.first * (1 << Swift.min(self.failures, 16)), self.max)
        self.failures += 1
        return bound * Double.random(in: 0.1...1, using: &generator)
    }

    package mutating func succeeded() { self.failures = 0 }
}
