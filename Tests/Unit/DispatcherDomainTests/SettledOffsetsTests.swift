import DispatcherDomain
import EscapementModel
import Testing

@Suite struct SettledOffsetsTests {
    @Test func `what touches becomes one, and what reaches the first is gone`() {
        var settled = SettledOffsets()
        for offset: Int64 in [5, 3, 9] { settled.settle(offset..<offset + 1) }
        #expect(settled.stretches == [3..<4, 5..<6, 9..<10])
        settled.settle(4..<5)
        #expect(settled.stretches == [3..<6, 9..<10])
        settled.settle(0..<3)
        #expect(settled.next == 6 && settled.stretches == [9..<10])
        settled.advance(to: 9)
        #expect(settled == SettledOffsets(next: 10))
    }

    @Test(arguments: 1...20) func `it says what a set of offsets would`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var settled = SettledOffsets()
        var other = SettledOffsets()
        var all: Set<Int64> = []
        for _ in 0..<200 {
            let start = Int64.random(in: 0..<300, using: &random)
            let range = start..<start + Int64.random(in: 0...5, using: &random)
            if Bool.random(using: &random) { settled.settle(range) } else { other.settle(range) }
            all.formUnion(range)
            settled.checkInvariants()
            let union = settled.union(other)
            union.checkInvariants()
            #expect((0..<310).allSatisfy { union.contains($0) == all.contains($0) })
        }
    }
}
