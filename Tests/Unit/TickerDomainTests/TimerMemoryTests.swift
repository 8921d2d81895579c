import EscapementModel
import Testing
import TickerDomain

/// How many timers a ticker has in memory: as many as the horizon brings, no more than the limit, and what is due
/// soon in any case.
@Suite struct TimerMemoryTests {
    private let shard = ShardID(0)
    private let pageSize = 10

    private func at(_ seconds: Int64) -> WallInstant { WallInstant(milliseconds: seconds * 1000) }

    private func entry(_ number: Int, due: WallInstant, revision: UInt64 = 1) -> TimerEntry<Int> {
        TimerEntry(
            uid: UID(high: 1, low: UInt64(number)), revision: Revision(revision), due: due, expireAfterMilliseconds: 0,
            payload: number, payloadBytes: 10)
    }

    /// Horizon 900 s, what is due within 60 s in any case.
    private func core(
        timersMax: Int, payloadBytesMax: Int = 1 << 30, _ snapshot: [TimerEntry<Int>] = []
    ) -> TickerCore<Int> {
        var core = TickerCore<Int>(
            configuration: .init(timersMax: timersMax, payloadBytesMax: payloadBytesMax), laneCount: 1,
            now: self.at(0))
        _ = core.feedReachable()
        _ = core.laneReachable(LaneID(0))
        _ = core.assigned(self.shard, epoch: Epoch(1))
        _ = core.opened(self.shard, epoch: Epoch(1), cursor: .start, credit: Credit(batches: 4, bytes: 1 << 20))
        _ = core.page(
            self.shard, epoch: Epoch(1), snapshot.map { .timer($0) }, revision: Revision(1), last: true)
        return core
    }

    private struct Question: Equatable {
        var after: Watermark
        var through: WallInstant
    }

    private func question(_ actions: [TickerAction<Int>]) -> Question? {
        actions.compactMap { action -> Question? in
            guard case .requestHorizon(_, _, let after, let through) = action else { return nil }
            return Question(after: after, through: through)
        }.first
    }

    /// Fires and acknowledges what is due; what was asked for meanwhile.
    private func turn(_ core: inout TickerCore<Int>, now: WallInstant, fired: inout [Int]) -> Question? {
        var actions: [TickerAction<Int>] = []
        core.tick(now: now) { actions.append($0) }
        for action in actions {
            guard case .fire(_, let batch) = action else { continue }
            fired += batch.occurrences.map(\.payload)
            _ = core.acknowledged(batch.shard, epoch: batch.epoch, cursor: batch.to)
        }
        return self.question(actions)
    }

    /// Answers a question from `store`, page by page, for as long as the core goes on asking.
    private func serve(_ question: Question, from store: [TimerEntry<Int>], to core: inout TickerCore<Int>) {
        var next: Question? = question
        while let current = next {
            let rest = store.filter { timer in
                Watermark(instant: timer.due, tie: timer.uid) > current.after && timer.due <= current.through
            }
            let page = Array(rest.prefix(self.pageSize))
            let actions = core.horizonPage(
                self.shard, epoch: Epoch(1), page, through: current.through, last: rest.count <= self.pageSize)
            next = self.question(actions)
        }
    }

    @Test func `a timer far ahead costs no memory, one that is due at once comes with the change`() {
        var core = self.core(timersMax: 1000)
        let far = self.entry(1, due: self.at(100 * 365 * 86_400), revision: 2)
        let soon = self.entry(2, due: WallInstant(milliseconds: 5), revision: 3)
        _ = core.delta(self.shard, [.timer(far)], from: Revision(1), through: Revision(2))
        #expect(core.timerCount == 0)
        _ = core.delta(self.shard, [.timer(soon)], from: Revision(2), through: Revision(3))
        #expect(core.timerCount == 1)
        var fired: [Int] = []
        _ = self.turn(&core, now: WallInstant(milliseconds: 4), fired: &fired)
        #expect(fired == [])
        _ = self.turn(&core, now: WallInstant(milliseconds: 5), fired: &fired)
        #expect(fired == [2])
    }

    @Test func `a shard fires with what is due within a minute, and asks for the rest at once`() throws {
        var core = self.core(timersMax: 1000)
        var fired: [Int] = []
        let question = try #require(self.turn(&core, now: self.at(1), fired: &fired))
        #expect(question == Question(after: Watermark(through: self.at(60)), through: self.at(901)))
    }

    /// One timer a second for half an hour, of which 100 fit.
    @Test func `loading pauses at the limit and goes on when a quarter is free, and nothing is late for it`()
        throws
    {
        let store = (1...1800).map { self.entry($0, due: self.at(Int64($0))) }
        var core = self.core(timersMax: 100, store.filter { $0.due <= self.at(60) })
        var fired: [Int] = []
        var most = 0
        var asked = 0
        for second in 0...1800 {
            if let question = self.turn(&core, now: self.at(Int64(second)), fired: &fired) {
                asked += 1
                self.serve(question, from: store, to: &core)
            }
            #expect(fired.last == (second == 0 ? nil : second), "the timer of second \(second)")
            most = max(most, core.timerCount)
        }
        #expect(fired == Array(1...1800))
        #expect((100...100 + self.pageSize).contains(most), "\(most) timers in memory at most")
        #expect(asked < 200, "\(asked) questions: loading goes on in larger pieces than it stops")
    }

    /// One timer a second for half an hour, of which the payloads of 100 fit.
    @Test func `payloads that are large pause loading before the number of timers does`() {
        let store = (1...1800).map { self.entry($0, due: self.at(Int64($0))) }
        var core = self.core(timersMax: 100_000, payloadBytesMax: 1000, store.filter { $0.due <= self.at(60) })
        #expect(core.payloadBytes == 600)
        var fired: [Int] = []
        var most = 0
        for second in 0...1800 {
            if let question = self.turn(&core, now: self.at(Int64(second)), fired: &fired) {
                self.serve(question, from: store, to: &core)
            }
            most = max(most, core.payloadBytes)
        }
        #expect(fired == Array(1...1800))
        #expect((1000...1000 + self.pageSize * 10).contains(most), "\(most) bytes in memory at most")
        #expect(core.payloadBytes == 0)
    }

    @Test func `what is due within a minute is loaded beyond the limit`() throws {
        let store = (1...500).map { self.entry($0, due: WallInstant(milliseconds: Int64($0) * 100)) }
        var core = self.core(timersMax: 100, store)
        #expect(core.timerCount == 500)
        var fired: [Int] = []
        for second in 0...50 { _ = self.turn(&core, now: self.at(Int64(second)), fired: &fired) }
        #expect(fired == Array(1...500))
    }

    @Test func `timers that come by changes beyond the limit are given back and loaded when it is their time`() throws {
        var core = self.core(timersMax: 100)
        var fired: [Int] = []
        let question = try #require(self.turn(&core, now: self.at(0), fired: &fired))
        self.serve(question, from: [], to: &core)
        // The horizon is reached: what is created within it comes at once.
        let store = (61...660).map { self.entry($0, due: self.at(Int64($0)), revision: 2) }
        _ = core.delta(self.shard, store.map { .timer($0) }, from: Revision(1), through: Revision(2))
        #expect(core.timerCount == 600)
        var most = 0
        for second in 1...660 {
            if let question = self.turn(&core, now: self.at(Int64(second)), fired: &fired) {
                self.serve(question, from: store, to: &core)
            }
            most = max(most, core.timerCount)
        }
        #expect(most <= 100 + self.pageSize, "\(most) timers in memory at most")
        #expect(fired == Array(61...660))
    }
}
