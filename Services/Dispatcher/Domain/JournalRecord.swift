package import EscapementModel

/// One record of a lane's journal partition, as a value.
package struct JournalRecord: Equatable, Sendable {
    package enum Body: Equatable, Sendable {
        /// Written first by a new owner: reading up to the own barrier needs no other end mark.
        case barrier(nonce: UID)
        /// Outcomes that do not fit into the entry's last record. Count only if that one follows.
        case part([OutcomeRecord])
        /// The last or only record of an entry: the remaining outcomes, and all shards of the lane.
        case entry([ShardState], [OutcomeRecord])
    }

    package var lane: LaneID
    package var laneEpoch: Epoch
    /// Of the entry; its parts carry the same. 0 for a barrier.
    package var sequence: UInt64
    /// The node that wrote it.
    package var dispatcher: NodeID
    package var body: Body
    /// Of an entry: what is settled in the lane's partition of fires for HTTP targets. Part of the same transaction as
    /// what came of those fires, so each is settled once.
    package var deliveries: SettledOffsets
    /// Of an entry: the fires that wait for their topics. Part of the same transaction likewise.
    package var waiting: WaitingLine

    package init(
        lane: LaneID, laneEpoch: Epoch, sequence: UInt64, dispatcher: NodeID, body: Body,
        deliveries: SettledOffsets = SettledOffsets(), waiting: WaitingLine = WaitingLine()
    ) {
        self.deliveries = deliveries
        self.waiting = waiting
        self.lane = lane
        self.laneEpoch = laneEpoch
        self.sequence = sequence
        self.dispatcher = dispatcher
        self.body = body
    }
}

/// A record and where it lies.
package struct StoredJournalRecord: Equatable, Sendable {
    package var offset: Int64
    /// `nil` for bytes that are no record this build can read: skipped, and counted.
    package var record: JournalRecord?

    package init(offset: Int64, record: JournalRecord?) {
        self.offset = offset
        self.record = record
    }
}
