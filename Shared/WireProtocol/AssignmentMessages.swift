package import EscapementModel
package import NIOCore

/// Leader to ticker: own this shard from now on. Durable in PostgreSQL before it is sent; repeated until
/// the ticker's heartbeat names the shard with this epoch.
package struct ShardAssign: WireMessage {
    package static let kind = MessageKind.shardAssign
    package var leaderEpoch: Epoch
    package var shard: ShardID
    package var epoch: Epoch

    package init(leaderEpoch: Epoch, shard: ShardID, epoch: Epoch) {
        self.leaderEpoch = leaderEpoch
        self.shard = shard
        self.epoch = epoch
    }

    package func encode(into writer: inout FieldWriter) {
        AssignmentFields.encode(self.leaderEpoch, self.shard.rawValue, self.epoch, into: &writer)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        let (leaderEpoch, number, epoch) = try AssignmentFields.decode(from: &reader)
        self.init(leaderEpoch: leaderEpoch, shard: ShardID(number), epoch: epoch)
    }
}

/// Leader to ticker: stop firing this shard, wait for what is in flight, answer `ShardReleased`.
package struct ShardRevoke: WireMessage {
    package static let kind = MessageKind.shardRevoke
    package var leaderEpoch: Epoch
    package var shard: ShardID
    package var epoch: Epoch

    package init(leaderEpoch: Epoch, shard: ShardID, epoch: Epoch) {
        self.leaderEpoch = leaderEpoch
        self.shard = shard
        self.epoch = epoch
    }

    package func encode(into writer: inout FieldWriter) {
        AssignmentFields.encode(self.leaderEpoch, self.shard.rawValue, self.epoch, into: &writer)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        let (leaderEpoch, number, epoch) = try AssignmentFields.decode(from: &reader)
        self.init(leaderEpoch: leaderEpoch, shard: ShardID(number), epoch: epoch)
    }
}

/// Ticker to leader: the shard is no longer fired under this epoch; everything sent is acknowledged.
package struct ShardReleased: WireMessage {
    package static let kind = MessageKind.shardReleased
    package var leaderEpoch: Epoch
    package var shard: ShardID
    package var epoch: Epoch
    /// The higher epoch that the shard was refused for; `none` when it was not.
    package var seenEpoch: Epoch

    package init(leaderEpoch: Epoch, shard: ShardID, epoch: Epoch, seenEpoch: Epoch = .none) {
        self.leaderEpoch = leaderEpoch
        self.shard = shard
        self.epoch = epoch
        self.seenEpoch = seenEpoch
    }

    package func encode(into writer: inout FieldWriter) {
        AssignmentFields.encode(self.leaderEpoch, self.shard.rawValue, self.epoch, seen: self.seenEpoch, into: &writer)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        let fields = try AssignmentFields.decodeWithSeen(from: &reader)
        self.init(
            leaderEpoch: fields.leaderEpoch, shard: ShardID(fields.number), epoch: fields.epoch, seenEpoch: fields.seen)
    }
}

/// Leader to dispatcher: publish this lane from now on. Durable in PostgreSQL before it is sent; repeated
/// until the dispatcher's heartbeat names the lane with this epoch.
package struct LaneAssign: WireMessage {
    /// Where the lane's journal stood when the leader last heard of it.
    package struct Checkpoint: Equatable, Sendable {
        /// The lane epoch that the entry was written under.
        package var epoch: Epoch
        package var sequence: UInt64
        /// As in `LaneProgress`.
        package var state: ByteBuffer

        package init(epoch: Epoch, sequence: UInt64, state: ByteBuffer) {
            self.epoch = epoch
            self.sequence = sequence
            self.state = state
        }
    }

    package static let kind = MessageKind.laneAssign
    package var leaderEpoch: Epoch
    package var lane: LaneID
    package var epoch: Epoch
    /// `nil` for a lane that was never used, and from a leader that keeps none.
    package var checkpoint: Checkpoint?

    package init(leaderEpoch: Epoch, lane: LaneID, epoch: Epoch, checkpoint: Checkpoint? = nil) {
        self.leaderEpoch = leaderEpoch
        self.lane = lane
        self.epoch = epoch
        self.checkpoint = checkpoint
    }

    package func encode(into writer: inout FieldWriter) {
        AssignmentFields.encode(self.leaderEpoch, self.lane.rawValue, self.epoch, into: &writer)
        guard let checkpoint else { return }
        writer.nested(5) { inner in
            inner.unsigned(1, checkpoint.epoch.rawValue)
            inner.unsigned(2, checkpoint.sequence)
            inner.bytes(3, checkpoint.state)
        }
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        var body = AssignmentFields.Body()
        var checkpoint: Checkpoint?
        while let field = try reader.next() {
            if field.number == 5 {
                checkpoint = try Self.checkpoint(field)
            } else {
                try body.take(field)
            }
        }
        self.init(
            leaderEpoch: body.leaderEpoch, lane: LaneID(body.number), epoch: body.epoch, checkpoint: checkpoint)
    }

    private static func checkpoint(_ field: FieldReader.Field) throws(WireError) -> Checkpoint {
        var result = Checkpoint(epoch: .none, sequence: 0, state: ByteBuffer())
        var reader = try field.nested("assignment.checkpoint")
        while let part = try reader.next() {
            switch part.number {
            case 1: result.epoch = Epoch(try part.unsigned("assignment.checkpoint.epoch"))
            case 2: result.sequence = try part.unsigned("assignment.checkpoint.sequence")
            case 3: result.state = try part.bytes("assignment.checkpoint.state", max: WireLimits.laneStateMax)
            default: continue
            }
        }
        return result
    }
}

