package import EscapementModel

/// Finds where a lane stands, from the tail of its journal.
///
/// The new owner has appended a barrier with its own epoch and a random nonce. It reads backwards in steps,
/// up to that barrier, until it meets the last entry: one entry names all shards of the lane. Reading up to
/// the own barrier removes every question about where the partition ends, also after Kafka moved its leader.
package struct LaneTakeover: Equatable, Sendable {
    package enum Step: Equatable, Sendable {
        /// Read the records in `from..<through` (offsets), then call `read`.
        case read(from: Int64, through: Int64)
        /// This is where the lane stands, also in its parked fires; `unused` when nothing was found.
        case done(LaneMark)
        /// A higher lane epoch has written: the lane belongs to somebody else.
        case superseded(by: Epoch)
    }

    /// Records looked at in the first step; doubles with each further one.
    package static let firstStepCount: Int64 = 32
    /// No step is larger: memory stays bounded, whatever the journal holds.
    package static let stepCountMax: Int64 = 4096

    private let epoch: Epoch
    private let low: Int64
    private var stepCount: Int64
    private var from: Int64
    private var through: Int64

    /// - Parameters:
    ///   - epoch: the own lane epoch.
    ///   - low: the first offset that still exists.
    ///   - barrier: where the own barrier lies.
    package init(epoch: Epoch, low: Int64, barrier: Int64) {
        self.epoch = epoch
        self.low = low
        self.stepCount = Self.firstStepCount
        self.through = barrier
        self.from = max(low, barrier - Self.firstStepCount)
    }

    /// The first step.
    package var first: Step {
        self.from < self.through
            ? .read(from: self.from, through: self.through) : .done(.unused)
    }

    /// The records of the step that was asked for, in order of their offsets.
    package mutating func read(_ records: [StoredJournalRecord]) -> Step {
        var found: LaneMark?
        for stored in records {
            guard let record = stored.record else { continue }
            if record.laneEpoch > self.epoch { return .superseded(by: record.laneEpoch) }
            guard case .entry(let shards, _) = record.body else { continue }
            // A former owner that has not noticed yet may write after its successor: the higher epoch counts.
            if record.laneEpoch >= found?.laneEpoch ?? .none {
                found = LaneMark(
                    laneEpoch: record.laneEpoch, sequence: record.sequence, shards: shards,
                    deliveries: record.deliveries, waiting: record.waiting)
            }
        }
        if let found { return .done(found) }
        if self.from <= self.low { return .done(.unused) }
        self.stepCount = min(self.stepCount * 2, Self.stepCountMax)
        self.through = self.from
        self.from = max(self.low, self.through - self.stepCount)
        return .read(from: self.from, through: self.through)
    }
}
