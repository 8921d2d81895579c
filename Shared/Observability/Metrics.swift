import Synchronization

/// A number that only grows. One relaxed atomic addition per increment; keep the handle, do not look
/// it up for each event.
package final class Counter: Sendable {
    private let count = Atomic<UInt64>(0)

    package init() {}

    package func increment(by amount: UInt64 = 1) { self.count.wrappingAdd(amount, ordering: .relaxed) }
    package func increment(by amount: Int) { self.increment(by: UInt64(clamping: amount)) }

    package var value: UInt64 { self.count.load(ordering: .relaxed) }
}

/// A number that goes up and down, in base units (seconds, bytes, ratio).
package final class Gauge: Sendable {
    private let bits = Atomic<UInt64>((0.0).bitPattern)

    package init() {}

    package func set(_ value: Double) { self.bits.store(value.bitPattern, ordering: .relaxed) }
    package func set(_ value: Int) { self.set(Double(value)) }
    package func set(_ value: Duration) { self.set(value.seconds) }

    /// Adds `amount`, which may be negative.
    package func add(_ amount: Double) {
        var old = self.bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = self.bits.weakCompareExchange(
                expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    package var value: Double { Double(bitPattern: self.bits.load(ordering: .relaxed)) }
}

/// Upper bounds of a histogram's buckets, in ascending order, without the last, infinite one.
package struct HistogramBuckets: Equatable, Sendable {
    package let bounds: [Double]

    /// - Precondition: `bounds` is not empty, finite and strictly ascending.
    package init(_ bounds: [Double]) {
        precondition(
            !bounds.isEmpty && bounds.allSatisfy(\.isFinite) && zip(bounds, bounds.dropFirst()).allSatisfy(<),
            "bucket bounds \(bounds) are not ascending")
        self.bounds = bounds
    }

    /// Lateness of fires and ticks, seconds. The same on every service, so that they can be compared.
    package static let lateness = HistogramBuckets([
        0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600,
    ])
    /// Durations of requests and of work, seconds.
    package static let duration = HistogramBuckets([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ])
    /// Counts of things in a batch.
    package static let batchSize = HistogramBuckets([1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000])
}

/// A distribution over fixed buckets. An observation is a search among the bounds and two atomic
/// additions; no lock.
package final class Histogram: Sendable {
    package let buckets: HistogramBuckets
    /// Observations per bucket, the infinite one last.
    private let counts: AtomicCounts
    private let sumBits = Atomic<UInt64>((0.0).bitPattern)

    package init(_ buckets: HistogramBuckets) {
        self.buckets = buckets
        self.counts = AtomicCounts(count: buckets.bounds.count + 1)
    }

    /// Notes one value, in the unit of the buckets; `nan` is ignored.
    package func observe(_ value: Double) { self.observe(value, count: 1) }

    /// Notes `count` equal values at once, as for a batch that was committed together.
    package func observe(_ value: Double, count: Int) {
        guard !value.isNaN, count > 0 else { return }
        var index = 0
        while index < self.buckets.bounds.count, value > self.buckets.bounds[index] { index += 1 }
        self.counts.add(UInt64(count), at: index)
        var old = self.sumBits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + value * Double(count)).bitPattern
            let (exchanged, original) = self.sumBits.weakCompareExchange(
                expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    package func observe(_ duration: Duration) { self.observe(duration.seconds) }

    /// Counts per bucket (not cumulative, the infinite one last) and the sum of all values.
    package var snapshot: (counts: [UInt64], sum: Double) {
        (self.counts.values, Double(bitPattern: self.sumBits.load(ordering: .relaxed)))
    }
}

extension Duration {
    /// As a floating-point number of seconds, the base unit of every metric.
    package var seconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}

/// A fixed number of atomic counters. Its memory is written through atomics only and freed with it.
private final class AtomicCounts: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Atomic<UInt64>>
    private let count: Int

    init(count: Int) {
        self.base = .allocate(capacity: count)
        self.count = count
        for index in 0..<count { (self.base + index).initialize(to: Atomic(0)) }
    }

    deinit {
        self.base.deinitialize(count: self.count)
        self.base.deallocate()
    }

    func add(_ amount: UInt64, at index: Int) { self.base[index].wrappingAdd(amount, ordering: .relaxed) }

    var values: [UInt64] { (0..<self.count).map { self.base[$0].load(ordering: .relaxed) } }
}
