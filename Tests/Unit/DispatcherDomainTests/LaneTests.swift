import DispatcherDomain
import EscapementModel
import TestSupport
import Testing

@Suite struct LaneTests {
    private let start = Cursor.start
    private let a = LaneFixture.cursor(1000)
    private let b = LaneFixture.cursor(2000)
    private let c = LaneFixture.cursor(3000)

    private func refused(_ code: LaneRefusal, seen: UInt64 = 0, epoch: UInt64 = 1) -> LaneReply {
        .refused(LaneFixture.first, ShardID(3), Epoch(epoch), code, seen: Epoch(seen))
    }

    @Test func `an open is answered only with a round that makes its fence durable`() throws {
        var fixture = LaneFixture()
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(1), session: LaneFixture.first) == nil)
        let round = try fixture.begin()
        #expect(round.needsJournal)
        #expect(round.shards == [ShardState(shard: ShardID(3), epoch: Epoch(1), cursor: self.start)])
        #expect(
            fixture.lane.commitRound() == [.opened(LaneFixture.first, ShardID(3), Epoch(1), self.start)])
    }

    @Test func `opening again under a durable epoch needs no journal entry`() throws {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(1), session: LaneFixture.second) == nil)
        let round = try fixture.begin()
        #expect(!round.needsJournal)
        #expect(fixture.lane.commitRound() == [.opened(LaneFixture.second, ShardID(3), Epoch(1), self.start)])
    }

    @Test func `a batch is taken only from exactly where the shard stands`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a) == nil)
        #expect(fixture.offer(from: self.start, to: self.a) == self.refused(.cursorMismatch, seen: 1))
        #expect(fixture.offer(from: self.b, to: self.c) == self.refused(.cursorMismatch, seen: 1))
        #expect(fixture.offer(from: self.a, to: self.b) == nil, "pipelined behind the one before")
        #expect(
            fixture.publish() == [
                .acknowledged(LaneFixture.first, ShardID(3), Epoch(1), self.a),
                .acknowledged(LaneFixture.first, ShardID(3), Epoch(1), self.b),
            ])
        #expect(fixture.lane.states == [ShardState(shard: ShardID(3), epoch: Epoch(1), cursor: self.b)])
    }

    @Test func `a batch that leads backwards is refused`() {
        var fixture = LaneFixture(shards: [ShardState(shard: ShardID(3), epoch: Epoch(1), cursor: self.b)])
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.b, to: self.a) == self.refused(.cursorMismatch, seen: 1))
        var older = self.c
        older.revision = .none
        #expect(fixture.offer(from: self.b, to: older) == self.refused(.cursorMismatch, seen: 1))
    }

    @Test func `a higher epoch fences a lower one for ever`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3, epoch: 1)
        _ = fixture.opened(3, epoch: 2, by: LaneFixture.second)
        #expect(fixture.offer(epoch: 1, from: self.start, to: self.a) == self.refused(.staleEpoch, seen: 2))
        #expect(fixture.opened(3, epoch: 1) == [self.refused(.staleEpoch, seen: 2)])
    }

    @Test func `a fence that is not durable yet refuses the old owner already`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3, epoch: 1)
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(2), session: LaneFixture.second) == nil)
        #expect(fixture.offer(epoch: 1, from: self.start, to: self.a) == self.refused(.staleEpoch, seen: 2))
    }

    @Test func `an old connection under the same epoch has to open again`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        _ = fixture.opened(3, by: LaneFixture.second)
        #expect(fixture.offer(from: self.start, to: self.a) == self.refused(.cursorMismatch, seen: 1))
        #expect(fixture.offer(by: LaneFixture.second, from: self.start, to: self.a) == nil)
    }

    @Test func `an open drops what is offered and not in a round, and its answer says so`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a) == nil)
        #expect(
            fixture.opened(3, epoch: 2, by: LaneFixture.second)
                == [.opened(LaneFixture.second, ShardID(3), Epoch(2), self.start)])
        fixture.lane.checkInvariants()
    }

    @Test func `an open waits behind a round that holds batches of its shard`() throws {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a) == nil)
        _ = try fixture.begin()
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(2), session: LaneFixture.second) == nil)
        #expect(fixture.lane.beginRound() == nil, "one round at a time")
        #expect(fixture.lane.commitRound() == [.acknowledged(LaneFixture.first, ShardID(3), Epoch(1), self.a)])
        #expect(fixture.publish() == [.opened(LaneFixture.second, ShardID(3), Epoch(2), self.a)])
    }

    @Test func `of two opens during one round the later is answered`() throws {
        var fixture = LaneFixture()
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(1), session: LaneFixture.first) == nil)
        _ = try fixture.begin()
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(1), session: LaneFixture.second) == nil)
        #expect(fixture.lane.commitRound() == [])
        #expect(fixture.publish() == [.opened(LaneFixture.second, ShardID(3), Epoch(1), self.start)])
    }

    @Test func `credit bounds the batches in flight and comes back with the round`() {
        var limits = LaneLimits()
        limits.batchesMax = 2
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a) == nil)
        #expect(fixture.offer(from: self.a, to: self.b) == nil)
        #expect(fixture.offer(from: self.b, to: self.c) == self.refused(.overCredit))
        _ = fixture.publish()
        #expect(fixture.offer(from: self.b, to: self.c) == nil)
    }

    @Test func `credit bounds the bytes in flight, but one batch is always taken`() {
        var limits = LaneLimits()
        limits.bytesMax = 100
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a, bytes: 1000) == nil)
        #expect(fixture.offer(from: self.a, to: self.b, bytes: 1) == self.refused(.overCredit))
    }

    @Test func `a batch that begins within the credit is taken, whatever its size`() {
        var limits = LaneLimits()
        limits.bytesMax = 100
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a, bytes: 60) == nil)
        #expect(fixture.offer(from: self.a, to: self.b, bytes: 60) == nil)
        // A ticker may count a little less for it.
        #expect(fixture.offer(from: self.b, to: self.c, bytes: 60) == nil)
    }

    @Test func `nothing may leave more than two seconds ahead of this clock`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        let edge = LaneFixture.cursor(LaneFixture.now.milliseconds + 2000)
        let beyond = LaneFixture.cursor(LaneFixture.now.milliseconds + 2001)
        #expect(fixture.offer(from: self.start, to: beyond) == self.refused(.aheadOfClock))
        #expect(fixture.offer(from: self.start, to: edge) == nil)
    }

    @Test func `before the journal is read opens wait and batches are refused`() {
        var lane = Lane<Int>(id: LaneID(0), epoch: Epoch(7))
        #expect(lane.open(ShardID(3), epoch: Epoch(2), session: LaneFixture.first) == nil)
        #expect(
            lane.open(ShardID(3), epoch: Epoch(1), session: LaneFixture.second)
                == .refused(LaneFixture.second, ShardID(3), Epoch(1), .staleEpoch, seen: Epoch(2)))
        #expect(lane.beginRound() == nil)
        let stale = lane.recovered(
            LaneMark(
                laneEpoch: Epoch(1), sequence: 9,
                shards: [ShardState(shard: ShardID(3), epoch: Epoch(5), cursor: self.a)]))
        #expect(stale == [.refused(LaneFixture.first, ShardID(3), Epoch(2), .staleEpoch, seen: Epoch(5))])
        #expect(lane.beginRound()?.sequence == 10, "the restatement follows the journal's sequence")
    }

    @Test func `a round takes whole batches up to its limits, at least one`() throws {
        var limits = LaneLimits()
        limits.roundOccurrencesMax = 10
        limits.batchesMax = 10
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        _ = fixture.opened(4)
        #expect(fixture.offer(3, from: self.start, to: self.a, occurrences: 12) == nil)
        #expect(fixture.offer(4, from: self.start, to: self.a, occurrences: 6) == nil)
        #expect(fixture.offer(4, from: self.a, to: self.b, occurrences: 4) == nil)
        #expect(fixture.lane.beginRound()?.offers.map(\.occurrenceCount) == [12])
        _ = fixture.lane.commitRound()
        #expect(fixture.lane.beginRound()?.offers.map(\.occurrenceCount) == [6, 4])
    }

    @Test func `a shard with a herd holds up no other for longer than a round`() {
        var limits = LaneLimits()
        limits.roundOccurrencesMax = 10
        limits.batchesMax = 10
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        _ = fixture.opened(4)
        var at = self.start
        for number in 1...8 {
            let to = LaneFixture.cursor(LaneFixture.now.milliseconds - 1000 + Int64(number))
            #expect(fixture.offer(3, from: at, to: to, occurrences: 5) == nil)
            at = to
        }
        #expect(fixture.offer(4, from: self.start, to: at, occurrences: 1) == nil)
        #expect(fixture.lane.beginRound()?.offers.map(\.shard) == [ShardID(3), ShardID(4)])
        _ = fixture.lane.commitRound()
        #expect(fixture.lane.beginRound()?.offers.map(\.occurrenceCount) == [5, 5])
    }

    @Test func `several rounds under way hold no more than one alone`() {
        var limits = LaneLimits()
        limits.roundOccurrencesMax = 10
        limits.batchesMax = 10
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        var at = self.start
        for number in 1...8 {
            let to = LaneFixture.cursor(LaneFixture.now.milliseconds - 1000 + Int64(number))
            #expect(fixture.offer(3, from: at, to: to, occurrences: 5) == nil)
            at = to
        }
        #expect(fixture.lane.beginRound(inFlightMax: 2)?.offers.count == 1)
        #expect(fixture.lane.beginRound(inFlightMax: 2)?.offers.count == 1)
        #expect(fixture.lane.beginRound(inFlightMax: 2) == nil)
    }

    @Test func `an open answers behind all rounds that were under way before it`() throws {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a) == nil)
        #expect(fixture.lane.beginRound(inFlightMax: 2)?.offers.count == 1)
        #expect(fixture.lane.open(ShardID(3), epoch: Epoch(2), session: LaneFixture.second) == nil)
        let second = fixture.lane.beginRound(inFlightMax: 2)
        #expect(second?.shards.map(\.cursor) == [self.a], "as the first round will have left it")
        #expect(fixture.lane.beginRound(inFlightMax: 2) == nil)
        #expect(fixture.lane.commitRound() == [.acknowledged(LaneFixture.first, ShardID(3), Epoch(1), self.a)])
        #expect(fixture.lane.commitRound() == [.opened(LaneFixture.second, ShardID(3), Epoch(2), self.a)])
    }

    @Test func `what a lost connection offered is still published`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.offer(from: self.start, to: self.a) == nil)
        fixture.lane.disconnected(LaneFixture.first)
        #expect(fixture.offer(from: self.a, to: self.b) == self.refused(.cursorMismatch, seen: 1))
        _ = fixture.publish()
        #expect(fixture.lane.states.map(\.cursor) == [self.a])
    }

    @Test func `a closed lane tells everyone once and takes nothing more`() {
        var fixture = LaneFixture()
        _ = fixture.opened(3)
        #expect(fixture.lane.close() == [self.refused(.notLaneOwner)])
        #expect(fixture.lane.close() == [])
        #expect(fixture.offer(from: self.start, to: self.a) == self.refused(.notLaneOwner))
        #expect(fixture.lane.beginRound() == nil)
    }

    @Test func `an idle lane restates what it knows when asked`() {
        var fixture = LaneFixture(shards: [ShardState(shard: ShardID(3), epoch: Epoch(1), cursor: self.a)])
        #expect(fixture.lane.beginRound() == nil)
        fixture.lane.restate()
        #expect(fixture.lane.beginRound()?.needsJournal == true)
    }
}

