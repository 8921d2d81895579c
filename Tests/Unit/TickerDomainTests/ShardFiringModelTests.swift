import EscapementModel
import Testing
import TestSupport
import TickerDomain

/// At the end of every world (see `ShardWorld`) each occurrence was settled exactly once.
@Suite struct ShardFiringModelTests {
    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func `every occurrence is settled exactly once whatever fails`(seed: UInt64) {
        var world = ShardWorld(random: SeededRandom(seed: seed))
        for _ in 0..<2000 { world.step() }
        world.converge()
        #expect(world.pausedCount > 0 && world.resumedCount > 0, "seed \(seed): nothing was paused and resumed")
        #expect(world.pagesTaken > 0 && world.unloads > 0, "seed \(seed): no timers came or went by horizon")
        #expect(world.preparedTaken > 0, "seed \(seed): nothing was loaded ahead")
        let expected = world.expected
        let doubled = world.settled.filter { $0.value > 1 }
        #expect(doubled.isEmpty, "seed \(seed): settled more than once")
        let missing = expected.subtracting(world.settled.keys)
        #expect(missing.isEmpty, "seed \(seed): \(missing.count) occurrences missed")
    }
}
