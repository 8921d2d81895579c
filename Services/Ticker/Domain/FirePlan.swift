package import EscapementModel

/// A settled occurrence, ready to be handed to the lane. `Payload` is opaque here.
package struct PlannedOccurrence<Payload: Sendable & Hashable>: Sendable, Equatable {
    package var kind: FireKind
    package var uid: UID
    package var generation: UInt64
    package var scheduled: WallInstant
    package var due: WallInstant
    package var outcome: Outcome
    package var reason: Reason
    /// 1, or the length of a run of skipped occurrences from `scheduled` to `through`.
    package var count: UInt32
    package var through: WallInstant
    package var caughtUp: Bool
    package var payload: Payload
    /// `nil` unless its fires tell them.
    package var neighbours: OccurrenceNeighbours?
}

/// Occurrences that lead a shard's cursor from one value to another.
package struct PlannedBatch<Payload: Sendable & Hashable>: Sendable, Equatable {
    package var shard: ShardID
    package var epoch: Epoch
    package var from: Cursor
    package var to: Cursor
    package var occurrences: [PlannedOccurrence<Payload>]

    /// Occurrences of a batch, at most, but that late admissions of one revision stay together.
    package static var occurrencesMax: Int { 1000 }
    /// A batch is closed when its payloads, and `occurrenceOverheadBytes` for each, reach so many, or half of the credit.
    package static var bytesTarget: Int { 512 * 1024 }
    static var occurrenceOverheadBytes: Int { 64 }
}

/// How much may be in flight to a lane for one shard.
package struct Credit: Hashable, Sendable {
    package var batches: Int
    package var bytes: Int

    package init(batches: Int, bytes: Int) {
        self.batches = batches
        self.bytes = bytes
    }
}

/// One version of a schedule as a shard holds it.
package struct ScheduleEntry<Payload: Sendable & Hashable>: Sendable {
    package var uid: UID
    package var generation: UInt64
    package var kind: FireKind
    package var createdRevision: Revision
    package var replaces: Bool
    /// Occurrences due strictly after this instant are the version's.
    package var from: WallInstant
    package var endedRevision: Revision?
    /// Occurrences due after this instant are not the version's any more.
    package var until: WallInstant?
    package var plan: any OccurrencePlan
    package var payload: Payload
    package var payloadBytes: Int

    package init(
        uid: UID, generation: UInt64, kind: FireKind, createdRevision: Revision, replaces: Bool, from: WallInstant,
        endedRevision: Revision?, until: WallInstant?, plan: any OccurrencePlan, payload: Payload, payloadBytes: Int
    ) {
        self.uid = uid
        self.generation = generation
        self.kind = kind
        self.createdRevision = createdRevision
        self.replaces = replaces
        self.from = from
        self.endedRevision = endedRevision
        self.until = until
        self.plan = plan
        self.payload = payload
        self.payloadBytes = payloadBytes
    }
}

/// One one-shot timer as a shard holds it.
package struct TimerEntry<Payload: Sendable & Hashable>: Sendable {
    package var uid: UID
    package var revision: Revision
    package var due: WallInstant
    /// Milliseconds; 0 for any lateness.
    package var expireAfterMilliseconds: UInt64
    package var payload: Payload
    package var payloadBytes: Int

    package init(
        uid: UID, revision: Revision, due: WallInstant, expireAfterMilliseconds: UInt64, payload: Payload,
        payloadBytes: Int
    ) {
        self.uid = uid
        self.revision = revision
        self.due = due
        self.expireAfterMilliseconds = expireAfterMilliseconds
        self.payload = payload
        self.payloadBytes = payloadBytes
    }
}

/// A change of a shard, as a page or delta brings it.
package enum ShardChange<Payload: Sendable & Hashable>: Sendable {
    /// A version that is live, or ended with occurrences that may still have to be settled.
    case schedule(ScheduleEntry<Payload>)
    /// A version that was known to be live has ended.
    case scheduleEnded(uid: UID, generation: UInt64, revision: Revision, until: WallInstant)
    case timer(TimerEntry<Payload>)
    case timerCancelled(uid: UID, due: WallInstant)
}
