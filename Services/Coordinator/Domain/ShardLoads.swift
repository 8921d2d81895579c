/// How much work each shard is, as the tickers measure it: what placement weighs shards by.
///
/// A ticker smooths what it measures over minutes (`FireRate`), and here a weight follows only when it is off by
/// a quarter, so that a rate that wavers moves nothing. A shard that nobody has measured for long enough, on a
/// ticker that has just got it or is older than such reports, keeps the weight it had, or is taken for an ordinary
/// one.
package struct ShardLoads: Equatable, Sendable {
    /// What a ticker says of one shard.
    package struct Measure: Hashable, Sendable {
        /// Smoothed, in thousandths of a fire a second.
        package var millifiresPerSecond: UInt64
        /// Schedules and timers in memory.
        package var resident: UInt64

        package init(millifiresPerSecond: UInt64, resident: UInt64) {
            self.millifiresPerSecond = millifiresPerSecond
            self.resident = resident
        }

        /// A shard is one unit for being there, one more for each `firesPerUnit`, and one for each `residentPerUnit`:
        /// in a cluster with little to do shards count alike, whatever little each of them fires.
        package var weight: Double {
            1 + Double(self.millifiresPerSecond) / 1000 / ShardLoads.firesPerUnit
                + Double(self.resident) / ShardLoads.residentPerUnit
        }
    }

    /// Fires a second that weigh as much as a shard.
    package static let firesPerUnit = 100.0
    /// Schedules and timers that weigh as much as a shard.
    package static let residentPerUnit = 100_000.0
    /// By what part of itself a weight has to be off before it follows.
    package static let tolerance = 0.25

    private struct Entry: Equatable {
        var measure: Measure
        /// The one in use.
        var weight: Double
    }

    /// Of each shard what was said last.
    private var known: [UInt16: Entry] = [:]

    package init() {}

    /// Takes what the shard's owner says.
    package mutating func heard(_ number: UInt16, _ measure: Measure) {
        let weight = measure.weight
        let used = self.known[number]?.weight
        let follows = used.map { abs(weight - $0) > Self.tolerance * $0 } ?? true
        self.known[number] = Entry(measure: measure, weight: follows ? weight : used ?? weight)
    }

    /// What the shard's owner said last; `nil` when nobody has.
    package func measure(of number: UInt16) -> Measure? { self.known[number]?.measure }

    /// The weight that placement uses, at least 1.
    package func weight(of number: UInt16) -> Double { self.known[number]?.weight ?? self.ordinary }

    /// What a shard is taken for that nobody has measured: the mean of the others. Summed in order, since the last bit
    /// of a sum depends on it.
    private var ordinary: Double {
        guard !self.known.isEmpty else { return 1 }
        return self.known.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value.weight } / Double(self.known.count)
    }

    /// The items with their weights.
    package func weighed(_ items: [Placement.Item]) -> [Placement.Item] {
        guard !self.known.isEmpty else { return items }
        let ordinary = self.ordinary
        return items.map { item in
            var item = item
            item.load = self.known[item.number]?.weight ?? ordinary
            return item
        }
    }
}
