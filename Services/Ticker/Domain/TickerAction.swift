package import EscapementModel

/// What the shell has to do, in order.
package enum TickerAction<Payload: Sendable & Hashable>: Sendable, Equatable {
    /// Ask the lane for the shard's cursor.
    case open(LaneID, ShardID, Epoch)
    /// Ask the leader for the shard's contents, or with `since` only for what changed.
    case requestContents(ShardID, Epoch, cursor: Cursor, horizon: WallInstant, since: Revision)
    case requestHorizon(ShardID, Epoch, after: Watermark, through: WallInstant)
    case fire(LaneID, PlannedBatch<Payload>)
    /// Tell the leader that the shard, which another ticker owns under the epoch, is loaded here.
    case prepared(ShardID, Epoch)
    /// Tell the leader that the shard is not fired here any more.
    case release(ShardID, Epoch)
    /// Tell the leader that the shard was refused for a higher epoch.
    case releaseStale(ShardID, Epoch, seen: Epoch)
    /// For the log and the metrics.
    case note(TickerNote)
}

/// A transition worth a line in the log.
package enum TickerNote: Hashable, Sendable {
    case shardTaken(ShardID, Epoch)
    /// The shard was loaded before it was given.
    case shardTakenLoaded(ShardID, Epoch)
    case shardActive(ShardID, Epoch)
    case shardReleased(ShardID, Epoch)
    /// A newer owner has opened the shard.
    case shardLost(ShardID, Epoch, seen: Epoch)
    case laneRefused(ShardID, Epoch, detail: String)
    /// Memory is full: timers are loaded no further ahead than they must be.
    case loadingPaused(timers: Int, payloadBytes: Int)
    case loadingResumed(timers: Int, payloadBytes: Int)
}

/// Why the lane refused.
package enum LaneRefusal: Hashable, Sendable {
    case staleEpoch(seen: Epoch)
    /// Anything that a later attempt may find mended.
    case retry(detail: String)
}
