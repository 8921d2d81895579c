import EscapementModel
import Scheduling
import Testing
import TickerDomain

@Suite struct ShardFiringTests {
    /// A machine by reference, so that its calls may stand inside an expectation.
    private final class Firing {
        var machine: ShardFiring<Int>

        init(_ machine: consuming ShardFiring<Int>) { self.machine = machine }

        var phase: ShardFiring<Int>.Phase { self.machine.phase }
        var nextWake: WallInstant? { self.machine.nextWake }
        var residentCount: Int { self.machine.residentCount }
        var settled: Cursor { self.machine.settled }
        var isDrained: Bool { self.machine.isDrained }

        func firedBeforeCancellation(_ uid: UID, revision: Revision) -> Bool? {
            self.machine.firedBeforeCancellation(uid, revision: revision)
        }

        func plan(now: WallInstant) -> PlannedBatch<Int>? { self.machine.plan(now: now) }

        func apply(_ changes: [ShardChange<Int>], from: Revision, through: Revision) -> Bool {
            self.machine.apply(changes, from: from, through: through)
        }
    }

    private func at(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    private func schedule(
        _ number: UInt64, dues: [Int64], revision: UInt64 = 1, from: Int64 = 0, replaces: Bool = false,
        generation: UInt64 = 1, until: Int64? = nil, skipOlderThan: Int64 = .max
    ) -> ShardChange<Int> {
        .schedule(
            ScheduleEntry(
                uid: UID(high: 0, low: number), generation: generation, kind: .cron,
                createdRevision: Revision(revision), replaces: replaces, from: self.at(from),
                endedRevision: until == nil ? nil : Revision(revision + 1), until: until.map(self.at),
                plan: ListPlan(dues: dues, skipOlderThan: skipOlderThan), payload: Int(number), payloadBytes: 100))
    }

    private func timer(
        _ number: UInt64, due: Int64, revision: UInt64 = 1, expireAfter: UInt64 = 0
    ) -> ShardChange<Int> {
        .timer(
            TimerEntry(
                uid: UID(high: 1, low: number), revision: Revision(revision), due: self.at(due),
                expireAfterMilliseconds: expireAfter, payload: Int(number), payloadBytes: 100))
    }

    /// A shard that is active at `now` with `changes` loaded at revision 10.
    private func active(
        _ changes: [ShardChange<Int>], now: Int64, cursor: Cursor = .start, batches: Int = 4, horizon: Int64 = 100_000
    ) -> Firing {
        let firing = Firing(ShardFiring(shard: ShardID(3), epoch: Epoch(7), now: self.at(now)))
        firing.machine.opened(cursor: cursor, credit: Credit(batches: batches, bytes: 1 << 20))
        firing.machine.snapshotRequested(horizon: self.at(horizon))
        firing.machine.load(changes, revision: Revision(10), last: true)
        return firing
    }

    private func cursor(_ instant: Int64, revision: UInt64) -> Cursor {
        Cursor(
            cron: Watermark(through: self.at(instant)), delay: Watermark(through: self.at(instant)),
            revision: Revision(revision))
    }

    @Test func `due occurrences leave in order, from cursor to cursor`() throws {
        let firing = self.active(
            [self.schedule(2, dues: [1000, 2000]), self.schedule(1, dues: [1000]), self.timer(5, due: 1500)], now: 500)
        #expect(firing.nextWake.map { $0 <= self.at(1000) } == true)
        #expect(firing.plan(now: self.at(999)) == nil)
        let first = try #require(firing.plan(now: self.at(2000)))
        #expect(first.from == .start)
        #expect(first.occurrences.map(\.due.milliseconds) == [1000, 1000, 1500, 2000])
        #expect(first.occurrences.map(\.payload) == [1, 2, 5, 2], "an instant is settled in order of uid")
        #expect(first.to == self.cursor(2000, revision: 10))
        #expect(firing.plan(now: self.at(5000)) == nil)
    }

    @Test func `nothing is planned before contents and cursor are there`() {
        let firing = Firing(ShardFiring(shard: ShardID(0), epoch: Epoch(1), now: self.at(0)))
        #expect(firing.plan(now: self.at(10_000)) == nil)
        firing.machine.opened(cursor: self.cursor(100, revision: 12), credit: Credit(batches: 1, bytes: 1000))
        firing.machine.snapshotRequested(horizon: self.at(100_000))
        firing.machine.load([self.timer(1, due: 200)], revision: Revision(10), last: true)
        #expect(firing.phase == .loading, "the lane has settled changes that are not loaded here yet")
        let applied = firing.apply([self.timer(2, due: 300, revision: 12)], from: Revision(10), through: Revision(12))
        #expect(applied)
        #expect(firing.phase == .active)
        let batch = firing.plan(now: self.at(10_000))
        #expect(batch?.occurrences.map(\.payload) == [1, 2])
    }

    /// Found by simulation: seed 380 fired a timer whose cancellation its cursor covered.
    @Test func `a timer of a horizon page that was cancelled meanwhile does not fire`() {
        let firing = self.active([], now: 0, horizon: 1000)
        firing.machine.horizonRequested(through: self.at(5000))
        let cancelled = UID(high: 1, low: 1)
        #expect(
            firing.apply(
                [.timerCancelled(uid: cancelled, due: self.at(2000))], from: Revision(10), through: Revision(11)))
        let late = TimerEntry(
            uid: cancelled, revision: Revision(9), due: self.at(2000), expireAfterMilliseconds: 0, payload: 1,
            payloadBytes: 10)
        firing.machine.extendHorizon([late], through: self.at(5000), last: true)
        let batch = firing.plan(now: self.at(3000))
        #expect(batch?.occurrences.isEmpty ?? true, "revision 11 covers the cancellation")
    }

