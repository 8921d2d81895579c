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
            #expect(expired.map(\.due) == [self.instant(due)])
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

    /// The wheel beside a sorted reference, random operations, several seeds.
    @Test(arguments: 1...8 as ClosedRange<UInt64>)
    func `the wheel agrees with a sorted reference`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var now: Int64 = 1_795_397_400_000
        var wheel = TimerWheel(now: self.instant(now))
        var reference: [UInt32: (due: Int64, handle: TimerWheel.Handle)] = [:]
        var token: UInt32 = 0
        for step in 0..<4000 {
            switch UInt64.random(in: 0..<10, using: &random) {
            case 0..<5:
                let exponent = UInt64.random(in: 0..<40, using: &random)
                let due = now + 1 + Int64(UInt64.random(in: 0...(1 << exponent), using: &random))
                reference[token] = (due, wheel.insert(due: self.instant(due), token: token))
                token += 1
            case 5..<7:
                guard let victim = reference.keys.sorted().randomElement(using: &random) else { continue }
                guard let entry = reference.removeValue(forKey: victim) else { continue }
                let removed = wheel.remove(entry.handle)
                #expect(removed)
            default:
                let exponent = UInt64.random(in: 0..<42, using: &random)
                now += Int64(UInt64.random(in: 0...(1 << exponent), using: &random))
                var expired: [TimerWheel.Expired] = []
                wheel.advance(to: self.instant(now), expired: &expired)
                let expected = reference.filter { $0.value.due <= now }
                #expect(Set(expired.map(\.token)) == Set(expected.keys))
                #expect(expired.allSatisfy { reference[$0.token]?.due == $0.due.milliseconds })
                #expect(expired.map(\.due) == expired.map(\.due).sorted())
                for key in expected.keys { reference[key] = nil }
            }
            if let next = wheel.nextDue {
                let earliest = reference.values.map(\.due).min() ?? .max
                #expect(next.milliseconds <= earliest && next.milliseconds > now)
            } else {
                #expect(reference.isEmpty)
            }
            if step % 50 == 0 { wheel.checkInvariants() }
        }
        wheel.checkInvariants()
        #expect(wheel.count == reference.count)
    }
}
