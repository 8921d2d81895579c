package import EscapementModel

/// One connection of a ticker, numbered by this process.
package struct SessionID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (left: SessionID, right: SessionID) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "\(self.rawValue)" }
}

/// Why a lane does not take an open or a batch.
package enum LaneRefusal: Hashable, Sendable {
    /// A higher epoch has opened the shard.
    case staleEpoch
    /// This process does not own the lane (any more).
    case notLaneOwner
    /// The shard is not open for this session, or stands elsewhere.
    case cursorMismatch
    /// The batch leads too far into the future of this process's clock.
    case aheadOfClock
    /// More in flight than was granted.
    case overCredit
}

/// What a lane tells a ticker.
package enum LaneReply: Hashable, Sendable {
    /// The fence is durable; go on from the cursor.
    case opened(SessionID, ShardID, Epoch, Cursor)
    /// The batch that led to the cursor is durable.
    case acknowledged(SessionID, ShardID, Epoch, Cursor)
    case refused(SessionID, ShardID, Epoch, LaneRefusal, seen: Epoch)

    package var session: SessionID {
        switch self {
        case .opened(let session, _, _, _), .acknowledged(let session, _, _, _), .refused(let session, _, _, _, _):
            session
        }
    }
}

/// What a lane holds at most.
package struct LaneLimits: Hashable, Sendable {
    /// Batches of one shard that are accepted and not durable.
    package var batchesMax = 4
    /// Bytes of them from which on a ticker waits; it knows the size of the next batch only when it has made it.
    package var bytesMax: Int
    /// Occurrences in one round: a round is one journal entry and, with transactions, one transaction.
    package var roundOccurrencesMax = 4000
    /// Bytes in one round.
    package var roundBytesMax = 4 * 1024 * 1024
    /// How far a batch may lead ahead of this process's clock. A fire that leaves early cannot be undone.
    package var aheadOfClockMax = Duration.seconds(2)

    /// A batch with a fire that has been due for so long catches up: what is due now goes first.
    package var lateAfter = Duration.seconds(5)
    /// Fires a second with which catching up begins, and again as many as the lane has carried of late where that is
    /// more: an outage of hours does not become a flood, and is over some time.
    package var lateFiresPerSecondMin = 2000
    /// Over how long a lane's fires count for what it carries.
    package var rateOver = Duration.seconds(5)

    /// Of the credits of all shards, which one dispatcher may hold; each may be exceeded by a batch.
    private static let bytesOfAllShards = 256 << 20

    /// - Parameter shards: of the cluster.
    package init(shards: Int = 256) {
        precondition(shards > 0, "\(shards) shards")
        self.bytesMax = min(1 << 20, Self.bytesOfAllShards / shards)
    }
}
