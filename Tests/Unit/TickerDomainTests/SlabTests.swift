import EscapementModel
import TestSupport
import Testing

@testable import TickerDomain

@Suite struct SlabTests {
    private struct Thing: SlabRecord {
        var uid: UID
        var version: Int
        var key: UID { self.uid }
    }

    @Test func `records are found by number and by uid, several with one uid among them`() {
        var slab = Slab<Thing>()
        let uid = UID(high: 7, low: 7)
        let first = slab.insert(Thing(uid: uid, version: 1))
        let second = slab.insert(Thing(uid: uid, version: 2))
        #expect(slab.number(of: uid) { $1.version == 2 } == second)
        slab.remove(first)
        slab.remove(first)
        #expect(slab.count == 1)
        #expect(slab.number(of: uid) == second)
        #expect(slab[first] == nil)
        let third = slab.insert(Thing(uid: UID(high: 1, low: 0), version: 3))
        #expect(third == first, "a number is used again")
        slab.checkInvariants()
    }

    @Test func `what a shard holds of a schedule and of a timer is as small as it says`() {
        #expect(MemoryLayout<HeldSchedule?>.stride <= 64)
        #expect(MemoryLayout<HeldTimer?>.stride <= 56)
    }

    /// Few distinct uids that collide often, and all their versions, beside a dictionary.
    @Test(arguments: 1...6 as ClosedRange<UInt64>)
    func `the slab agrees with a dictionary`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var slab = Slab<Thing>()
        var reference: [UInt32: Thing] = [:]
        var version = 0
        for step in 0..<4000 {
            let isGrowing = (step / 1000) % 2 == 0
            if Int.random(in: 0..<10, using: &random) < (isGrowing ? 7 : 3) {
                version += 1
                // The lowest bits alone differ: those that a careless table would look at last.
                let uid = UID(
                    high: UInt64.random(in: 0..<4, using: &random),
                    low: UInt64.random(in: 0..<200, using: &random) << 48)
                let thing = Thing(uid: uid, version: version)
                let number = slab.insert(thing)
                #expect(reference.updateValue(thing, forKey: number) == nil, "seed \(seed): a number was given twice")
            } else if let number = reference.keys.sorted().randomElement(using: &random) {
                slab.remove(number)
                reference[number] = nil
            }
            if step % 100 == 0 { slab.checkInvariants() }
        }
        slab.checkInvariants()
        #expect(slab.count == reference.count)
        for (number, thing) in reference {
            #expect(slab.number(of: thing.uid) { $1.version == thing.version } == number)
            #expect(slab[number]?.version == thing.version)
        }
    }
}
