import EscapementModel
import NIOCore
package import TickerDomain
package import WireProtocol

/// Gives batches the form of the wire, in memory of its own that is used again for the next one: nothing is allocated
/// for a fire.
package struct FireForm {
    private var occurrences: [FireOccurrence] = []
    /// The templates of one batch, one behind the other; its occurrences hold slices.
    private var templates = ByteBuffer()

    package init() {}

    /// The message of a batch. Call `clear` when it is sent, so that its memory is free again.
    package mutating func message(of batch: PlannedBatch<[UInt8]>) -> FireBatch {
        for occurrence in batch.occurrences { self.templates.writeBytes(occurrence.payload) }
        var start = 0
        for occurrence in batch.occurrences {
            let count = occurrence.payload.count
            self.occurrences.append(
                FireOccurrence(
                    kind: occurrence.kind, uid: occurrence.uid, generation: occurrence.generation,
                    scheduled: occurrence.scheduled, due: occurrence.due, outcome: occurrence.outcome,
                    reason: occurrence.reason, count: occurrence.count, through: occurrence.through,
                    caughtUp: occurrence.caughtUp,
                    template: self.templates.getSlice(at: start, length: count) ?? ByteBuffer(),
                    neighbours: occurrence.neighbours))
            start += count
        }
        return FireBatch(
            shard: batch.shard, epoch: batch.epoch, from: batch.from, to: batch.to, occurrences: self.occurrences)
    }

    package mutating func clear() {
        self.occurrences.removeAll(keepingCapacity: true)
        self.templates.clear()
    }
}
