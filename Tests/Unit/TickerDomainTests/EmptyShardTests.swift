import EscapementModel
import Testing
import TickerDomain

/// A shard that nothing was ever stored in: its revision is none, as that of "nothing is loaded".
@Suite struct EmptyShardTests {
    private let epoch = Epoch(5)
    private let shard = ShardID(0)

    private func at(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    private func timer(_ low: UInt64, due: Int64, _ revision: UInt64) -> ShardChange<Int> {
        .timer(
            TimerEntry(
                uid: UID(high: 0, low: low), revision: Revision(revision), due: self.at(due),
                expireAfterMilliseconds: 0, payload: 1, payloadBytes: 10))
    }

    private func words(_ actions: [TickerAction<Int>]) -> [String] {
        actions.map { action in
            switch action {
            case .open: "open"
            case .requestContents(_, _, _, _, let since): since == .none ? "snapshot" : "changes"
            default: "other"
            }
        }
    }

    /// A core that has loaded the empty shard and lost its leader.
    private func orphaned() -> TickerCore<Int> {
        var core = TickerCore<Int>(configuration: .init(), laneCount: 1, now: self.at(0))
        _ = core.feedReachable()
        _ = core.laneReachable(LaneID(0))
        _ = core.assigned(self.shard, epoch: self.epoch)
        self.open(&core)
        _ = core.page(self.shard, epoch: self.epoch, [], revision: .none, last: true)
        core.feedLost()
        return core
    }

    private func open(_ core: inout TickerCore<Int>) {
        _ = core.opened(self.shard, epoch: self.epoch, cursor: .start, credit: Credit(batches: 4, bytes: 1 << 20))
    }

    @Test func `what the next leader tells of an empty shard is fired`() {
        var core = self.orphaned()
        #expect(self.words(core.feedReachable()) == ["open"], "nothing is loaded: begin as for a new shard")
        let asked = core.opened(
            self.shard, epoch: self.epoch, cursor: .start, credit: Credit(batches: 4, bytes: 1 << 20))
        #expect(self.words(asked) == ["snapshot"])
        _ = core.page(self.shard, epoch: self.epoch, [self.timer(1, due: 500, 1)], revision: Revision(1), last: true)
        _ = core.delta(self.shard, [self.timer(2, due: 600, 2)], from: Revision(1), through: Revision(2))
        var dues: [Int64] = []
        core.tick(now: self.at(1000)) { action in
            if case .fire(_, let batch) = action { dues += batch.occurrences.map(\.due.milliseconds) }
        }
        #expect(dues == [500, 600])
    }
}