@Suite struct LanePaceTests {
    private let start = Cursor.start
    /// Long past, and now.
    private let old = LaneFixture.cursor(1000)
    private let older = LaneFixture.cursor(500)
    private let recent = LaneFixture.cursor(LaneFixture.now.milliseconds)

    private func fixture(perSecond: Int, round: Int = 100) -> LaneFixture {
        var limits = LaneLimits()
        limits.lateFiresPerSecondMin = perSecond
        limits.roundOccurrencesMax = round
        var fixture = LaneFixture(limits: limits)
        _ = fixture.opened(3)
        _ = fixture.opened(4)
        return fixture
    }

    @Test func `what is due now goes before what catches up`() {
        var fixture = self.fixture(perSecond: 1000)
        #expect(fixture.offer(3, from: self.start, to: self.old, occurrences: 80, payload: 1) == nil)
        #expect(fixture.offer(4, from: self.start, to: self.recent, occurrences: 60, payload: 2) == nil)
        #expect(fixture.lane.beginRound()?.offers.map(\.payload) == [2], "the late one does not fit beside it")
        _ = fixture.lane.commitRound()
        #expect(fixture.lane.beginRound()?.offers.map(\.payload) == [1])
    }

    @Test func `within a shard nothing overtakes`() {
        var fixture = self.fixture(perSecond: 1000)
        #expect(fixture.offer(3, from: self.start, to: self.old, occurrences: 10, payload: 1) == nil)
        #expect(fixture.offer(3, from: self.old, to: self.recent, occurrences: 10, payload: 2) == nil)
        #expect(fixture.lane.beginRound()?.offers.map(\.payload) == [1, 2])
        fixture.lane.checkInvariants()
    }

