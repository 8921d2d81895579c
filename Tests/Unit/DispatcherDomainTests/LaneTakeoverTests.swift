import DispatcherDomain
import EscapementModel
import Testing

@Suite struct LaneTakeoverTests {
    private let state = ShardState(shard: ShardID(3), epoch: Epoch(4), cursor: LaneFixture.cursor(5000))

    private func stored(_ offset: Int64, epoch: UInt64 = 1, sequence: UInt64 = 0, _ body: JournalRecord.Body?)
        -> StoredJournalRecord
    {
        StoredJournalRecord(
            offset: offset,
            record: body.map {
                JournalRecord(
                    lane: LaneID(0), laneEpoch: Epoch(epoch), sequence: sequence, dispatcher: NodeID("d"), body: $0)
            })
    }

    @Test func `an empty journal is a lane that was never used`() {
        let takeover = LaneTakeover(epoch: Epoch(2), low: 0, barrier: 0)
        #expect(takeover.first == .done(.unused))
    }

    @Test func `the last entry before the own barrier is where the lane stands`() {
        var takeover = LaneTakeover(epoch: Epoch(9), low: 0, barrier: 10)
        #expect(takeover.first == .read(from: 0, through: 10))
        let step = takeover.read([
            self.stored(1, sequence: 5, .entry([], [])), self.stored(3, sequence: 6, .entry([self.state], [])),
            self.stored(5, epoch: 3, .barrier(nonce: .zero)), self.stored(6, nil),
            self.stored(7, sequence: 7, .part([])),
        ])
        #expect(step == .done(LaneMark(laneEpoch: Epoch(1), sequence: 6, shards: [self.state])))
    }

    @Test func `it reads backwards in steps that double, up to a bound`() {
        var takeover = LaneTakeover(epoch: Epoch(9), low: 0, barrier: 20_000)
        #expect(takeover.first == .read(from: 19_968, through: 20_000))
        var steps: [Int64] = []
        var step = takeover.read([])
        while case .read(let from, let through) = step {
            steps.append(through - from)
            step = takeover.read([])
        }
        #expect(Array(steps.prefix(8)) == [64, 128, 256, 512, 1024, 2048, 4096, 4096])
        #expect(steps.max() == LaneTakeover.stepCountMax)
        #expect(steps.reduce(32, +) == 20_000)
        #expect(step == .done(.unused))
    }

    @Test func `a higher lane epoch means that somebody else owns the lane`() {
        var takeover = LaneTakeover(epoch: Epoch(4), low: 0, barrier: 10)
        #expect(takeover.read([self.stored(2, epoch: 5, .barrier(nonce: .zero))]) == .superseded(by: Epoch(5)))
    }

    @Test func `a former owner that wrote after its successor does not count`() {
        var takeover = LaneTakeover(epoch: Epoch(9), low: 0, barrier: 10)
        let step = takeover.read([
            self.stored(1, epoch: 5, sequence: 8, .entry([self.state], [])),
            self.stored(2, epoch: 4, sequence: 7, .entry([], [])),
        ])
        #expect(step == .done(LaneMark(laneEpoch: Epoch(5), sequence: 8, shards: [self.state])))
    }

    @Test func `what retention took is not asked for`() {
        var takeover = LaneTakeover(epoch: Epoch(9), low: 990, barrier: 1000)
        #expect(takeover.first == .read(from: 990, through: 1000))
        #expect(takeover.read([]) == .done(.unused))
    }
}
