import EscapementModel
import Scheduling
import Testing
import TickerDomain

/// New rules of a time zone reach the schedules that are held.
@Suite struct ZoneChangeTests {
    private let epoch = Epoch(5)
    private let shard = ShardID(0)

    private func at(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    private func schedule(dues: [Int64], zone: String) -> ShardChange<Int> {
        .schedule(
            ScheduleEntry(
                uid: UID(high: 0, low: 1), generation: 1, kind: .cron, createdRevision: Revision(1), replaces: false,
                from: self.at(0), endedRevision: nil, until: nil, plan: ListPlan(dues: dues, zone: zone), payload: 1,
                payloadBytes: 10))
    }

    private func cursor(_ instant: Int64) -> Cursor {
        Cursor(
            cron: Watermark(through: self.at(instant)), delay: Watermark(through: self.at(instant)),
            revision: Revision(1))
    }

    /// A core that fires shard 0 from the cursor 0, with a schedule in `Europe/Paris`.
    private func core(now: Int64) -> TickerCore<Int> {
        var core = TickerCore<Int>(configuration: .init(), laneCount: 1, now: self.at(now))
        _ = core.feedReachable()
        _ = core.laneReachable(LaneID(0))
        _ = core.assigned(self.shard, epoch: self.epoch)
        self.open(&core, at: 0)
        self.load(&core, dues: [1000, 5000])
        return core
    }

    private func open(_ core: inout TickerCore<Int>, at instant: Int64) {
        _ = core.opened(
            self.shard, epoch: self.epoch, cursor: self.cursor(instant), credit: Credit(batches: 4, bytes: 1 << 20))
    }

    private func load(_ core: inout TickerCore<Int>, dues: [Int64]) {
        _ = core.page(
            self.shard, epoch: self.epoch, [self.schedule(dues: dues, zone: "Europe/Paris")], revision: Revision(1),
            last: true)
    }

    private func fires(_ core: inout TickerCore<Int>, now: Int64) -> [Int64] {
        var dues: [Int64] = []
        core.tick(now: self.at(now)) { action in
            if case .fire(_, let batch) = action { dues += batch.occurrences.map(\.due.milliseconds) }
        }
        return dues
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

    @Test func `schedules of a changed zone are loaded again and go on from the lane's cursor`() {
        var core = self.core(now: 500)
        #expect(self.fires(&core, now: 1000) == [1000])
        #expect(self.words(core.zonesChanged(["Europe/Paris"])) == ["open"])
        #expect(self.fires(&core, now: 1200).isEmpty, "nothing fires by rules that are out of date")
        // What was in flight had been committed: the lane says so.
        self.open(&core, at: 1000)
        self.load(&core, dues: [1000, 1500])
        #expect(self.fires(&core, now: 5000) == [1500], "by the new rules, and nothing twice")
    }

    @Test func `other zones leave a shard alone`() {
        var core = self.core(now: 500)
        #expect(core.zonesChanged(["Asia/Tokyo"]).isEmpty)
        #expect(self.fires(&core, now: 1000) == [1000])
    }

    @Test func `without a leader the shard goes on with what it holds until there is one`() {
        var core = self.core(now: 500)
        core.feedLost()
        #expect(core.zonesChanged(["Europe/Paris"]).isEmpty)
        #expect(self.fires(&core, now: 1000) == [1000])
        #expect(self.words(core.feedReachable()).first == "open")
    }

    @Test func `a shard that is being given back is not loaded again`() {
        var core = self.core(now: 500)
        #expect(self.fires(&core, now: 1000) == [1000])
        _ = core.revoked(self.shard, epoch: self.epoch)
        #expect(core.zonesChanged(["Europe/Paris"]).isEmpty)
    }
}