    @Test func `catching up keeps its pace, and what is due now does not wait for it`() {
        var fixture = self.fixture(perSecond: 10)
        var now = MonotonicInstant(nanoseconds: 0)
        #expect(fixture.offer(3, from: self.start, to: self.older, occurrences: 30, payload: 1) == nil)
        #expect(fixture.offer(3, from: self.older, to: self.old, occurrences: 30, payload: 2) == nil)
        #expect(fixture.lane.beginRound(now: now)?.offers.map(\.payload) == [1])
        _ = fixture.lane.commitRound()
        #expect(fixture.lane.beginRound(now: now)?.offers.count == nil, "20 fires over the budget")
        #expect(fixture.offer(4, from: self.start, to: self.recent, payload: 9) == nil)
        #expect(fixture.lane.beginRound(now: now)?.offers.map(\.payload) == [9])
        _ = fixture.lane.commitRound()
        now = now.advanced(by: .milliseconds(2100))
        #expect(fixture.lane.beginRound(now: now)?.offers.map(\.payload) == [2])
        fixture.lane.checkInvariants()
    }

    /// A ticker whose schedules are up to date moves that half of the cursor to now with each batch.
    @Test func `the backlog of one kind keeps its pace though the other kind has none`() {
        var fixture = self.fixture(perSecond: 10)
        let now = MonotonicInstant(nanoseconds: 0)
        var half = self.recent
        half.delay = self.older.delay
        #expect(
            fixture.offer(
                3, from: self.start, to: half, occurrences: 30, oldestDue: self.older.delay.instant, payload: 1) == nil)
        var whole = self.recent
        whole.delay = self.old.delay
        #expect(
            fixture.offer(
                3, from: half, to: whole, occurrences: 30, oldestDue: self.old.delay.instant, payload: 2) == nil)
        #expect(fixture.lane.beginRound(now: now)?.offers.map(\.payload) == [1])
        _ = fixture.lane.commitRound()
        #expect(fixture.lane.beginRound(now: now)?.offers.count == nil)
    }

    /// Else a lane whose usual load is above the least pace would never have caught up.
    @Test func `a lane catches up with more than it carries`() {
        var fixture = self.fixture(perSecond: 10, round: 10_000)
        var now = MonotonicInstant(nanoseconds: 0)
        var from = self.start
        var taken = 0
        func offer(_ fixture: inout LaneFixture, late: Bool) {
            var to = from
            to.revision = Revision(to.revision.rawValue + 1)
            #expect(
                fixture.offer(
                    3, from: from, to: to, occurrences: 100,
                    oldestDue: late ? self.old.cron.instant : LaneFixture.now) == nil)
            from = to
        }
        for _ in 0..<300 {
            offer(&fixture, late: false)
            #expect(fixture.lane.beginRound(now: now) != nil)
            _ = fixture.lane.commitRound()
            now = now.advanced(by: .milliseconds(100))
        }
        // A thousand a second so far. Now all of it is late.
        for _ in 0..<10 {
            offer(&fixture, late: true)
            if fixture.lane.beginRound(now: now) != nil {
                taken += 100
                _ = fixture.lane.commitRound()
            }
            now = now.advanced(by: .milliseconds(100))
        }
        #expect(taken == 1000)
        fixture.lane.checkInvariants()
    }
}
