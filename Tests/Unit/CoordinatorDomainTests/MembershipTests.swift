import CoordinatorDomain
import EscapementModel
import Testing

func identity(_ number: UInt64, _ role: Role = .ticker, node: String? = nil, weight: Int = 100) -> MemberIdentity {
    MemberIdentity(
        role: role, node: NodeID(node ?? "node-\(number)"), incarnation: incarnation(number),
        address: "host-\(number):1", weight: weight, canPrepare: true)
}

@Suite struct MembershipTests {
    private var membership = Membership(owners: [], now: instant(0))
    private let a = incarnation(1)
    private var sentAt = 0

    /// Sends `event`, after the ticks that a leader has until then; all changes.
    private mutating func send(_ event: Membership.Event, at milliseconds: Int) -> [Membership.Change] {
        let ticks = stride(from: self.sentAt + 100, to: milliseconds, by: 100).flatMap {
            self.membership.receive(.tick, now: instant($0))
        }
        self.sentAt = milliseconds
        return ticks + self.membership.receive(event, now: instant(milliseconds))
    }

    /// Member 1 is up at 0 ms.
    private mutating func up() {
        _ = self.send(.joined(identity(1)), at: 0)
        _ = self.send(.heard(self.a, Membership.Report()), at: 0)
    }

    @Test mutating func `the first heartbeat makes a newcomer a full member`() {
        #expect(self.send(.joined(identity(1)), at: 0) == [Membership.Change(self.a, from: nil, to: .joining)])
        #expect(
            self.send(.heard(self.a, Membership.Report()), at: 5)
                == [Membership.Change(self.a, from: .joining, to: .up)])
        #expect(self.send(.heard(self.a, Membership.Report()), at: 500) == [])
    }

    @Test mutating func `silence makes suspect, then dead`() {
        self.up()
        #expect(self.send(.tick, at: 1499) == [])
        #expect(self.send(.tick, at: 1500) == [Membership.Change(self.a, from: .up, to: .suspect)])
        #expect(self.send(.tick, at: 2999) == [])
        #expect(self.send(.tick, at: 3000) == [Membership.Change(self.a, from: .suspect, to: .dead)])
        #expect(self.membership.members.isEmpty)
        #expect(self.send(.heard(self.a, Membership.Report()), at: 3100) == [], "a late frame of the dead")
    }

    @Test mutating func `a suspect that speaks again is up`() {
        self.up()
        _ = self.send(.tick, at: 1600)
        #expect(
            self.send(.heard(self.a, Membership.Report()), at: 1700)
                == [Membership.Change(self.a, from: .suspect, to: .up)])
        #expect(self.send(.tick, at: 3000) == [])
    }

    @Test mutating func `a broken link is death after half a second, unless the member comes back`() {
        self.up()
        #expect(
            self.send(.closed(self.a, goodbye: false), at: 100) == [Membership.Change(self.a, from: .up, to: .suspect)])
        #expect(self.send(.tick, at: 599) == [])
        #expect(self.send(.joined(identity(1)), at: 599) == [])
        #expect(self.send(.tick, at: 700) == [])
        #expect(
            self.send(.heard(self.a, Membership.Report()), at: 750)
                == [Membership.Change(self.a, from: .suspect, to: .up)])
        _ = self.send(.closed(self.a, goodbye: false), at: 800)
        #expect(self.send(.tick, at: 1300) == [Membership.Change(self.a, from: .suspect, to: .dead)])
    }

    @Test mutating func `a goodbye ends a membership at once`() {
        self.up()
        #expect(self.send(.closed(self.a, goodbye: true), at: 10) == [Membership.Change(self.a, from: .up, to: .gone)])
    }

    @Test mutating func `a restart under the same name ends the run before`() {
        self.up()
        let changes = self.send(.joined(identity(9, node: "node-1")), at: 200)
        #expect(
            changes == [
                Membership.Change(self.a, from: .up, to: .dead),
                Membership.Change(incarnation(9), from: nil, to: .joining),
            ])
        #expect(self.send(.closed(self.a, goodbye: false), at: 300) == [], "the old link's end is an echo")
    }

    @Test mutating func `a process that was given up for a pause joins like a new one`() {
        self.up()
        _ = self.send(.tick, at: 5000)
        #expect(self.send(.joined(identity(1)), at: 6000) == [Membership.Change(self.a, from: nil, to: .joining)])
    }

    @Test mutating func `leaving is remembered until nothing is left`() {
        self.up()
        #expect(
            self.send(.heard(self.a, Membership.Report(leaving: true)), at: 10)
                == [Membership.Change(self.a, from: .up, to: .leaving)])
        #expect(self.send(.heard(self.a, Membership.Report()), at: 500) == [])
        #expect(self.send(.emptied(self.a), at: 600) == [Membership.Change(self.a, from: .leaving, to: .gone)])
    }

    @Test mutating func `a leaving member that falls silent is dead`() {
        self.up()
        _ = self.send(.heard(self.a, Membership.Report(leaving: true)), at: 10)
        #expect(self.send(.tick, at: 3010) == [Membership.Change(self.a, from: .leaving, to: .dead)])
    }

    @Test func `a new leader waits for the owners it was told of`() {
        var membership = Membership(owners: [incarnation(1), incarnation(2)], now: instant(0))
        #expect(!membership.isSettled(at: instant(0)))
        _ = membership.receive(.joined(identity(1)), now: instant(10))
        _ = membership.receive(.heard(incarnation(1), Membership.Report()), now: instant(20))
        #expect(membership.keeps(incarnation(2), at: instant(2999)))
        #expect(!membership.keeps(incarnation(2), at: instant(3000)))
        #expect(membership.isSettled(at: instant(3000)))
    }

    @Test func `a new leader has settled when all owners have reported`() {
        var membership = Membership(owners: [incarnation(1)], now: instant(0))
        _ = membership.receive(.joined(identity(1)), now: instant(10))
        #expect(membership.isSettled(at: instant(10)))
    }

    @Test func `a new leader does not wait for an owner whose node has come back as a new process`() {
        let node = identity(1).node
        func leader(_ role: Role) -> Membership {
            var membership = Membership(
                owners: [incarnation(9)], names: [incarnation(9): Membership.Owner(role, node)], now: instant(0))
            _ = membership.receive(.joined(identity(1)), now: instant(10))
            return membership
        }
        #expect(leader(identity(1).role).isSettled(at: instant(10)))
        #expect(!leader(identity(1).role).keeps(incarnation(9), at: instant(10)))
        let other: Role = identity(1).role == .ticker ? .dispatcher : .ticker
        #expect(!leader(other).isSettled(at: instant(10)), "a process of another role may have the same name")
    }

    @Test func `nobody is declared dead before the leader has settled`() {
        var tests = MembershipTests()
        tests.membership = Membership(
            owners: [incarnation(7)], timing: MembershipTiming(settle: .seconds(10)), now: instant(0))
        tests.up()
        #expect(tests.send(.tick, at: 5000).map(\.to) == [.suspect])
        #expect(tests.send(.tick, at: 10_000).map(\.to) == [.dead])
    }

    @Test mutating func `a leader that stood still itself blames nobody for the silence`() {
        self.up()
        _ = self.send(.joined(identity(2)), at: 200)
        _ = self.send(.heard(incarnation(2), Membership.Report()), at: 400)
        _ = self.send(.closed(incarnation(2), goodbye: false), at: 500)
        // Stopped for 3.9 s: still leading, and the tick comes before what waits to be read.
        self.sentAt = 4400
        #expect(self.send(.tick, at: 4400) == [])
        #expect(self.send(.heard(self.a, Membership.Report()), at: 4410) == [])
        #expect(self.send(.joined(identity(2)), at: 4420) == [])
        #expect(self.send(.heard(self.a, Membership.Report()), at: 5900) == [])
        #expect(self.send(.heard(self.a, Membership.Report()), at: 7300) == [])
        #expect(
            self.send(.tick, at: 7420) == [Membership.Change(incarnation(2), from: .suspect, to: .dead)],
            "who stays away from then on is given up as ever")
    }

    @Test func `a new leader that stood still waits the rest of its window afterwards`() {
        var membership = Membership(owners: [incarnation(1), incarnation(2)], now: instant(0))
        _ = membership.receive(.tick, now: instant(100))
        _ = membership.receive(.tick, now: instant(3600))
        #expect(!membership.isSettled(at: instant(3600)))
        for time in stride(from: 3700, through: 6500, by: 100) { _ = membership.receive(.tick, now: instant(time)) }
        #expect(membership.isSettled(at: instant(6500)))
    }
}
