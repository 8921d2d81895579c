import EscapementModel
import Testing
import TickerDomain

/// A shard that is loaded while another ticker still fires it.
@Suite struct PreparedShardTests {
    private let shard = ShardID(0)

    private func at(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    private func timer(_ low: UInt64, due: Int64, _ revision: UInt64) -> ShardChange<Int> {
        .timer(
            TimerEntry(
                uid: UID(high: 0, low: low), revision: Revision(revision), due: self.at(due),
                expireAfterMilliseconds: 0, payload: 1, payloadBytes: 10))
    }

    private func cursor(_ instant: Int64, _ revision: UInt64) -> Cursor {
        Cursor(
            cron: Watermark(through: self.at(instant)), delay: Watermark(through: self.at(instant)),
            revision: Revision(revision))
    }

    private func words(_ actions: [TickerAction<Int>]) -> [String] {
        actions.compactMap { action in
            switch action {
            case .open(_, _, let epoch): "open \(epoch)"
            case .requestContents(_, let epoch, _, _, let since): "contents \(epoch) since \(since)"
            case .prepared(_, let epoch): "prepared \(epoch)"
            case .requestHorizon, .fire, .release, .releaseStale: "other"
            case .note: nil
            }
        }
    }

    private func fires(_ core: inout TickerCore<Int>, now: Int64) -> [Int64] {
        var dues: [Int64] = []
        core.tick(now: self.at(now)) { action in
            if case .fire(_, let batch) = action { dues += batch.occurrences.map(\.due.milliseconds) }
        }
        return dues
    }

    /// Timers due at 500, 600 and 700 are loaded at revision 3; the owner has epoch 5.
    private func prepared() -> TickerCore<Int> {
        var core = TickerCore<Int>(configuration: .init(), laneCount: 1, now: self.at(0))
        _ = core.feedReachable()
        _ = core.laneReachable(LaneID(0))
        #expect(
            self.words(core.prepare(self.shard, epoch: Epoch(5), cursor: self.cursor(100, 1)))
                == ["contents 5 since 0"])
        #expect(
            self.words(
                core.page(
                    self.shard, epoch: Epoch(5),
                    [self.timer(1, due: 500, 1), self.timer(2, due: 600, 2), self.timer(3, due: 700, 3)],
                    revision: Revision(3), last: true)) == ["prepared 5"])
        return core
    }

    @Test func `what is loaded ahead fires nothing before it is given, and then only what the owner had left`() {
        var core = self.prepared()
        #expect(self.fires(&core, now: 550).isEmpty, "it is not ours")
        #expect(core.holdingsInOrder.isEmpty, "and the leader is not told that it is")
        #expect(self.words(core.assigned(self.shard, epoch: Epoch(6))) == ["open 6", "contents 6 since 3"])
        _ = core.opened(
            self.shard, epoch: Epoch(6), cursor: self.cursor(550, 3), credit: Credit(batches: 4, bytes: 1 << 20))
        #expect(self.fires(&core, now: 1000) == [600, 700])
    }

    @Test func `what the owner knew and this ticker does not holds everything up`() {
        var core = self.prepared()
        _ = core.assigned(self.shard, epoch: Epoch(6))
        _ = core.opened(
            self.shard, epoch: Epoch(6), cursor: self.cursor(550, 4), credit: Credit(batches: 4, bytes: 1 << 20))
        #expect(self.fires(&core, now: 620).isEmpty, "the cursor stands at a revision that is not loaded")
        _ = core.delta(self.shard, [self.timer(4, due: 540, 4)], from: Revision(3), through: Revision(4))
        #expect(self.fires(&core, now: 1000) == [600, 700], "540 was the former owner's")
    }

    @Test func `changes reach what is loaded ahead, and a gap makes it useless`() {
        var core = self.prepared()
        _ = core.delta(self.shard, [self.timer(4, due: 800, 4)], from: Revision(3), through: Revision(4))
        _ = core.delta(self.shard, [self.timer(6, due: 900, 6)], from: Revision(5), through: Revision(6))
        #expect(self.words(core.assigned(self.shard, epoch: Epoch(6))) == ["open 6"], "loaded like any other shard")
    }

    @Test func `what does not reach to the cursor is loaded anew, with what came late`() {
        var core = self.prepared()
        #expect(self.words(core.assigned(self.shard, epoch: Epoch(6))) == ["open 6", "contents 6 since 3"])
        #expect(self.fires(&core, now: 80_000).isEmpty, "the lane is out of reach for this ticker")
        // Due beyond what is loaded, which ends after a minute.
        _ = core.delta(self.shard, [self.timer(4, due: 70_000, 4)], from: Revision(3), through: Revision(4))
        // The former owner, cut off from the leader, has gone on without the news.
        let actions = core.opened(
            self.shard, epoch: Epoch(6), cursor: self.cursor(80_000, 3), credit: Credit(batches: 4, bytes: 1 << 20))
        #expect(self.words(actions) == ["contents 6 since 0"])
        #expect(self.fires(&core, now: 80_001).isEmpty)
        _ = core.page(
            self.shard, epoch: Epoch(6), [self.timer(4, due: 70_000, 4)], revision: Revision(4), last: true)
        #expect(self.fires(&core, now: 80_002) == [70_000])
    }

    @Test func `it is forgotten after a while, and when the leader is lost`() {
        var core = self.prepared()
        #expect(self.fires(&core, now: 30_000).isEmpty)
        #expect(self.words(core.assigned(self.shard, epoch: Epoch(6))) == ["open 6"])
        core = self.prepared()
        core.feedLost()
        _ = core.feedReachable()
        #expect(self.words(core.assigned(self.shard, epoch: Epoch(6))) == ["open 6"])
    }
}
