import DispatcherDomain
import EscapementModel
import Testing

@Suite struct OwnershipViewTests {
    private let shard = ShardID(3)

    private func owner(_ epoch: UInt64, _ who: UInt64) -> OwnershipView.Owner {
        OwnershipView.Owner(epoch: Epoch(epoch), incarnation: Incarnation(UID(high: 0, low: who)))
    }

    @Test func `only the named incarnation may open, under exactly the named epoch`() {
        var view = OwnershipView()
        #expect(view.apply(leaderEpoch: Epoch(1), version: 1, owners: [self.shard: self.owner(5, 1)]) == true)
        #expect(view.allows(self.shard, Epoch(5), self.owner(5, 1).incarnation))
        #expect(!view.allows(self.shard, Epoch(5), self.owner(5, 2).incarnation))
        #expect(!view.allows(self.shard, Epoch(6), self.owner(5, 1).incarnation))
    }

    @Test func `older views are passed over and lower epochs never come back`() {
        var view = OwnershipView()
        #expect(view.apply(leaderEpoch: Epoch(2), version: 3, owners: [self.shard: self.owner(5, 1)]) == true)
        #expect(view.apply(leaderEpoch: Epoch(2), version: 3, owners: [self.shard: self.owner(9, 2)]) == false)
        #expect(view.apply(leaderEpoch: Epoch(1), version: 9, owners: [self.shard: self.owner(9, 2)]) == false)
        #expect(view.apply(leaderEpoch: Epoch(3), version: 1, owners: [self.shard: self.owner(4, 2)]) == true)
        #expect(view.epoch(of: self.shard) == Epoch(5))
    }

    @Test func `a view that leaves a shard out takes nothing away`() {
        var view = OwnershipView()
        _ = view.apply(leaderEpoch: Epoch(1), version: 1, owners: [self.shard: self.owner(5, 1)])
        #expect(view.apply(leaderEpoch: Epoch(2), version: 1, owners: [:]) == true)
        #expect(view.allows(self.shard, Epoch(5), self.owner(5, 1).incarnation))
    }
}
