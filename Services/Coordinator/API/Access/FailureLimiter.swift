import EscapementModel
import Synchronization

/// Bounds the wrong tokens that one address may try, so that guessing costs time. Right ones always pass: the
/// owner of a token is never locked out.
final class FailureLimiter: Sendable {
    /// Wrong tokens in a row that cost nothing.
    static let burst = 20
    /// After that, one each.
    static let refillEvery = Duration.seconds(3)
    /// Addresses remembered at a time; when there are more, the memory starts anew.
    static let addressesMax = 10_000

    private struct Bucket {
        var used: Int
        var since: MonotonicInstant
    }

    private let buckets = Mutex<[String: Bucket]>([:])

    /// Notes a failure.
    ///
    /// - Returns: whether the address has used up its allowance.
    func fail(_ address: String, now: MonotonicInstant) -> Bool {
        self.buckets.withLock { buckets in
            if buckets[address] == nil, buckets.count >= Self.addressesMax { buckets.removeAll() }
            var bucket = buckets[address] ?? Bucket(used: 0, since: now)
            let periods = Int(now.duration(since: bucket.since).wholeMilliseconds / Self.refillEvery.wholeMilliseconds)
            if periods > 0 {
                bucket.used = max(0, bucket.used - periods)
                bucket.since = now
            }
            bucket.used = min(bucket.used + 1, Self.burst + 1)
            buckets[address] = bucket
            return bucket.used > Self.burst
        }
    }
}
