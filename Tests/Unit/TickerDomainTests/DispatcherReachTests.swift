import EscapementModel
import Testing
import TickerDomain

@Suite struct DispatcherReachTests {
    private let one = Incarnation(UID(high: 3, low: 1))
    private let two = Incarnation(UID(high: 3, low: 2))

    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: milliseconds * 1_000_000)
    }

    private func reach(linked: Bool = true) -> DispatcherReach {
        var reach = DispatcherReach()
        reach.follow([self.one, self.two], linked: [], now: self.at(0))
        if linked { for owner in [self.one, self.two] { reach.linked(owner) } }
        return reach
    }

    @Test func `one that is away for a second is reported, once`() {
        var reach = self.reach()
        #expect(reach.news(now: self.at(100)) == nil)
        reach.lost(self.one, now: self.at(1000))
        #expect(reach.news(now: self.at(1999)) == nil)
        #expect(reach.news(now: self.at(2000)) == [self.one])
        #expect(reach.news(now: self.at(3000)) == nil)
        reach.lost(self.two, now: self.at(3000))
        #expect(reach.news(now: self.at(4000)) == [self.one, self.two])
    }

    @Test func `one that is back before that is nobody's business`() {
        var reach = self.reach()
        reach.lost(self.one, now: self.at(1000))
        reach.linked(self.one)
        #expect(reach.news(now: self.at(5000)) == nil)
    }

    @Test func `losing it again does not begin the second anew`() {
        var reach = self.reach()
        reach.lost(self.one, now: self.at(1000))
        reach.lost(self.one, now: self.at(1900))
        #expect(reach.outOfReach(now: self.at(2000)) == [self.one])
    }

    @Test func `the end is reported too`() {
        var reach = self.reach()
        reach.lost(self.one, now: self.at(0))
        #expect(reach.news(now: self.at(1000)) == [self.one])
        reach.linked(self.one)
        #expect(reach.news(now: self.at(1100)) == [])
        #expect(reach.news(now: self.at(1200)) == nil)
    }

    @Test func `one that was never reached is away from the view on`() {
        var reach = self.reach(linked: false)
        #expect(reach.news(now: self.at(1000)) == [self.one, self.two])
    }

    @Test func `an owner that the view leaves out is not missed`() {
        var reach = self.reach()
        reach.lost(self.one, now: self.at(0))
        #expect(reach.news(now: self.at(1000)) == [self.one])
        reach.follow([self.two], linked: [self.two], now: self.at(1100))
        #expect(reach.news(now: self.at(1200)) == [])
        reach.lost(self.one, now: self.at(1300))
        #expect(reach.outOfReach(now: self.at(9000)) == [])
    }

    @Test func `a view that says the same changes nothing`() {
        var reach = self.reach()
        reach.lost(self.one, now: self.at(0))
        reach.follow([self.one, self.two], linked: [self.two], now: self.at(900))
        #expect(reach.outOfReach(now: self.at(1000)) == [self.one])
    }

    @Test func `each leader is told, unless there is nothing to tell`() {
        var reach = self.reach()
        reach.lost(self.one, now: self.at(0))
        #expect(reach.news(now: self.at(1000)) == [self.one])
        reach.leaderChanged()
        #expect(reach.news(now: self.at(1100)) == [self.one])
        reach.linked(self.one)
        reach.leaderChanged()
        #expect(reach.news(now: self.at(1200)) == nil)
    }
}

@Suite struct LinkProbingTests {
    @Test func `a busy link is not probed`() {
        var probing = LinkProbing()
        for _ in 0..<100 {
            probing.heard()
            #expect(probing.beat() == .nothing)
        }
    }

    @Test func `a quiet link is probed, and given up after so many probes without an answer`() {
        var probing = LinkProbing()
        #expect(probing.beat() == .nothing)
        for _ in 0..<LinkProbing.unansweredMax { #expect(probing.beat() == .probe) }
        #expect(probing.beat() == .giveUp)
    }

    @Test func `an answer begins it anew`() {
        var probing = LinkProbing()
        _ = probing.beat()
        for _ in 1..<LinkProbing.unansweredMax { #expect(probing.beat() == .probe) }
        probing.heard()
        #expect(probing.beat() == .nothing)
        for _ in 0..<LinkProbing.unansweredMax { #expect(probing.beat() == .probe) }
    }
}

@Suite struct FireRateTests {
    private func at(_ seconds: Double) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(seconds * 1_000_000_000))
    }

    @Test func `nothing is said before a minute has passed`() {
        var rate = FireRate(now: self.at(0))
        for second in 1...59 {
            rate.count(10)
            rate.fold(now: self.at(Double(second)))
            #expect(rate.milliPerSecond(now: self.at(Double(second))) == nil)
        }
        rate.count(10)
        rate.fold(now: self.at(60))
        #expect(rate.milliPerSecond(now: self.at(60)) == 10_000)
    }

    @Test func `a steady rate is what it is, however often it is folded`() {
        var rate = FireRate(now: self.at(0))
        for tenth in 1...6000 {
            rate.count(1)
            rate.fold(now: self.at(Double(tenth) / 10))
        }
        let said = rate.milliPerSecond(now: self.at(600)) ?? 0
        #expect(said > 9_990 && said < 10_010, "\(said)")
    }

    @Test func `bursts each minute come out as their mean, within a fifth`() {
        var rate = FireRate(now: self.at(0))
        for second in 1...3600 {
            if second % 60 == 0 { rate.count(6000) }
            rate.fold(now: self.at(Double(second)))
            guard second >= 900, let said = rate.milliPerSecond(now: self.at(Double(second))) else { continue }
            #expect(said > 80_000 && said < 120_000, "\(said) at \(second)")
        }
    }

    @Test func `what has stopped is forgotten`() {
        var rate = FireRate(now: self.at(0))
        for second in 1...600 {
            rate.count(100)
            rate.fold(now: self.at(Double(second)))
        }
        for second in 601...2400 { rate.fold(now: self.at(Double(second))) }
        #expect(rate.milliPerSecond(now: self.at(2400)) ?? .max < 1000)
    }
}

@Suite struct ContentsReceiptTests {
    @Test func `the sum is said in steps`() {
        var receipt = ContentsReceipt()
        #expect(receipt.took(200_000) == nil)
        #expect(receipt.took(100_000) == 300_000)
        #expect(receipt.took(262_143) == nil)
        #expect(receipt.took(1) == 562_144)
    }
}
