import EscapementModel
import NIOCore
import TestSupport
import Testing
import WireProtocol

/// What tickers and dispatchers, dispatchers and leaders say to one another, byte by byte as it was recorded: a build that
/// writes or reads it otherwise cannot be rolled out beside one that does.
@Suite struct FireTranscriptTests {
    private typealias Old = TranscriptOfVersion1.Lane

    private static let due = WallInstant(milliseconds: 1_800_000_001_500)
    private static let from = Cursor(
        cron: Watermark(through: WallInstant(milliseconds: 1_800_000_001_000)),
        delay: Watermark(through: WallInstant(milliseconds: 1_800_000_001_000)), revision: Revision(1))
    private static let to = Cursor(
        cron: Watermark(through: Self.due), delay: Watermark(instant: Self.due, tie: UID(high: 9, low: 1)),
        revision: Revision(2))

    private static var batch: FireBatch {
        FireBatch(
            shard: ShardID(3), epoch: Epoch(1), from: Self.from, to: Self.to,
            occurrences: [
                FireOccurrence(
                    kind: .delay, uid: UID(high: 9, low: 1), generation: 1, scheduled: Self.due, due: Self.due,
                    outcome: .dispatched, reason: .dispatched, template: ByteBuffer(string: "one shot")),
                FireOccurrence(
                    kind: .cron, uid: UID(high: 5, low: 1), generation: 2,
                    scheduled: WallInstant(milliseconds: 1_800_000_001_000), due: Self.due, outcome: .skipped,
                    reason: .coalesced, count: 3, through: WallInstant(milliseconds: 1_800_000_001_200),
                    template: ByteBuffer(string: "every")),
            ])
    }

    /// The same both ways: our words have the recorded bytes, and the recorded bytes are understood as our words.
    private func expect<Message: WireMessage>(_ message: Message, _ recorded: String) throws {
        var buffer = ByteBuffer()
        Frame(message).write(to: &buffer)
        let bytes = buffer.readableBytesView.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0\(digits)" : digits
        }.joined()
        #expect(bytes == recorded, "\(Message.self)")
        var again = ByteBuffer()
        Frame(try RecordedFrame.read(recorded).decode(Message.self)).write(to: &again)
        #expect(again == buffer, "\(Message.self)")
    }

    @Test func `a shard's fires and what is answered to them`() throws {
        try self.expect(Open(shard: ShardID(3), epoch: Epoch(1)), Old.open)
        try self.expect(
            Opened(
                shard: ShardID(3), epoch: Epoch(1), cursor: Self.from, creditBatches: 4, creditBytes: 4_194_304),
            Old.opened)
        try self.expect(Self.batch, Old.fireBatch)
        try self.expect(FireAck(shard: ShardID(3), epoch: Epoch(1), cursor: Self.to), Old.fireAck)
        try self.expect(
            FireRefused(
                shard: ShardID(3), epoch: Epoch(1), code: .staleEpoch, seenEpoch: Epoch(2), detail: "opened by another"),
            Old.fireRefused)
    }

    @Test func `lanes given, taken and reported`() throws {
        try self.expect(LaneAssign(leaderEpoch: Epoch(1), lane: LaneID(1), epoch: Epoch(2)), Old.laneAssign)
        try self.expect(LaneRevoke(leaderEpoch: Epoch(1), lane: LaneID(1), epoch: Epoch(2)), Old.laneRevoke)
        try self.expect(LaneReleased(leaderEpoch: Epoch(1), lane: LaneID(1), epoch: Epoch(2)), Old.laneReleased)
        try self.expect(
            LaneView(
                leaderEpoch: Epoch(1), version: 7,
                entries: [
                    LaneView.Entry(
                        lane: LaneID(1), epoch: Epoch(2), node: NodeID("dispatcher-1"),
                        incarnation: Incarnation(UID(high: 0, low: 8)), address: "dispatcher-1:7400")
                ]), Old.laneView)
        try self.expect(
            ShardView(
                leaderEpoch: Epoch(1), version: 7,
                entries: [
                    ShardView.Entry(
                        shard: ShardID(3), epoch: Epoch(1), incarnation: Incarnation(UID(high: 0, low: 7)))
                ]), Old.shardView)
    }
}