    /// Found by simulation: seed 27 fired two timers under both of two epochs.
    @Test func `a timer of a horizon page waits for the delta that made it`() throws {
        let firing = self.active([], now: 0, horizon: 1000)
        firing.machine.horizonRequested(through: self.at(5000))
        let early = TimerEntry(
            uid: UID(high: 1, low: 1), revision: Revision(12), due: self.at(2000), expireAfterMilliseconds: 0,
            payload: 1, payloadBytes: 10)
        firing.machine.extendHorizon([early], through: self.at(5000), last: true)
        let before = firing.plan(now: self.at(3000))
        #expect(before?.occurrences.isEmpty ?? true, "revision 10 does not cover a timer of revision 12")
        #expect(firing.apply([.timer(early)], from: Revision(10), through: Revision(12)))
        let batch = try #require(firing.plan(now: self.at(3000)))
        #expect(batch.occurrences.map(\.payload) == [1])
        #expect(batch.to.revision == Revision(12))
    }

    @Test func `credit holds batches back and an acknowledgement frees them`() throws {
        let firing = self.active([self.schedule(1, dues: [1, 2, 3])], now: 0, batches: 1)
        let first = try #require(firing.plan(now: self.at(1)))
        #expect(firing.plan(now: self.at(2)) == nil)
        #expect(firing.nextWake == nil, "without credit there is nothing to do at any time")
        firing.machine.acknowledged(first.to)
        let second = try #require(firing.plan(now: self.at(2)))
        #expect(second.from == first.to)
        #expect(second.occurrences.map(\.due.milliseconds) == [2])
    }

    @Test func `a timer that was settled is not fired by the next owner, one created later is`() {
        let settled = self.cursor(1000, revision: 5)
        let firing = self.active(
            [
                self.timer(1, due: 900, revision: 5),
                self.timer(2, due: 900, revision: 6),
                self.timer(3, due: 1100, revision: 5),
            ], now: 2000, cursor: settled)
        let batch = firing.plan(now: self.at(2000))
        #expect(batch?.occurrences.map(\.payload) == [2, 3])
        #expect(batch?.to.revision == Revision(10), "the late one is in the batch, so its revision is covered")
        #expect(firing.plan(now: self.at(2000)) == nil)
    }

    @Test func `a late timer and a due one leave, none twice`() {
        let firing = self.active(
            [self.timer(3, due: 1100, revision: 5)], now: 2000, cursor: self.cursor(1000, revision: 5))
        let late = firing.apply([self.timer(4, due: 10, revision: 11)], from: Revision(10), through: Revision(11))
        #expect(late)
        var fired: [Int] = []
        while let batch = firing.plan(now: self.at(2000)) {
            fired += batch.occurrences.map(\.payload)
            firing.machine.acknowledged(batch.to)
        }
        #expect(fired.sorted() == [3, 4])
        #expect(firing.residentCount == 0)
        #expect(firing.settled.revision == Revision(11))
    }

    @Test func `a replacing version starts after the watermark`() {
        let settled = self.cursor(1000, revision: 5)
        let firing = self.active(
            [self.schedule(1, dues: [800, 1000, 1200], revision: 6, from: 700, replaces: true, generation: 2)],
            now: 1500, cursor: settled)
        #expect(firing.plan(now: self.at(1500))?.occurrences.map(\.due.milliseconds) == [1200])
    }

    @Test func `an ended version fires up to its end and not beyond`() {
        let firing = self.active([self.schedule(1, dues: [100, 200, 300, 400])], now: 50)
        #expect(firing.plan(now: self.at(100))?.occurrences.count == 1)
        let applied = firing.apply(
            [.scheduleEnded(uid: UID(high: 0, low: 1), generation: 1, revision: Revision(11), until: self.at(250))],
            from: Revision(10), through: Revision(11))
        #expect(applied)
        let second = firing.plan(now: self.at(1000))
        #expect(second?.occurrences.map(\.due.milliseconds) == [200])
        #expect(firing.plan(now: self.at(2000)) == nil)
    }

