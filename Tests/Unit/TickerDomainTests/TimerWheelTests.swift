import EscapementModel
import Testing
import TestSupport
import TickerDomain

@Suite struct TimerWheelTests {
    private func instant(_ milliseconds: Int64) -> WallInstant { WallInstant(milliseconds: milliseconds) }

    @Test func `entries expire at their instant and not before`() {
        var wheel = TimerWheel(now: self.instant(1000))
        for due in [1001, 1063, 1064, 5000, 1_000_000, 1_795_397_400_000] as [Int64] {
            _ = wheel.insert(due: self.instant(due), token: UInt32(truncatingIfNeeded: due))
            wheel.checkInvariants()
        }
        for due in [1001, 1063, 1064, 5000, 1_000_000, 1_795_397_400_000] as [Int64] {
            var expired: [TimerWheel.Expired] = []
            wheel.advance(to: self.instant(due - 1), expired: &expired)
            #expect(expired.isEmpty)
            wheel.advance(to: self.instant(due), expired: &expired)
            wheel.checkInvariants()
            #expect(expired.map { wheel.due(of: $0) } == [self.instant(due)])
        }
        #expect(wheel.count == 0)
        #expect(wheel.nextDue == nil)
    }

    @Test func `a removed entry does not expire and its handle is spent`() {
        var wheel = TimerWheel(now: self.instant(0))
        let first = wheel.insert(due: self.instant(10), token: 1)
        _ = wheel.insert(due: self.instant(10), token: 2)
        let removals = [wheel.remove(first), wheel.remove(first)]
        #expect(removals == [true, false])
        let third = wheel.insert(due: self.instant(20), token: 3)
        let late = wheel.remove(first)
        #expect(!late, "the slab entry is used again, the old handle must not reach it")
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(15), expired: &expired)
        #expect(expired.map(\.token) == [2])
        let last = wheel.remove(third)
        #expect(last)
        wheel.checkInvariants()
    }

    @Test func `time does not run backwards`() {
        var wheel = TimerWheel(now: self.instant(100))
        _ = wheel.insert(due: self.instant(200), token: 1)
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(50), expired: &expired)
        #expect(expired.isEmpty)
        #expect(wheel.now == self.instant(100))
    }

    @Test func `instants before 1970 and at the far end are kept apart`() {
        var wheel = TimerWheel(now: self.instant(-1_000_000))
        _ = wheel.insert(due: self.instant(-5), token: 1)
        _ = wheel.insert(due: self.instant(5), token: 2)
        _ = wheel.insert(due: .distantFuture, token: 3)
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(0), expired: &expired)
        #expect(expired.map(\.token) == [1])
        wheel.advance(to: self.instant(Int64.max - 1), expired: &expired)
        #expect(expired.map(\.token) == [1, 2])
        wheel.checkInvariants()
    }

    @Test func `a herd of one instant leaves together, whether filed before or after its window opened`() {
        var wheel = TimerWheel(now: self.instant(0))
        for token in 0..<1000 as Range<UInt32> { _ = wheel.insert(due: self.instant(1000), token: token) }
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(900), expired: &expired)
        for token in 1000..<1300 as Range<UInt32> { _ = wheel.insert(due: self.instant(1000), token: token) }
        wheel.checkInvariants()
        wheel.advance(to: self.instant(999), expired: &expired)
        #expect(expired.isEmpty)
        #expect(wheel.nextDue == self.instant(1000))
        wheel.advance(to: self.instant(1000), expired: &expired)
        #expect(expired.map(\.token).sorted() == Array(0..<1300))
        wheel.checkInvariants()
    }

    @Test func `what is removed after its window opened does not expire`() {
        var wheel = TimerWheel(now: self.instant(0))
        let sorted = wheel.insert(due: self.instant(300), token: 1)
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(260), expired: &expired)
        let chained = wheel.insert(due: self.instant(300), token: 2)
        _ = wheel.insert(due: self.instant(300), token: 3)
        let removals = [wheel.remove(sorted), wheel.remove(chained), wheel.remove(sorted), wheel.remove(chained)]
        #expect(removals == [true, true, false, false])
        wheel.checkInvariants()
        wheel.advance(to: self.instant(300), expired: &expired)
        #expect(expired.map(\.token) == [3])
    }

    @Test func `removals give the memory of what was removed to later insertions`() {
        var wheel = TimerWheel(now: self.instant(0))
        let far = self.instant(1_000_000_000)
        for round in 0..<50 {
            var handles: [TimerWheel.Handle] = []
            for token in 0..<2000 as Range<UInt32> { handles.append(wheel.insert(due: far, token: token)) }
            for handle in handles { wheel.remove(handle) }
            if round % 10 == 0 { wheel.checkInvariants() }
        }
        wheel.checkInvariants()
        #expect(wheel.count == 0)
        #expect(wheel.filedCount < 6000, "100 000 timers came and went; the wheel never held more than 2 000")
    }

    /// More than one block of memory holds of generations, entries and freed ids.
    @Test func `a wheel of several blocks is sound, and everything in it expires once and in order`() {
        let count = 600_000
        var random = SeededRandom(seed: 5)
        var wheel = TimerWheel(now: self.instant(0), phase: 77)
        var handles: [TimerWheel.Handle] = []
        for token in 0..<UInt32(count) {
            let due = Int64.random(in: 1...600_000, using: &random)
            handles.append(wheel.insert(due: self.instant(due), token: token))
        }
        for (index, handle) in handles.enumerated() where index % 2 == 0 { wheel.remove(handle) }
        wheel.checkInvariants()
        let left = wheel.count
        #expect(left == count / 2)
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(300_000), expired: &expired)
        wheel.checkInvariants()
        // Those that come now take the places of those that went.
        for token in 0..<UInt32(left / 2) {
            _ = wheel.insert(due: self.instant(400_000 + Int64(token % 1000)), token: UInt32(count) + token)
        }
        wheel.checkInvariants()
        wheel.advance(to: self.instant(600_000), expired: &expired)
        wheel.checkInvariants()
        #expect(wheel.count == 0)
        #expect(expired.count == left + left / 2)
        #expect(Set(expired.map(\.token)).count == expired.count)
        let dues = expired.map { wheel.due(of: $0) }
        #expect(zip(dues, dues.dropFirst()).allSatisfy { $0 <= $1 })
    }

    @Test func `an idle wheel is asked for nothing`() {
        var wheel = TimerWheel(now: self.instant(0))
        #expect(wheel.nextDue == nil)
        _ = wheel.insert(due: self.instant(700), token: 1)
        #expect(wheel.nextDue == self.instant(512), "the window in which it waits opens first")
        var expired: [TimerWheel.Expired] = []
        wheel.advance(to: self.instant(512), expired: &expired)
        #expect(expired.isEmpty)
        #expect(wheel.nextDue == self.instant(700))
    }

    /// Small wheels, looked at closely: every chain, count and bitmap after each step.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `the wheel agrees with a sorted reference, and is sound after every step`(seed: UInt64) {
        var pair = WheelAndReference(seed: seed &* 7919, reachBits: 1...34)
        for _ in 0..<400 {
            pair.step()
            pair.wheel.checkInvariants()
        }
        pair.finish()
    }

    /// A million steps over all seeds.
    @Test(arguments: 1...16 as ClosedRange<UInt64>)
    func `the wheel agrees with a sorted reference over a long life`(seed: UInt64) {
        // Few bits make crowded windows, many bits make long cascades.
        var pair = WheelAndReference(seed: seed, reachBits: 1...(seed % 4 == 0 ? 12 : seed % 4 == 1 ? 50 : 24))
        for step in 0..<62_500 {
            pair.step()
            if step % 5000 == 0 { pair.wheel.checkInvariants() }
        }
        pair.finish()
    }
}
