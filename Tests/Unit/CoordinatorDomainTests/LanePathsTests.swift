import CoordinatorDomain
import EscapementModel
import TestSupport
import Testing

@Suite struct LanePathsTests {
    private let ticker = incarnation(1)
    private let other = incarnation(2)
    private let dispatcher = incarnation(11)

    @Test func `a path is cut from the ticker's word on`() {
        var paths = LanePaths()
        #expect(paths.isEmpty)
        paths.report(from: self.ticker, unreachable: [self.dispatcher], now: instant(0))
        #expect(paths.tickersCutOff(from: self.dispatcher) == [self.ticker])
        #expect(paths.unreachable(from: self.ticker) == [self.dispatcher])
        #expect(paths.unreachable(from: self.other).isEmpty)
    }

    @Test func `a path that is whole again counts as cut for a while`() {
        var paths = LanePaths()
        paths.report(from: self.ticker, unreachable: [self.dispatcher], now: instant(0))
        paths.report(from: self.ticker, unreachable: [], now: instant(1000))
        #expect(paths.unreachable(from: self.ticker).isEmpty)
        paths.expire(now: instant(30_999))
        #expect(paths.tickersCutOff(from: self.dispatcher) == [self.ticker])
        paths.expire(now: instant(31_000))
        #expect(paths.isEmpty)
    }

    @Test func `a path that comes and goes begins its while anew`() {
        var paths = LanePaths()
        paths.report(from: self.ticker, unreachable: [self.dispatcher], now: instant(0))
        paths.report(from: self.ticker, unreachable: [], now: instant(1000))
        paths.report(from: self.ticker, unreachable: [self.dispatcher], now: instant(20_000))
        paths.report(from: self.ticker, unreachable: [], now: instant(21_000))
        // Said once more, it does not begin anew.
        paths.report(from: self.ticker, unreachable: [], now: instant(40_000))
        paths.expire(now: instant(50_999))
        #expect(!paths.isEmpty)
        paths.expire(now: instant(51_000))
        #expect(paths.isEmpty)
    }

    @Test func `a path that is cut never expires`() {
        var paths = LanePaths()
        paths.report(from: self.ticker, unreachable: [self.dispatcher], now: instant(0))
        paths.expire(now: instant(3_600_000))
        #expect(paths.tickersCutOff(from: self.dispatcher) == [self.ticker])
    }

    @Test(arguments: [1, 11] as [UInt64]) func `whoever is no more has no paths`(gone: UInt64) {
        var paths = LanePaths()
        paths.report(from: self.ticker, unreachable: [self.dispatcher], now: instant(0))
        paths.forget(incarnation(gone))
        #expect(paths.isEmpty)
    }
}
