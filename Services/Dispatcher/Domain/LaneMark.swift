package import EscapementModel

/// Where a lane stands: what its journal, or a copy kept elsewhere, says of the last entry.
package struct LaneMark: Equatable, Sendable {
    /// Under which the entry was written; `none` when there is none.
    package var laneEpoch: Epoch
    package var sequence: UInt64
    /// All shards of the lane, sorted; empty when a copy was too large to keep them.
    package var shards: [ShardState]
    /// What is settled of the fires for HTTP targets.
    package var deliveries: SettledOffsets
    package var waiting: WaitingLine

    /// A lane that was never used.
    package static let unused = LaneMark(laneEpoch: .none, sequence: 0)

    package init(
        laneEpoch: Epoch, sequence: UInt64, shards: [ShardState] = [],
        deliveries: SettledOffsets = SettledOffsets(), waiting: WaitingLine = WaitingLine()
    ) {
        self.laneEpoch = laneEpoch
        self.sequence = sequence
        self.shards = shards
        self.deliveries = deliveries
        self.waiting = waiting
    }

    /// Whether this is older than `other`. Of two owners the later one counts: a former one that has not noticed may
    /// have written more entries, which nobody built upon.
    package func isBehind(_ other: LaneMark) -> Bool {
        (self.laneEpoch, self.sequence) < (other.laneEpoch, other.sequence)
    }

    /// The later of both.
    package static func later(_ left: LaneMark?, _ right: LaneMark?) -> LaneMark? {
        guard let left, let right else { return left ?? right }
        return left.isBehind(right) ? right : left
    }

    /// Where to go on when the journal stands here although it once stood at `checkpoint`: nothing that either of them
    /// settles is settled again. What the journal has lost after `checkpoint` is.
    package func resuming(from checkpoint: LaneMark) -> LaneMark {
        var states: [ShardID: ShardState] = [:]
        for state in self.shards { states[state.shard] = state }
        for state in checkpoint.shards {
            var merged = states[state.shard] ?? ShardState(shard: state.shard)
            merged.epoch = max(merged.epoch, state.epoch)
            if state.cursor.isAtLeast(merged.cursor) { merged.cursor = state.cursor }
            states[state.shard] = merged
        }
        return LaneMark(
            laneEpoch: self.laneEpoch, sequence: max(self.sequence, checkpoint.sequence),
            shards: states.values.sorted { $0.shard < $1.shard },
            deliveries: self.deliveries.union(checkpoint.deliveries),
            waiting: self.waiting.settled.next >= checkpoint.waiting.settled.next ? self.waiting : checkpoint.waiting)
    }
}

/// What to do with a lane whose journal has lost acknowledged records.
package enum JournalLossPolicy: Sendable {
    /// Publish nothing until an operator decides.
    case halt
    /// Go on from the later of the journal and the leader's checkpoint; what lies between is fired again.
    case resume
}
