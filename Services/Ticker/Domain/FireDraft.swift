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

        /// Half of a batch: more only when the other kind has nothing due.
        var isHalf: Bool {
            self.occurrences >= PlannedBatch<Payload>.occurrencesMax / 2
                || self.bytes >= PlannedBatch<Payload>.bytesTarget / 2
        }

        mutating func add(_ bytes: Int) {
            self.occurrences += 1
            self.bytes += bytes
        }
    }

    var now = WallInstant.distantPast
    var occurrences: [PlannedOccurrence<Payload>] = []
    var runs: [Run] = []
    var schedules = Share()
    var timers = Share()

    package init() {}

    var bytes: Int { self.schedules.bytes + self.timers.bytes }
    var isFull: Bool {
        self.occurrences.count >= PlannedBatch<Payload>.occurrencesMax
            || self.bytes >= PlannedBatch<Payload>.bytesTarget
    }

    mutating func begin(now: WallInstant) {
        self.now = now
        self.occurrences.removeAll(keepingCapacity: true)
        self.runs.removeAll(keepingCapacity: true)
        self.schedules = Share()
        self.timers = Share()
    }
}
