package import EscapementModel
package import NIOCore

/// Dispatcher to leader: the lane's journal stands here. Kept in PostgreSQL, so that a journal that lost acknowledged
/// records is noticed by whoever takes the lane over.
package struct LaneProgress: WireMessage {
    package static let kind = MessageKind.laneProgress
    package var lane: LaneID
    /// Under which the sender owns the lane.
    package var epoch: Epoch
    /// Of the last durable journal entry.
    package var sequence: UInt64
    /// That entry's shards, in the dispatcher's own form; empty when they need more than `WireLimits.laneStateMax`.
    package var state: ByteBuffer

    package init(lane: LaneID, epoch: Epoch, sequence: UInt64, state: ByteBuffer = ByteBuffer()) {
        self.lane = lane
        self.epoch = epoch
        self.sequence = sequence
        self.state = state
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.lane.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.unsigned(3, self.sequence)
        writer.bytes(4, self.state)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(lane: LaneID(0), epoch: .none, sequence: 0)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.lane = LaneID(try field.unsigned("laneProgress.lane"))
            case 2: self.epoch = Epoch(try field.unsigned("laneProgress.epoch"))
            case 3: self.sequence = try field.unsigned("laneProgress.sequence")
            case 4: self.state = try field.bytes("laneProgress.state", max: WireLimits.laneStateMax)
            default: continue
            }
        }
    }
}
