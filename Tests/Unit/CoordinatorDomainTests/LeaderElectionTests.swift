import CoordinatorDomain
import EscapementModel
import Testing
import TestSupport

/// An instant `milliseconds` after an arbitrary start.
func instant(_ milliseconds: Int) -> MonotonicInstant {
    MonotonicInstant(nanoseconds: Int64(milliseconds) * 1_000_000)
}

func incarnation(_ number: UInt64) -> Incarnation { Incarnation(UID(high: 0, low: number)) }

@Suite struct LeaderElectionTests {
    private let me = incarnation(1)
    private let other = incarnation(2)
    private var random = SeededRandom(seed: 1)
    private var election: LeaderElection

    init() {
        self.election = LeaderElection(me: incarnation(1), timing: ElectionTiming(jitterPercent: 0), now: instant(0))
    }

    private mutating func send(_ event: LeaderElection.Event, at milliseconds: Int) -> [LeaderElection.Action] {
        self.election.receive(event, now: instant(milliseconds), using: &self.random)
    }

    private func row(_ epoch: UInt64, _ beat: UInt64, _ holder: Incarnation?) -> LeaderElection.Row {
        LeaderElection.Row(epoch: Epoch(epoch), beat: beat, holder: holder)
    }

    /// Takes a free row at 0 ms.
    private mutating func lead() {
        _ = self.send(.tick, at: 0)
        _ = self.send(.observed(self.row(6, 0, nil)), at: 0)
        #expect(self.send(.took(Epoch(7), sentAt: instant(0)), at: 3) == [.lead(Epoch(7))])
    }

    @Test mutating func `a free row is taken at once, and leading begins with the answer`() {
        #expect(self.send(.tick, at: 0) == [.observe])
        #expect(self.send(.observed(self.row(6, 40, nil)), at: 2) == [.take(from: self.row(6, 40, nil))])
        #expect(self.election.ledEpoch(at: instant(2)) == nil)
        #expect(self.send(.took(Epoch(7), sentAt: instant(2)), at: 5) == [.lead(Epoch(7))])
        #expect(self.election.ledEpoch(at: instant(5)) == Epoch(7))
        #expect(self.send(.tick, at: 900) == [])
        #expect(self.send(.tick, at: 1005) == [.renew(Epoch(7))])
    }

    @Test mutating func `a held row is taken only after six seconds without a beat`() {
        _ = self.send(.tick, at: 0)
        #expect(self.send(.observed(self.row(6, 40, self.other)), at: 0) == [])
        for time in stride(from: 500, through: 5000, by: 500) {
            #expect(self.send(.tick, at: time) == [.observe])
            #expect(self.send(.observed(self.row(6, 40, self.other)), at: time) == [])
        }
        #expect(self.send(.tick, at: 5500) == [.observe])
        #expect(self.send(.observed(self.row(6, 41, self.other)), at: 5500) == [], "a beat starts the wait anew")
        for time in stride(from: 6000, through: 11_000, by: 500) {
            _ = self.send(.tick, at: time)
            #expect(self.send(.observed(self.row(6, 41, self.other)), at: time) == [])
        }
        _ = self.send(.tick, at: 11_500)
        let seen = self.row(6, 41, self.other)
        #expect(self.send(.observed(seen), at: 11_500) == [.take(from: seen)])
    }

    @Test mutating func `a process that starts where the holder ran takes over at once`() {
        var held = self.row(6, 40, self.other)
        held.isHeldByPredecessor = true
        _ = self.send(.tick, at: 0)
        #expect(self.send(.observed(held), at: 2) == [.take(from: held)])
        #expect(self.send(.took(Epoch(7), sentAt: instant(2)), at: 5) == [.lead(Epoch(7))])
    }

    @Test mutating func `two processes with one address do not depose each other`() {
        _ = self.send(.tick, at: 0)
        #expect(self.send(.observed(self.row(6, 40, self.other)), at: 0) == [])
        for time in stride(from: 500, through: 20_000, by: 500) {
            _ = self.send(.tick, at: time)
            var held = self.row(7, UInt64(time), incarnation(3))
            held.isHeldByPredecessor = true
            #expect(self.send(.observed(held), at: time) == [])
        }
    }

