package import EscapementModel

/// Leader to ticker: this shard will be yours soon; load it and follow its changes, fire nothing. From version 2 on.
///
/// `epoch` is that of the present owner; the contents are asked for under it. The two watermarks are what the owner has
/// told last: what is settled by them need not be loaded.
package struct ShardPrepare: WireMessage {
    package static let kind = MessageKind.shardPrepare
    package var leaderEpoch: Epoch
    package var shard: ShardID
    package var epoch: Epoch
    /// Due instant up to which one-shots are settled; `nil` when the owner has not said.
    package var settledThrough: WallInstant?
    /// The revision up to which changes are reflected in that.
    package var revision: Revision

    package init(
        leaderEpoch: Epoch, shard: ShardID, epoch: Epoch, settledThrough: WallInstant? = nil,
        revision: Revision = .none
    ) {
        self.leaderEpoch = leaderEpoch
        self.shard = shard
        self.epoch = epoch
        self.settledThrough = settledThrough
        self.revision = revision
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.leaderEpoch.rawValue)
        writer.unsigned(2, self.shard.rawValue)
        writer.unsigned(3, self.epoch.rawValue)
        writer.instant(5, self.settledThrough)
        writer.unsigned(6, self.revision.rawValue)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(leaderEpoch: .none, shard: ShardID(0), epoch: .none)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.leaderEpoch = Epoch(try field.unsigned("prepare.leaderEpoch"))
            case 2: self.shard = ShardID(try field.unsigned("prepare.shard"))
            case 3: self.epoch = Epoch(try field.unsigned("prepare.epoch"))
            case 5: self.settledThrough = try field.instant("prepare.settledThrough")
            case 6: self.revision = Revision(try field.unsigned("prepare.revision"))
            default: continue
            }
        }
    }
}

/// Ticker to leader: the shard is loaded; its present owner may be told to stop. From version 2 on.
package struct ShardPrepared: WireMessage {
    package static let kind = MessageKind.shardPrepared
    package var leaderEpoch: Epoch
    package var shard: ShardID
    /// As in `ShardPrepare`.
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
