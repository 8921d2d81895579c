import EscapementModel
import Scheduling

/// A batch in the making, and the memory for the next one: whoever plans batches keeps one draft, which
/// makes planning free of allocations once it has grown, as long as batches are not kept.
package struct FireDraft<Payload: Sendable & Hashable>: Sendable {
    struct Run: Sendable {
        var number: UInt32
        var first: Occurrence
        var last: Occurrence
        /// Index in `occurrences`.
        var index: Int
    }

    /// What one kind of fires has of the batch.
    struct Share: Sendable {
        var occurrences = 0
        var bytes = 0

        mutating func add(_ bytes: Int) {
            self.occurrences += 1
            self.bytes += bytes
        }
    }

    var now = WallInstant.distantPast
    /// The batch is full when it has so many.
    var bytesTarget = PlannedBatch<Payload>.bytesTarget
    var occurrences: [PlannedOccurrence<Payload>] = []
    var runs: [Run] = []
    var schedules = Share()
    var timers = Share()

    package init() {}

    var bytes: Int { self.schedules.bytes + self.timers.bytes }
    var isFull: Bool {
        self.occurrences.count >= PlannedBatch<Payload>.occurrencesMax || self.bytes >= self.bytesTarget
    }

    /// Whether a kind has half of a batch: it gets more only when the other one has nothing due.
    func isHalf(_ share: Share) -> Bool {
        share.occurrences >= PlannedBatch<Payload>.occurrencesMax / 2 || share.bytes >= self.bytesTarget / 2
    }

    /// - Parameter credit: in bytes. A batch is full when it has half of it, so that the next one is on its way meanwhile.
    mutating func begin(now: WallInstant, credit: Int) {
        self.now = now
        self.bytesTarget = min(PlannedBatch<Payload>.bytesTarget, max(1, credit / 2))
        self.occurrences.removeAll(keepingCapacity: true)
        self.runs.removeAll(keepingCapacity: true)
        self.schedules = Share()
        self.timers = Share()
    }
}
