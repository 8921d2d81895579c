package import EscapementModel

/// How far a shard is settled and under which epoch: what a lane's journal keeps of it.
package struct ShardState: Hashable, Sendable {
    package var shard: ShardID
    /// The highest epoch that has opened the shard here; lower ones are refused for ever.
    package var epoch: Epoch
    package var cursor: Cursor

    package init(shard: ShardID, epoch: Epoch = .none, cursor: Cursor = .start) {
        self.shard = shard
        self.epoch = epoch
        self.cursor = cursor
    }
}

extension Cursor {
    /// Whether nothing that was settled at `other` is unsettled here: watermarks and revision never go back.
    package func isAtLeast(_ other: Cursor) -> Bool {
        self.cron >= other.cron && self.delay >= other.delay && self.revision >= other.revision
    }
}