    @Test mutating func `a store that does not answer delays no takeover`() {
        _ = self.send(.tick, at: 0)
        _ = self.send(.observed(self.row(6, 40, self.other)), at: 0)
        _ = self.send(.tick, at: 500)
        #expect(self.send(.observationFailed, at: 2000) == [])
        #expect(self.send(.tick, at: 6100) == [.observe])
        #expect(
            self.send(.observed(self.row(6, 40, self.other)), at: 6100) == [.take(from: self.row(6, 40, self.other))])
    }

    @Test mutating func `a lost race goes back to watching`() {
        _ = self.send(.tick, at: 0)
        _ = self.send(.observed(self.row(6, 40, nil)), at: 0)
        #expect(self.send(.takeFailed, at: 5) == [.observe])
        #expect(self.send(.observed(self.row(7, 41, self.other)), at: 6) == [])
        #expect(self.election.ledEpoch(at: instant(6)) == nil)
    }

    @Test mutating func `trust counts from when the renewal was sent`() {
        self.lead()
        #expect(self.send(.tick, at: 1003) == [.renew(Epoch(7))])
        #expect(self.send(.renewed(Epoch(7), sentAt: instant(1003)), at: 2400) == [])
        #expect(self.election.ledEpoch(at: instant(5002)) == Epoch(7))
        #expect(self.election.ledEpoch(at: instant(5003)) == nil, "before any tick has noticed")
    }

    @Test mutating func `four seconds without a renewal end the term`() {
        self.lead()
        #expect(self.send(.tick, at: 1003) == [.renew(Epoch(7))])
        #expect(self.send(.renewalFailed(Epoch(7)), at: 2500) == [])
        #expect(self.send(.tick, at: 2800) == [.renew(Epoch(7))], "a second try comes soon")
        #expect(self.election.wakeAt <= instant(4000))
        #expect(self.send(.tick, at: 4000) == [.stepDown(Epoch(7), .unrenewed)])
        #expect(self.send(.renewed(Epoch(7), sentAt: instant(2800)), at: 4100).contains(.lead(Epoch(7))) == false)
        #expect(self.election.ledEpoch(at: instant(4100)) == nil)
    }

    @Test mutating func `a renewal that is answered after the trust ran out ends the term before any tick`() {
        self.lead()
        #expect(self.send(.tick, at: 3500) == [.renew(Epoch(7))])
        #expect(self.election.ledEpoch(at: instant(4000)) == nil)
        #expect(
            self.send(.renewed(Epoch(7), sentAt: instant(3500)), at: 4001) == [.stepDown(Epoch(7), .unrenewed)])
        #expect(self.election.ledEpoch(at: instant(4002)) == nil, "no second time in one term")
    }

    @Test mutating func `a refused renewal ends the term at once`() {
        self.lead()
        _ = self.send(.tick, at: 1003)
        #expect(self.send(.deposed(Epoch(7)), at: 1010) == [.stepDown(Epoch(7), .deposed)])
        #expect(self.send(.deposed(Epoch(7)), at: 1011) == [], "once only")
    }

    @Test mutating func `an epoch is never led twice`() {
        self.lead()
        _ = self.send(.tick, at: 1003)
        _ = self.send(.renewalFailed(Epoch(7)), at: 2500)
        _ = self.send(.tick, at: 4000)
        _ = self.send(.renewalFailed(Epoch(7)), at: 4100)
        #expect(self.send(.tick, at: 4400) == [.observe])
        let mine = self.row(7, 3, self.me)
        #expect(self.send(.observed(mine), at: 4400) == [.take(from: mine)], "our own row is taken anew")
        #expect(self.send(.took(Epoch(8), sentAt: instant(4400)), at: 4410) == [.lead(Epoch(8))])
    }

    @Test mutating func `an answer that took longer than the lease gives no leadership`() {
        _ = self.send(.tick, at: 0)
        _ = self.send(.observed(self.row(6, 0, nil)), at: 0)
        #expect(self.send(.took(Epoch(7), sentAt: instant(0)), at: 4000) == [.observe])
        #expect(self.election.ledEpoch(at: instant(4000)) == nil)
    }

    @Test mutating func `stopping releases, and nothing follows`() {
        self.lead()
        #expect(self.send(.stop, at: 10) == [.stepDown(Epoch(7), .stopping), .release(Epoch(7))])
        #expect(self.send(.tick, at: 5000) == [])
        #expect(self.send(.observed(self.row(7, 1, nil)), at: 5001) == [])
    }

    @Test mutating func `a takeover that answers after the stop is given back`() {
        _ = self.send(.tick, at: 0)
        _ = self.send(.observed(self.row(6, 0, nil)), at: 0)
        #expect(self.send(.stop, at: 1) == [])
        #expect(self.election.isTaking)
        #expect(self.send(.took(Epoch(7), sentAt: instant(0)), at: 5) == [.release(Epoch(7))])
        #expect(!self.election.isTaking)
    }

    /// Two candidates against one row, with lost answers and clocks of different rates: never two at once.
    @Test(arguments: 0..<40) func `at most one leads, whatever answers are lost`(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var row = LeaderElection.Row(epoch: Epoch(0), beat: 0, holder: nil)
        let rates = [1.0, 1.4]
        var elections = (0..<2).map { LeaderElection(me: incarnation(UInt64($0 + 1)), now: instant(0)) }
        var led: Set<Epoch> = []
        var terms = 0
        for step in 0..<3000 {
            let times = rates.map { instant(Int(Double(step) * 20 * $0)) }
            for index in elections.indices {
                let now = times[index]
                var pending = elections[index].receive(.tick, now: now, using: &random)
                while !pending.isEmpty {
                    let action = pending.removeFirst()
                    let isLost = Int.random(in: 0..<3, using: &random) == 0 && step % 900 > 400
                    let me = incarnation(UInt64(index + 1))
                    var answer: LeaderElection.Event?
                    switch action {
                    case .observe: answer = isLost ? .observationFailed : .observed(row)
                    case .take(let seen):
                        answer = .takeFailed
                        if seen.epoch == row.epoch, seen.beat == row.beat {
                            row = LeaderElection.Row(epoch: row.epoch.next, beat: row.beat + 1, holder: me)
                            if !isLost { answer = .took(row.epoch, sentAt: now) }
                        }
                    case .renew(let epoch):
                        let isMine = row.epoch == epoch && row.holder == me
                        if isMine, !isLost { row.beat += 1 }
                        answer =
                            isLost ? .renewalFailed(epoch) : isMine ? .renewed(epoch, sentAt: now) : .deposed(epoch)
                    case .lead(let epoch):
                        #expect(led.insert(epoch).inserted, "epoch \(epoch) was led twice (seed \(seed))")
                        terms += 1
                    case .stepDown, .release: break
                    }
                    if let answer { pending += elections[index].receive(answer, now: now, using: &random) }
                }
            }
            let leaders = elections.indices.filter { elections[$0].ledEpoch(at: times[$0]) != nil }
            #expect(leaders.count <= 1, "two leaders at step \(step) (seed \(seed))")
        }
        #expect(terms > 0)
    }
}
