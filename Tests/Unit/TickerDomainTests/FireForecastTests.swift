import EscapementModel
import Scheduling
import Testing
import TickerDomain

/// What will be due soon, as operators see it.
@Suite struct FireForecastTests {
    private static let epoch = Epoch(5)

    private static func at(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    private static func uid(_ number: Int) -> UID { UID(high: 0, low: UInt64(number)) }

    private static func schedule(_ number: Int, dues: [Int64]) -> ShardChange<Int> {
        .schedule(
            ScheduleEntry(
                uid: Self.uid(number), generation: 1, kind: .cron, createdRevision: Revision(1), replaces: false,
                from: Self.at(0), endedRevision: nil, until: nil, plan: ListPlan(dues: dues), payload: 1,
                payloadBytes: 10))
    }

    private static func timer(_ number: Int, due: Int64) -> ShardChange<Int> {
        .timer(
            TimerEntry(
                uid: Self.uid(number), revision: Revision(1), due: Self.at(due), expireAfterMilliseconds: 0,
                payload: 1, payloadBytes: 10))
    }

    /// A core at 0 that fires these shards.
    private static func core(_ shards: [UInt16: [ShardChange<Int>]]) -> TickerCore<Int> {
        var core = TickerCore<Int>(
            configuration: .init(horizon: .seconds(7200), lead: .seconds(3600)), laneCount: 1, now: Self.at(0))
        _ = core.feedReachable()
        _ = core.laneReachable(LaneID(0))
        let cursor = Cursor(
            cron: Watermark(through: Self.at(0)), delay: Watermark(through: Self.at(0)), revision: Revision(1))
        for (number, changes) in shards.sorted(by: { $0.key < $1.key }) {
            let shard = ShardID(number)
            _ = core.assigned(shard, epoch: Self.epoch)
            _ = core.opened(shard, epoch: Self.epoch, cursor: cursor, credit: Credit(batches: 4, bytes: 1 << 20))
            _ = core.page(shard, epoch: Self.epoch, changes, revision: Revision(1), last: true)
        }
        return core
    }

    private static func counts(_ forecast: FireForecast) -> [Int] { FireForecast.Horizon.allCases.map { forecast[$0] } }

    @Test func `schedules count as often as they will be due, one-shots once, in each horizon`() {
        var core = Self.core([
            0: [
                // Every ten seconds: 6, 30 and 360 times.
                Self.schedule(1, dues: (1...1000).map { Int64($0) * 10_000 }),
                // In an hour and a second.
                Self.schedule(2, dues: [3_601_000, 7_202_000]),
                Self.timer(3, due: 60_000), Self.timer(4, due: 60_001), Self.timer(5, due: 3_600_001),
            ],
            // Once more, and never again.
            7: [Self.schedule(6, dues: [299_000])],
        ])
        let forecast = core.forecast(allowance: 1_000_000)
        #expect(forecast.map(Self.counts) == [6 + 1, 30 + 2 + 1, 360 + 2 + 1])
    }

    @Test func `a large shard is looked at in turns, and nothing is counted twice`() {
        let changes = (1...100).map { Self.timer($0, due: Int64($0) * 100) }
        var core = Self.core([3: changes, 4: changes.map { $0 }])
        for _ in 0..<3 {
            var turns = 1
            var forecast = core.forecast(allowance: 30)
            while forecast == nil, turns < 100 {
                turns += 1
                forecast = core.forecast(allowance: 30)
            }
            #expect(turns == 7, "200 records, 30 at a time")
            #expect(forecast.map(Self.counts) == [200, 200, 200])
        }
    }

    @Test func `a shard that is taken away between two turns is left out from there on`() {
        let changes = (1...40).map { Self.timer($0, due: Int64($0) * 100) }
        var core = Self.core([1: changes, 2: changes, 3: changes])
        let early = core.forecast(allowance: 50)
        #expect(early == nil)
        _ = core.revoked(ShardID(2), epoch: Self.epoch)
        let phase = core.phase(of: ShardID(2))
        #expect(phase == nil)
        let forecast = core.forecast(allowance: 1000)
        #expect(forecast.map(Self.counts) == [90, 90, 90], "40 of the first, 10 seen of the second, 40 of the third")
    }

    @Test func `a ticker without shards expects nothing`() {
        var core = Self.core([:])
        let forecast = core.forecast(allowance: 1)
        #expect(forecast.map(Self.counts) == [0, 0, 0])
    }
}
