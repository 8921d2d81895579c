import EscapementModel
import Store
import Synchronization

/// What holds for namespaces, as of a moment ago, and how fast each of them creates.
///
/// Kept for `freshFor`, so that a request costs no look at the database; a change of a quota is in force everywhere
/// within that time.
final class NamespaceLimits: Sendable {
    static let freshFor = Duration.seconds(2)
    /// Namespaces remembered; when there are more, the memory starts anew.
    static let namespacesMax = 10_000

    private struct Entry {
        var settings: NamespaceSettings
        var readAt: MonotonicInstant
    }

    private struct Bucket {
        var tokens: Double
        var at: MonotonicInstant
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var buckets: [String: Bucket] = [:]
    }

    private let store: any ScheduleStore
    private let clocks: any Clocks
    private let state = Mutex(State())

    init(store: any ScheduleStore, clocks: any Clocks) {
        self.store = store
        self.clocks = clocks
    }

    func settings(of namespace: String) async throws(StoreError) -> NamespaceSettings {
        let now = self.clocks.monotonicNow()
        let known = self.state.withLock { $0.entries[namespace] }
        if let known, now.duration(since: known.readAt) < Self.freshFor { return known.settings }
        let settings = try await self.store.namespace(namespace)
        self.state.withLock { state in
            if state.entries.count >= Self.namespacesMax { state.entries.removeAll() }
            state.entries[namespace] = Entry(settings: settings, readAt: now)
        }
        return settings
    }

    /// Forgets what is known of a namespace that was just changed here.
    func forget(_ namespace: String) { self.state.withLock { $0.entries[namespace] = nil } }

    /// Takes `count` creations from the namespace's allowance of `perSecond` on this replica; a second's worth may
    /// be used at once, and a batch may be as large as it likes when the allowance is full.
    ///
    /// - Returns: seconds to wait, when it is used up.
    func take(_ count: Int, of namespace: String, perSecond: UInt64) -> Int? {
        let now = self.clocks.monotonicNow()
        let rate = Double(max(perSecond, 1))
        return self.state.withLock { state in
            if state.buckets.count >= Self.namespacesMax { state.buckets.removeAll() }
            var bucket = state.buckets[namespace] ?? Bucket(tokens: rate, at: now)
            let passed = Double(now.duration(since: bucket.at).wholeMilliseconds) / 1000
            bucket.tokens = min(rate, bucket.tokens + passed * rate)
            bucket.at = now
            defer { state.buckets[namespace] = bucket }
            guard bucket.tokens >= min(Double(count), rate) else {
                return max(1, Int(((min(Double(count), rate) - bucket.tokens) / rate).rounded(.up)))
            }
            bucket.tokens -= Double(count)
            return nil
        }
    }
}
