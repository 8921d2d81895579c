import DispatcherDomain
import EscapementModel
import NIOCore
import TestSupport
import Testing
import TickerDomain
import WireProtocol

@testable import TickerService

/// A ticker counts what it plans, a lane what arrives, and neither knows the size of the next batch before it is made.
@Suite struct CreditTests {
    private static let shard = ShardID(0)
    private static let epoch = Epoch(1)
    private static let session = SessionID(1)
    private static let due = WallInstant(milliseconds: 1_800_000_000_000)

    private static func timers(
        _ count: Int, sizes: [Int], _ random: inout SeededRandom
    ) -> [ShardChange<[UInt8]>] {
        let templates = sizes.map { size in
            let template = FireTemplate(
                origin: .timer, namespace: "n", name: "t", payload: ByteBuffer(repeating: 120, count: size))
            return Array(template.encoded().readableBytesView)
        }
        return (0..<count).map { number in
            let bytes = templates[Int.random(in: templates.indices, using: &random)]
            return .timer(
                TimerEntry(
                    uid: UID(high: 1, low: UInt64(number)), revision: Revision(1), due: Self.due,
                    expireAfterMilliseconds: 0, payload: bytes, payloadBytes: bytes.count))
        }
    }

    @Test(
        arguments: 1...4 as ClosedRange<UInt64>,
        [(16, [0, 10]), (16, [0, 3000, 200_000, 600_000]), (4096, [0, 30_000])])
    func `a lane refuses nothing that a ticker has credit for`(seed: UInt64, cluster: (shards: Int, sizes: [Int]))
        throws
    {
        var random = SeededRandom(seed: seed)
        var limits = LaneLimits(shards: cluster.shards)
        // Some of what has arrived becomes durable at a time, not all.
        limits.roundBytesMax = limits.bytesMax / 2
        var lane = Lane<Int>(id: LaneID(0), epoch: Epoch(1), limits: limits)
        _ = lane.recovered(LaneMark(laneEpoch: Epoch(1), sequence: 0, shards: []))
        _ = lane.open(Self.shard, epoch: Self.epoch, session: Self.session)
        while lane.beginRound() != nil { _ = lane.commitRound() }
        var firing = ShardFiring<[UInt8]>(shard: Self.shard, epoch: Self.epoch, now: Self.due)
        firing.opened(cursor: .start, credit: Credit(batches: limits.batchesMax, bytes: limits.bytesMax))
        firing.snapshotRequested(horizon: Self.due)
        let count = Int.random(in: 1...9, using: &random) * 4_000_000 / ((cluster.sizes.max() ?? 0) + 5000)
        firing.load(Self.timers(count, sizes: cluster.sizes, &random), revision: Revision(1), last: true)
        var form = FireForm()
        var fired = 0
        while fired < count {
            while let batch = firing.plan(now: Self.due) {
                fired += batch.occurrences.count
                let bytes = Frame(form.message(of: batch)).payload.readableBytes
                form.clear()
                let refusal = lane.offer(
                    Lane.Offer(
                        session: Self.session, shard: Self.shard, epoch: Self.epoch, from: batch.from, to: batch.to,
                        byteCount: bytes, occurrenceCount: batch.occurrences.count, oldestDue: Self.due, payload: 0),
                    now: Self.due)
                try #require(refusal == nil)
            }
            try #require(lane.beginRound() != nil)
            for case .acknowledged(_, _, _, let cursor) in lane.commitRound() { firing.acknowledged(cursor) }
        }
    }
}