    @Test func `what was in flight when the schedule ended is planned again after a refusal`() {
        let firing = self.active([self.schedule(1, dues: [100, 200])], now: 50)
        #expect(firing.plan(now: self.at(100)) != nil)
        _ = firing.apply(
            [.scheduleEnded(uid: UID(high: 0, low: 1), generation: 1, revision: Revision(11), until: self.at(150))],
            from: Revision(10), through: Revision(11))
        firing.machine.closed()
        firing.machine.opened(cursor: .start, credit: Credit(batches: 4, bytes: 1 << 20))
        #expect(firing.plan(now: self.at(300))?.occurrences.map(\.due.milliseconds) == [100])
    }

    @Test func `a cancelled timer does not fire, and one in flight says so`() {
        let firing = self.active([self.timer(1, due: 100), self.timer(2, due: 200)], now: 50)
        #expect(firing.plan(now: self.at(100))?.occurrences.map(\.payload) == [1])
        _ = firing.apply(
            [
                .timerCancelled(uid: UID(high: 1, low: 1), due: self.at(100)),
                .timerCancelled(uid: UID(high: 1, low: 2), due: self.at(200)),
            ], from: Revision(10), through: Revision(11))
        #expect(firing.firedBeforeCancellation(UID(high: 1, low: 1), revision: Revision(11)) == true)
        #expect(firing.firedBeforeCancellation(UID(high: 1, low: 2), revision: Revision(11)) == false)
        #expect(firing.firedBeforeCancellation(UID(high: 1, low: 3), revision: Revision(11)) == nil)
        #expect(firing.plan(now: self.at(1000)) == nil)
    }

    @Test func `an expired timer is settled as skipped`() {
        let firing = self.active([self.timer(1, due: 100, expireAfter: 50)], now: 50)
        let batch = firing.plan(now: self.at(200))
        #expect(batch?.occurrences.map(\.outcome) == [.skipped])
        #expect(batch?.occurrences.map(\.reason) == [.expired])
    }

    @Test func `timers beyond the loaded horizon wait for it, schedules do not`() {
        let firing = self.active([self.schedule(1, dues: [2000])], now: 50, horizon: 1000)
        firing.machine.horizonRequested(through: self.at(3000))
        _ = firing.apply([self.timer(9, due: 1500, revision: 11)], from: Revision(10), through: Revision(11))
        let batch = firing.plan(now: self.at(2500))
        #expect(batch?.occurrences.map(\.payload) == [1])
        #expect(batch?.to.delay == Watermark(through: self.at(1000)), "the watermark stays within the horizon")
        firing.machine.extendHorizon([], through: self.at(3000), last: true)
        #expect(firing.plan(now: self.at(2500))?.occurrences.map(\.payload) == [9])
    }

    @Test func `a long run of missed occurrences is one record and ends where the batch ends`() throws {
        let every = Array(stride(from: Int64(1), through: 5000, by: 1))
        let firing = self.active(
            [self.schedule(1, dues: every, skipOlderThan: 100), self.timer(7, due: 2500)], now: 6000)
        var skipped: UInt32 = 0
        var fired: [Int64] = []
        var position = Cursor.start
        while let batch = firing.plan(now: self.at(5000)) {
            #expect(batch.from == position)
            position = batch.to
            firing.machine.acknowledged(batch.to)
            for occurrence in batch.occurrences {
                if occurrence.outcome == .skipped {
                    #expect(occurrence.through <= batch.to.cron.instant)
                    skipped += occurrence.count
                } else {
                    fired.append(occurrence.due.milliseconds)
                }
            }
        }
        #expect(Int(skipped) + fired.count == 5001)
    }

    @Test func `late admissions of one revision are never split over two cursors`() throws {
        let firing = self.active([], now: 10_000, cursor: self.cursor(5000, revision: 10))
        let timers = (0..<2500).map { self.timer(UInt64($0), due: 100, revision: 11) }
        _ = firing.apply(timers, from: Revision(10), through: Revision(11))
        let batch = try #require(firing.plan(now: self.at(10_000)))
        #expect(batch.occurrences.count == 2500)
        #expect(batch.to.revision == Revision(11))
    }

    @Test func `a drained shard waits for what is in flight`() {
        let firing = self.active([self.timer(1, due: 100), self.timer(2, due: 200)], now: 50)
        let batch = firing.plan(now: self.at(100))
        firing.machine.drain()
        #expect(!firing.isDrained)
        #expect(firing.plan(now: self.at(300)) == nil)
        if let batch { firing.machine.acknowledged(batch.to) }
        #expect(firing.isDrained)
    }

    @Test(arguments: [true, false])
    func `a drained shard does not wait for a lane that is gone`(losesLaneFirst: Bool) throws {
        let firing = self.active([self.timer(1, due: 100)], now: 50)
        _ = try #require(firing.plan(now: self.at(100)))
        if losesLaneFirst { firing.machine.closed() }
        firing.machine.drain()
        if !losesLaneFirst { firing.machine.closed() }
        #expect(firing.isDrained, "what is in flight is for the next owner, who reads the cursor")
    }
}
