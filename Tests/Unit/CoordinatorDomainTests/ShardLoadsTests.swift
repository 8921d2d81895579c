import CoordinatorDomain
import Testing

@Suite struct ShardLoadsTests {
    private func measure(fires: UInt64 = 0, resident: UInt64 = 0) -> ShardLoads.Measure {
        ShardLoads.Measure(millifiresPerSecond: fires * 1000, resident: resident)
    }

    @Test func `an idle shard weighs one, a busy or a full one more`() {
        #expect(self.measure().weight == 1)
        #expect(self.measure(fires: 100).weight == 2)
        #expect(self.measure(resident: 200_000).weight == 3)
        #expect(self.measure(fires: 300, resident: 100_000).weight == 5)
    }

    @Test func `a weight follows only when it is off by a quarter`() {
        var loads = ShardLoads()
        loads.heard(0, self.measure(fires: 300))
        #expect(loads.weight(of: 0) == 4)
        loads.heard(0, self.measure(fires: 400))
        #expect(loads.weight(of: 0) == 4, "five is a quarter more")
        #expect(loads.measure(of: 0) == self.measure(fires: 400), "what was said last is shown")
        loads.heard(0, self.measure(fires: 401))
        #expect(loads.weight(of: 0) == 5.01)
        loads.heard(0, self.measure(fires: 200))
        #expect(loads.weight(of: 0) == 3)
    }

    @Test func `what nobody has measured is taken for ordinary`() {
        var loads = ShardLoads()
        #expect(loads.weight(of: 7) == 1)
        loads.heard(0, self.measure(fires: 100))
        loads.heard(1, self.measure(fires: 300))
        #expect(loads.weight(of: 7) == 3)
        let items = loads.weighed([1, 7].map { Placement.Item(number: $0, owner: nil) })
        #expect(items.map(\.load) == [4, 3])
    }
}
