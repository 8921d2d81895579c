import EscapementModel
import MemberLink
import TestSupport
import Testing

@Suite struct LeaderSearchTests {
    let a = PeerAddress(host: "a", port: 1)
    let b = PeerAddress(host: "b", port: 2)
    let c = PeerAddress(host: "c", port: 3)

    @Test func `a round tries each address once and then waits`() {
        var random = SeededRandom(seed: 1)
        var search = LeaderSearch()
        #expect(search.next(using: &random) == .resolve)
        search.found([self.a, self.b, self.a], using: &random)
        var tried: Set<PeerAddress> = []
        for _ in 0..<2 {
            guard case .connect(let address) = search.next(using: &random) else {
                Issue.record("expected an attempt")
                return
            }
            tried.insert(address)
        }
        #expect(tried == [self.a, self.b])
        guard case .wait(let pause) = search.next(using: &random) else {
            Issue.record("expected a pause")
            return
        }
        #expect(pause >= LeaderSearch.pauseMin / 2 && pause <= LeaderSearch.pauseMin)
        #expect(search.next(using: &random) == .resolve)
    }

    @Test func `pauses double up to a second`() {
        var random = SeededRandom(seed: 2)
        var search = LeaderSearch()
        var pauses: [Duration] = []
        for _ in 0..<12 {
            #expect(search.next(using: &random) == .resolve)
            search.found([], using: &random)
            guard case .wait(let pause) = search.next(using: &random) else {
                Issue.record("expected a pause")
                return
            }
            pauses.append(pause)
        }
        #expect(pauses.allSatisfy { $0 <= LeaderSearch.pauseMax })
        #expect(pauses[11] >= LeaderSearch.pauseMax / 2)
        #expect(pauses[1] > LeaderSearch.pauseMin / 2)
    }

    @Test func `a redirect is followed at once, but nobody is asked twice in a round`() {
        var random = SeededRandom(seed: 3)
        var search = LeaderSearch()
        search.found([self.a], using: &random)
        #expect(search.next(using: &random) == .connect(self.a))
        search.redirected(to: self.c)
        #expect(search.next(using: &random) == .connect(self.c))
        search.redirected(to: self.a)
        guard case .wait = search.next(using: &random) else {
            Issue.record("two that point at each other keep us busy")
            return
        }
    }

    @Test func `the last leader is asked first`() {
        var random = SeededRandom(seed: 4)
        var search = LeaderSearch()
        search.found([self.c], using: &random)
        #expect(search.next(using: &random) == .connect(self.c))
        search.accepted(by: self.c)
        search.proven()
        search.ended()
        #expect(search.next(using: &random) == .resolve)
        search.found([self.a, self.b], using: &random)
        #expect(search.next(using: &random) == .connect(self.c))
    }

    @Test func `a session that never worked is followed by a pause`() {
        var random = SeededRandom(seed: 5)
        var search = LeaderSearch()
        search.found([self.a], using: &random)
        #expect(search.next(using: &random) == .connect(self.a))
        search.accepted(by: self.a)
        search.ended()
        guard case .wait = search.next(using: &random) else {
            Issue.record("a leader that accepts and closes would be hammered")
            return
        }
        #expect(search.next(using: &random) == .resolve)
    }

    @Test func `a round is bounded however many addresses discovery gives`() {
        var random = SeededRandom(seed: 6)
        var search = LeaderSearch()
        search.found((1...1000).map { PeerAddress(host: "h", port: $0) }, using: &random)
        var attempts = 0
        while case .connect = search.next(using: &random) { attempts += 1 }
        #expect(attempts == LeaderSearch.attemptsPerRoundMax)
    }
}
