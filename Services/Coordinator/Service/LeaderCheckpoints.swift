import EscapementModel
import NIOCore
import Store
import WireProtocol

/// How far shards and lanes are, as their owners say: what a leader writes down now and then, and what a next owner is
/// told.
struct LeaderCheckpoints {
    /// How far each shard is settled, as its owner says; written at each checkpoint.
    private(set) var settled: [ShardID: WallInstant] = [:]
    /// The revision that belongs to it.
    private var revisions: [ShardID: Revision] = [:]
    /// Where each lane's journal stands, as the store and the lane's owner say, and which of it is not written yet.
    private var lanes: [LaneID: LaneCheckpoint]
    private var unwrittenLanes: Set<LaneID> = []

    init(lanes: [LaneCheckpoint]) {
        self.lanes = Dictionary(lanes.map { ($0.lane, $0) }, uniquingKeysWith: { _, last in last })
    }

    /// A shard's owner has settled so much.
    mutating func settled(_ shard: ShardID, through: WallInstant, revision: Revision) {
        self.settled[shard] = max(self.settled[shard] ?? through, through)
        self.revisions[shard] = max(self.revisions[shard] ?? .none, revision)
    }

    /// A lane's owner has written to the journal.
    mutating func progress(_ message: LaneProgress) {
        let known = self.lanes[message.lane]
        let isNewer = known.map { ($0.epoch, $0.sequence) < (message.epoch, message.sequence) } ?? true
        guard isNewer else { return }
        self.lanes[message.lane] = LaneCheckpoint(
            lane: message.lane, epoch: message.epoch, sequence: message.sequence,
            state: Array(message.state.readableBytesView))
        self.unwrittenLanes.insert(message.lane)
    }

    func revision(of shard: ShardID) -> Revision { self.revisions[shard] ?? .none }
    func lane(_ lane: LaneID) -> LaneCheckpoint? { self.lanes[lane] }

    /// The lanes to write, in order; they count as written.
    mutating func takeUnwrittenLanes() -> [LaneCheckpoint] {
        defer { self.unwrittenLanes = [] }
        return self.unwrittenLanes.sorted().compactMap { self.lanes[$0] }
    }

    /// They could not be written.
    mutating func notWritten(_ lanes: [LaneCheckpoint]) { self.unwrittenLanes.formUnion(lanes.map(\.lane)) }
}
