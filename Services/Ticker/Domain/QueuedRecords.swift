import EscapementModel
import Scheduling

// What a shard's queues hold. Not inside `ShardFiring`, whose parameter they would take on: code that is general over
// it allocates where it is not compiled for one payload.

/// Something due, in the order in which a shard settles.
struct ReadyRecord: Comparable, Sendable {
    var key: Watermark
    var number: UInt32

    static func < (left: Self, right: Self) -> Bool { left.key < right.key }
    static func == (left: Self, right: Self) -> Bool { left.key == right.key }
}

/// Something that fell due before the shard knew of it.
struct LateRecord: Sendable {
    var token: HeldToken
    var uid: UID
    var occurrence: Occurrence
    var revision: Revision
}

/// A batch that was handed on and is not acknowledged.
struct InFlightBatch: Sendable {
    var to: Cursor
    var bytes: Int
    /// How many of the shard's numbers of timers in flight, behind those of earlier batches, are in it.
    var timers: Int
}
