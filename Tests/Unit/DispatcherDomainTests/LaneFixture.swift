import DispatcherDomain
import EscapementModel
import Testing

/// A lane whose journal was read, with shorthand for what tickers do.
struct LaneFixture {
    static let now = WallInstant(milliseconds: 1_000_000)
    static let first = SessionID(1)
    static let second = SessionID(2)

    var lane: Lane<Int>

    init(limits: LaneLimits = LaneLimits(), shards: [ShardState] = [], sequence: UInt64 = 0) {
        self.lane = Lane(id: LaneID(0), epoch: Epoch(7), limits: limits)
        _ = self.lane.recovered(LaneMark(laneEpoch: .none, sequence: sequence, shards: shards))
        // The restatement that every takeover begins with.
        _ = self.lane.beginRound()
        _ = self.lane.commitRound()
    }

    static func cursor(_ milliseconds: Int64) -> Cursor {
        let mark = Watermark(through: WallInstant(milliseconds: milliseconds))
        return Cursor(cron: mark, delay: mark, revision: Revision(1))
    }

    /// Opens the shard and makes the fence durable.
    mutating func opened(_ shard: UInt16, epoch: UInt64 = 1, by session: SessionID = first) -> [LaneReply] {
        if let refusal = self.lane.open(ShardID(shard), epoch: Epoch(epoch), session: session) { return [refusal] }
        return self.publish()
    }

    mutating func offer(
        _ shard: UInt16 = 3, epoch: UInt64 = 1, by session: SessionID = first, from: Cursor, to: Cursor,
        bytes: Int = 10, occurrences: Int = 1, oldestDue: WallInstant? = nil, payload: Int = 0
    ) -> LaneReply? {
        self.lane.offer(
            Lane<Int>.Offer(
                session: session, shard: ShardID(shard), epoch: Epoch(epoch), from: from, to: to, byteCount: bytes,
                occurrenceCount: occurrences, oldestDue: oldestDue ?? to.cron.instant, payload: payload), now: Self.now)
    }

    /// A round that must be there.
    mutating func begin() throws -> Lane<Int>.Round {
        let round = self.lane.beginRound()
        return try #require(round)
    }

    /// One round, if there is something to publish.
    mutating func publish() -> [LaneReply] { self.lane.beginRound() == nil ? [] : self.lane.commitRound() }
}
