import EscapementModel
import Scheduling
import TestSupport
import Testing
import TickerDomain

/// Whom a herd delays: nobody but those behind it in its own shard and kind, and the turn is bounded.
@Suite struct HerdTests {
    private func at(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    private func timer(_ number: UInt64, due: Int64, revision: UInt64 = 1) -> ShardChange<Int> {
        .timer(
            TimerEntry(
                uid: UID(high: 1, low: number), revision: Revision(revision), due: self.at(due),
                expireAfterMilliseconds: 0, payload: 1, payloadBytes: 10))
    }

    private func schedule(_ number: UInt64, dues: [Int64]) -> ShardChange<Int> {
        .schedule(
            ScheduleEntry(
                uid: UID(high: 0, low: number), generation: 1, kind: .cron, createdRevision: Revision(1),
                replaces: false, from: self.at(0), endedRevision: nil, until: nil, plan: ListPlan(dues: dues),
                payload: 2, payloadBytes: 10))
    }

    /// A core whose shards hold `contents` and fire.
    private func core(_ contents: [[ShardChange<Int>]], batches: Int = 100, lanes: Int = 1) -> TickerCore<Int> {
        var core = TickerCore<Int>(configuration: .init(), laneCount: lanes, now: self.at(0))
        _ = core.feedReachable()
        for lane in 0..<lanes { _ = core.laneReachable(LaneID(UInt16(lane))) }
        for (number, changes) in contents.enumerated() {
            let shard = ShardID(UInt16(number))
            _ = core.assigned(shard, epoch: Epoch(1))
            _ = core.opened(
                shard, epoch: Epoch(1), cursor: .start, credit: Credit(batches: batches, bytes: 100 << 20))
            _ = core.page(shard, epoch: Epoch(1), changes, revision: Revision(1), last: true)
        }
        return core
    }

    /// A turn in which the way to a lane takes so many batches; any number where nothing is said.
    private func turn(_ core: inout TickerCore<Int>, now: Int64, room: [LaneID: Int] = [:]) -> [PlannedBatch<Int>] {
        var batches: [PlannedBatch<Int>] = []
        var left = room
        core.tick(now: self.at(now), hasRoom: { left[$0, default: 1] > 0 }) { action in
            guard case .fire(let lane, let batch) = action else { return }
            left[lane]? -= 1
            batches.append(batch)
        }
        return batches
    }

    @Test func `a herd of timers holds up no schedule of its shard, nor the other way round`() throws {
        let herd = (0..<5000).map { self.timer(UInt64($0), due: 1000) }
        var timers = self.core([herd + [self.schedule(1, dues: [1005, 2000])]])
        let first = try #require(self.turn(&timers, now: 1010).first)
        #expect(first.occurrences.contains { $0.due == self.at(1005) && $0.payload == 2 })
        #expect(first.occurrences.count == 1000, "and the batch is full all the same")
        #expect(first.to.cron == Watermark(through: self.at(1010)))
        #expect(first.to.delay < Watermark(through: self.at(1000)))

        let crowd = (0..<5000).map { self.schedule(UInt64($0), dues: [1000]) }
        var schedules = self.core([crowd + [self.timer(1, due: 1005)]])
        let other = try #require(self.turn(&schedules, now: 1010).first)
        #expect(other.occurrences.contains { $0.due == self.at(1005) && $0.payload == 1 })
    }

    @Test func `two herds in one shard share its batches`() throws {
        let herd = (0..<3000).map { self.timer(UInt64($0), due: 1000) }
        let crowd = (0..<3000).map { self.schedule(UInt64($0), dues: [1001]) }
        var core = self.core([herd + crowd])
        let batches = self.turn(&core, now: 1010)
        #expect(batches.prefix(6).allSatisfy { batch in batch.occurrences.count { $0.payload == 2 } == 500 })
        #expect(batches.flatMap(\.occurrences).count == 6000)
        for (earlier, later) in zip(batches, batches.dropFirst()) { #expect(earlier.to == later.from) }
    }

    @Test func `what is little leaves before a herd, whatever the number of its shard`() throws {
        let herd = (0..<5000).map { self.timer(UInt64($0), due: 1000) }
        var core = self.core([herd, herd, [self.timer(7, due: 1004)]])
        let batches = self.turn(&core, now: 1005)
        #expect(batches.first?.shard == ShardID(2))
        #expect(batches.dropFirst().prefix(4).map(\.shard.rawValue) == [0, 1, 0, 1], "herds take turns")
    }

    @Test func `a turn is bounded, the next one is due at once and goes on behind the last shard`() throws {
        let herd = (0..<9000).map { self.timer(UInt64($0), due: 1000) }
        var core = self.core([herd, herd, herd, herd])
        let first = self.turn(&core, now: 1005)
        let count = first.reduce(0) { $0 + $1.occurrences.count }
        let bound = TickerCore<Int>.firesPerTurnMax
        #expect((bound..<bound + 1000).contains(count))
        #expect(core.nextWake == self.at(1005), "more is due now")
        let last = try #require(first.last?.shard.rawValue)
        // What falls due meanwhile in a shard without a herd does not wait for the end of the herds.
        let second = self.turn(&core, now: 1006)
        #expect(second.first?.shard.rawValue == (last + 1) % 4)
        var total = count + second.reduce(0) { $0 + $1.occurrences.count }
        while let wake = core.nextWake, wake <= self.at(1006) {
            total += self.turn(&core, now: 1006).reduce(0) { $0 + $1.occurrences.count }
        }
        #expect(total == 36_000)
    }

    @Test func `a batch has half of the credit at most, so that the next one need not wait for it`() throws {
        var core = self.core([[]])
        _ = core.laneLost(LaneID(0))
        _ = core.laneReachable(LaneID(0))
        _ = core.opened(ShardID(0), epoch: Epoch(1), cursor: .start, credit: Credit(batches: 4, bytes: 7400))
        let herd = (0..<300).map { self.timer(UInt64($0) + 10, due: 1000, revision: 2) }
        _ = core.delta(ShardID(0), herd, from: Revision(1), through: Revision(2))
        // Each counts for its 10 bytes and 64 more.
        #expect(self.turn(&core, now: 1005).map(\.occurrences.count) == [50, 50])
    }

    // MARK: Ways that are full

    @Test func `a way that is full holds up nobody else, and nobody wakes for it`() {
        let herd = (0..<3000).map { self.timer(UInt64($0), due: 1000) }
        var core = self.core([herd, herd, herd, herd], lanes: 2)
        let (full, free) = (LaneID(0), LaneID(1))
        let lanes = (0..<4).map { ShardID(UInt16($0)).lane(of: 2) }
        let first = self.turn(&core, now: 1005, room: [full: 1])
        #expect(first.count { lanes[Int($0.shard.rawValue)] == full } == 1)
        #expect(first.filter { lanes[Int($0.shard.rawValue)] == free }.flatMap(\.occurrences).count == 6000)
        // The horizon may be asked for again, later.
        #expect(core.nextWake.map { $0 > self.at(1005) } ?? true, "there is nothing to do")
        #expect(self.turn(&core, now: 1006).isEmpty, "whoever found it full waits to be told")
        #expect(core.overdueCount == 5000)
        core.roomAgain()
        #expect(core.nextWake.map { $0 <= self.at(1006) } == true)
        let rest = self.turn(&core, now: 1006)
        #expect(rest.flatMap(\.occurrences).count == 5000)
        for shard in 0..<4 {
            let batches = (first + rest).filter { $0.shard == ShardID(UInt16(shard)) }
            #expect(Set(batches.flatMap { $0.occurrences.map(\.uid) }).count == 3000)
            for (earlier, later) in zip(batches, batches.dropFirst()) { #expect(earlier.to == later.from) }
        }
    }

    @Test(arguments: [100, 4000])
    func `where there is room for few the shards take turns, also where others have room for all`(due: Int) {
        // More than all that leaves, and so that it makes many batches.
        let herd = (0..<due).flatMap { number in
            (0..<12).map { self.timer(UInt64(number * 12 + $0), due: 1000 + Int64($0)) }
        }
        var core = self.core((0..<8).map { _ in herd }, lanes: 2)
        let full = (0..<8).map { ShardID(UInt16($0)) }.filter { $0.lane(of: 2) == LaneID(0) }
        var served: [ShardID: Int] = [:]
        for turn in 0..<Int64(4) {
            for batch in self.turn(&core, now: 1000 + turn, room: [LaneID(0): full.count / 2]) {
                served[batch.shard, default: 0] += 1
            }
            core.roomAgain()
        }
        #expect(full.map { served[$0] ?? 0 } == full.map { _ in 2 })
    }

    @Test func `a lane that is opened again waits for no room on the way that is gone`() {
        var core = self.core([(0..<3000).map { self.timer(UInt64($0), due: 1000) }])
        #expect(self.turn(&core, now: 1005, room: [LaneID(0): 0]).isEmpty)
        _ = core.laneLost(LaneID(0))
        #expect(!core.laneReachable(LaneID(0)).isEmpty)
        _ = core.opened(
            ShardID(0), epoch: Epoch(1), cursor: .start, credit: Credit(batches: 100, bytes: 100 << 20))
        #expect(core.nextWake.map { $0 <= self.at(1005) } == true)
        #expect(self.turn(&core, now: 1005).flatMap(\.occurrences).count == 3000)
    }

    @Test func `two ways that are full are told apart, and a shard that waits can be taken back`() {
        let herd = (0..<3000).map { self.timer(UInt64($0), due: 1000) }
        var core = self.core([herd, herd], lanes: 2)
        let ways = [LaneID(0), LaneID(1)]
        #expect(self.turn(&core, now: 1005, room: [ways[0]: 0, ways[1]: 0]).isEmpty)
        core.roomAgain()
        let first = self.turn(&core, now: 1005, room: [ways[0]: 0])
        #expect(Set(first.map { $0.shard.lane(of: 2) }) == [ways[1]])
        #expect(first.flatMap(\.occurrences).count == 3000)
        #expect(core.nextWake.map { $0 > self.at(1005) } ?? true)
        for number in 0..<2 where ShardID(UInt16(number)).lane(of: 2) == ways[0] {
            let shard = ShardID(UInt16(number))
            #expect(core.revoked(shard, epoch: Epoch(1)).contains(.release(shard, Epoch(1))))
        }
    }

    // MARK: Inside an instant

    /// Timers due at 1000, made in turn of each priority; the payload is the priority.
    private func mixedTimers(_ count: Int, _ random: inout SeededRandom) -> [ShardChange<Int>] {
        (0..<count).map { number in
            let priority = Priority.allCases[number % 3]
            let uid = ShardPlacement.timerUID(shard: ShardID(0), priority: priority, using: &random)
            return self.timer(uid, payload: Int(priority.rawValue))
        }
    }

    private func timer(_ uid: UID, payload: Int) -> ShardChange<Int> {
        .timer(
            TimerEntry(
                uid: uid, revision: Revision(1), due: self.at(1000), expireAfterMilliseconds: 0, payload: payload,
                payloadBytes: 10))
    }

    @Test func `of one instant high leaves before normal before low, as far as the credit goes`() {
        var random = SeededRandom(seed: 3)
        var core = self.core([self.mixedTimers(4500, &random)], batches: 2)
        var left: [Int] = []
        for _ in 0..<3 {
            let batches = self.turn(&core, now: 1000)
            left += batches.flatMap { $0.occurrences.map(\.payload) }
            // Two batches of 1000 at a time; the last turn has what is left.
            #expect(left == left.sorted())
            for batch in batches {
                _ = core.acknowledged(ShardID(0), epoch: Epoch(1), cursor: batch.to)
            }
            if left.count == 2000 { #expect(left.count { $0 == 0 } == 1500 && left.count { $0 == 2 } == 0) }
        }
        #expect(left.count == 4500)
    }

    @Test func `schedules of one instant leave by priority too, and the more urgent kind goes first`() throws {
        var random = SeededRandom(seed: 4)
        let schedules = (0..<900).map { number -> ShardChange<Int> in
            let priority = Priority.allCases[number % 3]
            return .schedule(
                ScheduleEntry(
                    uid: ShardPlacement.scheduleUID(priority: priority, drawn: .random(using: &random)), generation: 1,
                    kind: .cron, createdRevision: Revision(1), replaces: false, from: self.at(0), endedRevision: nil,
                    until: nil, plan: ListPlan(dues: [1000]), payload: Int(priority.rawValue), payloadBytes: 10))
        }
        var core = self.core([schedules + self.mixedTimers(90, &random)])
        let batch = try #require(self.turn(&core, now: 1000).first)
        let payloads = batch.occurrences.map(\.payload)
        #expect(payloads.count == 990)
        #expect(payloads.prefix(330).allSatisfy { $0 == 0 }, "of both kinds")
        let ofSchedules = batch.occurrences.filter { $0.kind == .cron }.map(\.payload)
        #expect(ofSchedules == ofSchedules.sorted())
    }

    @Test func `ten fires among another's herd of the same instant are spread over its drain`() {
        var random = SeededRandom(seed: 5)
        let herd = (0..<10_000).map { _ in
            self.timer(ShardPlacement.timerUID(shard: ShardID(0), using: &random), payload: 1)
        }
        let few = (0..<10).map { _ in
            self.timer(ShardPlacement.timerUID(shard: ShardID(0), using: &random), payload: 2)
        }
        // Whoever comes later is not later for it.
        var core = self.core([herd + few])
        let fires = self.turn(&core, now: 1000).flatMap { $0.occurrences.map(\.payload) }
        #expect(fires.count == 10_010)
        let places = fires.indices.filter { fires[$0] == 2 }
        #expect(places.count == 10)
        for half in [0..<5005, 5005..<10_010] { #expect(places.count { half.contains($0) } >= 2, "at \(places)") }
        let mean = places.reduce(0, +) / 10
        #expect((2500..<7500).contains(mean), "at \(places)")
    }

    @Test func `a herd of one shard holds back none of the few of another, of the same instant and lower priority`() {
        var random = SeededRandom(seed: 6)
        let herd = (0..<10_000).map { _ in
            self.timer(ShardPlacement.timerUID(shard: ShardID(0), priority: .high, using: &random), payload: 1)
        }
        let few = (0..<10).map { _ in
            self.timer(ShardPlacement.timerUID(shard: ShardID(1), priority: .low, using: &random), payload: 2)
        }
        var core = self.core([herd, few])
        let fires = self.turn(&core, now: 1000).flatMap { $0.occurrences.map(\.payload) }
        #expect(fires.count == 10_010)
        #expect(fires.prefix(10).allSatisfy { $0 == 2 })
    }
}