/// Leader to dispatcher: finish what is being published, answer `LaneReleased`.
package struct LaneRevoke: WireMessage {
    package static let kind = MessageKind.laneRevoke
    package var leaderEpoch: Epoch
    package var lane: LaneID
    package var epoch: Epoch

    package init(leaderEpoch: Epoch, lane: LaneID, epoch: Epoch) {
        self.leaderEpoch = leaderEpoch
        self.lane = lane
        self.epoch = epoch
    }

    package func encode(into writer: inout FieldWriter) {
        AssignmentFields.encode(self.leaderEpoch, self.lane.rawValue, self.epoch, into: &writer)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        let (leaderEpoch, number, epoch) = try AssignmentFields.decode(from: &reader)
        self.init(leaderEpoch: leaderEpoch, lane: LaneID(number), epoch: epoch)
    }
}

/// Dispatcher to leader: the lane is no longer published under this epoch.
package struct LaneReleased: WireMessage {
    package static let kind = MessageKind.laneReleased
    package var leaderEpoch: Epoch
    package var lane: LaneID
    package var epoch: Epoch
    /// The higher epoch that the lane was refused for; `none` when it was not.
    package var seenEpoch: Epoch

    package init(leaderEpoch: Epoch, lane: LaneID, epoch: Epoch, seenEpoch: Epoch = .none) {
        self.leaderEpoch = leaderEpoch
        self.lane = lane
        self.epoch = epoch
        self.seenEpoch = seenEpoch
    }

    package func encode(into writer: inout FieldWriter) {
        AssignmentFields.encode(self.leaderEpoch, self.lane.rawValue, self.epoch, seen: self.seenEpoch, into: &writer)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        let fields = try AssignmentFields.decodeWithSeen(from: &reader)
        self.init(
            leaderEpoch: fields.leaderEpoch, lane: LaneID(fields.number), epoch: fields.epoch, seenEpoch: fields.seen)
    }
}

/// The body that the assignment messages share: the leader's epoch, a shard or lane, its epoch, and in answers
/// the higher epoch that was seen.
enum AssignmentFields {
    struct Body {
        var leaderEpoch = Epoch.none
        var number: UInt16 = 0
        var epoch = Epoch.none
        var seen = Epoch.none

        mutating func take(_ field: FieldReader.Field) throws(WireError) {
            switch field.number {
            case 1: self.leaderEpoch = Epoch(try field.unsigned("assignment.leaderEpoch"))
            case 2: self.number = try field.unsigned("assignment.number")
            case 3: self.epoch = Epoch(try field.unsigned("assignment.epoch"))
            case 4: self.seen = Epoch(try field.unsigned("assignment.seenEpoch"))
            default: return
            }
        }
    }

    static func encode(
        _ leaderEpoch: Epoch, _ number: UInt16, _ epoch: Epoch, seen: Epoch = .none, into writer: inout FieldWriter
    ) {
        writer.unsigned(1, leaderEpoch.rawValue)
        writer.unsigned(2, number)
        writer.unsigned(3, epoch.rawValue)
        writer.unsigned(4, seen.rawValue)
    }

    static func decode(from reader: inout FieldReader) throws(WireError) -> (Epoch, UInt16, Epoch) {
        let body = try self.decodeWithSeen(from: &reader)
        return (body.leaderEpoch, body.number, body.epoch)
    }

    static func decodeWithSeen(from reader: inout FieldReader) throws(WireError) -> Body {
        var body = Body()
        while let field = try reader.next() { try body.take(field) }
        return body
    }
}
