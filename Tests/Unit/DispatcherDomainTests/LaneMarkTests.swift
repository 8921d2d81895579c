import DispatcherDomain
import EscapementModel
import Testing

@Suite struct LaneMarkTests {
    private func cursor(_ milliseconds: Int64) -> Cursor {
        let mark = Watermark(through: WallInstant(milliseconds: milliseconds))
        return Cursor(cron: mark, delay: mark, revision: Revision(1))
    }

    private func mark(_ epoch: UInt64, _ sequence: UInt64, _ states: [ShardState] = [], parked: Int64 = 0) -> LaneMark {
        LaneMark(laneEpoch: Epoch(epoch), sequence: sequence, shards: states, deliveries: SettledOffsets(next: parked))
    }

    @Test func `a later owner counts more than what a former one wrote beyond it`() {
        #expect(self.mark(3, 9).isBehind(self.mark(3, 10)))
        #expect(!self.mark(3, 10).isBehind(self.mark(3, 10)))
        #expect(!self.mark(4, 5).isBehind(self.mark(3, 10)))
        #expect(LaneMark.unused.isBehind(self.mark(1, 1)))
        #expect(LaneMark.later(self.mark(4, 5), self.mark(3, 10)) == self.mark(4, 5))
        #expect(LaneMark.later(nil, self.mark(3, 10)) == self.mark(3, 10))
    }

    @Test func `going on from a checkpoint settles nothing again that either settles`() {
        let journal = self.mark(
            2, 5,
            [
                ShardState(shard: ShardID(0), epoch: Epoch(7), cursor: self.cursor(100)),
                ShardState(shard: ShardID(4), epoch: Epoch(2), cursor: self.cursor(900)),
            ], parked: 3)
        let checkpoint = self.mark(
            3, 8,
            [
                ShardState(shard: ShardID(0), epoch: Epoch(6), cursor: self.cursor(300)),
                ShardState(shard: ShardID(4), epoch: Epoch(3), cursor: self.cursor(500)),
                ShardState(shard: ShardID(8), epoch: Epoch(1), cursor: self.cursor(200)),
            ], parked: 2)
        #expect(
            journal.resuming(from: checkpoint)
                == self.mark(
                    2, 8,
                    [
                        ShardState(shard: ShardID(0), epoch: Epoch(7), cursor: self.cursor(300)),
                        ShardState(shard: ShardID(4), epoch: Epoch(3), cursor: self.cursor(900)),
                        ShardState(shard: ShardID(8), epoch: Epoch(1), cursor: self.cursor(200)),
                    ], parked: 3))
    }
}
