import EscapementModel
import NIOCore
import WireProtocol

/// A ticker with one shard a lane that has everything due at once: sends as its credit allows.
final class TickerFeeder: Sendable {
    private let link: any MessageLink
    private let incarnation: Incarnation
    private let epoch: Epoch
    private let lanes: Int
    private let replies: AsyncStream<Frame>

    init(link: any MessageLink, incarnation: Incarnation, epoch: Epoch, lanes: Int) {
        self.link = link
        self.incarnation = incarnation
        self.epoch = epoch
        self.lanes = lanes
        self.replies = link.frames
    }

    private var shards: [ShardID] { (0..<self.lanes).map { ShardID(UInt16($0)) } }

    /// Greets, and opens every shard; their credits.
    func open() async throws -> [ShardID: Credit] {
        self.link.send(
            Hello(
                cluster: FireSample.cluster, incarnation: self.incarnation, listenAddress: "",
                shardCount: UInt32(self.lanes), laneCount: UInt32(self.lanes), build: "bench",
                clock: SystemClocks().wallNow(), instance: "ticker-1"))
        var credits: [ShardID: Credit] = [:]
        for await frame in self.replies {
            switch MessageKind(rawValue: frame.kind) {
            case .helloAck:
                for shard in self.shards { self.link.send(Open(shard: shard, epoch: self.epoch)) }
            case .opened:
                let opened = try frame.decode(Opened.self)
                credits[opened.shard] = Credit(batches: Int(opened.creditBatches), bytes: Int(opened.creditBytes))
                if credits.count == self.lanes { return credits }
            case .fireRefused:
                let refused = try frame.decode(FireRefused.self)
                // The dispatcher has waited a while for its lane or for the leader's view.
                guard [.notLaneOwner, .notShardOwner].contains(refused.code) else {
                    throw BenchError("the dispatcher does not open shard \(refused.shard): \(refused.code)")
                }
                self.link.send(Open(shard: refused.shard, epoch: self.epoch))
            default: continue
            }
        }
        throw self.ended
    }

    /// Batches of each shard, in order, from the cursors on: of `count` fires in all or somewhat more.
    func frames(
        _ count: Int, from cursors: inout [ShardID: Cursor], due: WallInstant, _ template: ByteBuffer
    ) -> [ShardID: [Frame]] {
        let perShard = (count + self.lanes * FireSample.batchCount - 1) / (self.lanes * FireSample.batchCount)
        var frames: [ShardID: [Frame]] = [:]
        for shard in self.shards {
            var cursor = cursors[shard] ?? .start
            frames[shard] = (0..<perShard).map { _ in
                Frame(FireSample.batch(shard, epoch: self.epoch, from: &cursor, now: due, template: template))
            }
            cursors[shard] = cursor
        }
        return frames
    }

    /// Sends them all, and waits until they are acknowledged.
    func feed(_ frames: [ShardID: [Frame]], _ credits: [ShardID: Credit]) async throws {
        var queues = credits.mapValues { Queue(credit: $0) }
        for (shard, frames) in frames {
            queues[shard]?.waiting = frames[...]
            queues[shard]?.send(to: self.link)
        }
        var missing = frames.values.reduce(0) { $0 + $1.count }
        guard missing > 0 else { return }
        for await frame in self.replies {
            switch MessageKind(rawValue: frame.kind) {
            case .fireAck:
                missing -= 1
                if missing == 0 { return }
                queues[try frame.decode(FireAck.self).shard]?.acknowledged(on: self.link)
            case .fireRefused:
                let refused = try frame.decode(FireRefused.self)
                throw BenchError("the dispatcher refuses a batch of shard \(refused.shard): \(refused.code)")
            default: continue
            }
        }
        throw self.ended
    }

    private var ended: BenchError {
        BenchError("the dispatcher closed the link: \(self.link.failure.map { "\($0)" } ?? "without a reason")")
    }

    /// What of a shard may be on its way.
    struct Credit {
        var batches: Int
        var bytes: Int
    }

    /// One shard's batches.
    private struct Queue {
        let credit: Credit
        var waiting: ArraySlice<Frame> = []
        /// Sizes of those on their way, the oldest first.
        private var sent: [Int] = []

        init(credit: Credit) { self.credit = credit }

        mutating func acknowledged(on link: any MessageLink) {
            self.sent.removeFirst()
            self.send(to: link)
        }

        /// Sends what the credit allows, as a ticker does.
        mutating func send(to link: any MessageLink) {
            while self.sent.count < self.credit.batches, self.sent.reduce(0, +) < self.credit.bytes,
                let frame = self.waiting.popFirst()
            {
                link.send(frame)
                self.sent.append(frame.payload.readableBytes)
            }
        }
    }
}
