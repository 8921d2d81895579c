import EscapementModel
import Store
import Testing

struct StoreLockTests {
    private let a = Incarnation(UID(high: 1, low: 1))
    private let b = Incarnation(UID(high: 2, low: 2))

    private func lead(_ store: any LockStore, _ who: Incarnation, _ node: String = "c-1") async throws -> Epoch {
        try #require(
            try await store.takeLeadership(
                from: try await store.observeLeader(), holder: who, node: NodeID(node), address: "\(node):7400"))
    }

    private func claim(
        _ number: UInt16, _ expected: Epoch, _ owner: String?, reason: String = "join"
    ) -> OwnershipClaim {
        OwnershipClaim(
            number: number, expected: expected, owner: owner.map { NodeID($0) }, incarnation: owner.map { _ in self.a },
            reason: reason)
    }

    @Test(arguments: StoreKind.available)
    func `settings are established once`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let other = ClusterSettings(cluster: "other", shardCount: 16, laneCount: 4)
            let stored = try await store.establish(other)
            #expect(stored == ClusterSettings(cluster: "test", shardCount: 8, laneCount: 2))
            let ownership = try await store.loadOwnership()
            #expect(ownership.shards.map(\.number) == Array(0..<8) && ownership.lanes.map(\.number) == [0, 1])
        }
    }

    @Test(arguments: StoreKind.available)
    func `leadership is taken from what was seen, kept by renewing and given back`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let seen = try await store.observeLeader()
            #expect(seen.holder == nil)
            let epoch = try await self.lead(store, a)
            #expect(epoch > seen.epoch)
            #expect(
                try await store.takeLeadership(from: seen, holder: b, node: NodeID("c-2"), address: "c-2:1") == nil)
            let held = try await store.observeLeader()
            #expect(held.holder == a && held.node == NodeID("c-1") && held.address == "c-1:7400")
            #expect(try await store.renewLeadership(epoch: epoch, holder: a))
            #expect(try await store.observeLeader().beat > held.beat)
            #expect(try await store.renewLeadership(epoch: epoch, holder: b) == false)
            #expect(
                try await store.takeLeadership(from: held, holder: b, node: NodeID("c-2"), address: "c-2:1") == nil,
                "a beat has come since")
            try await store.releaseLeadership(epoch: epoch, holder: b)
            #expect(try await store.observeLeader().holder == a)
            try await store.releaseLeadership(epoch: epoch, holder: a)
            let free = try await store.observeLeader()
            #expect(free.holder == nil && free.node == nil && free.address == nil)
            #expect(try await self.lead(store, b, "c-2") > epoch)
            #expect(try await store.renewLeadership(epoch: epoch, holder: a) == false)
        }
    }

    @Test(arguments: StoreKind.available)
    func `a claim raises the epoch of what it expected and tells the rest`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let epoch = try await self.lead(store, a)
            let outcome = try await store.claim(
                .shard, [self.claim(3, .none, "t-1"), self.claim(5, .none, "t-2"), self.claim(3, .none, "t-3")],
                leaderEpoch: epoch)
            guard case .claimed(let epochs) = outcome, epochs.count == 3, let third = epochs[0] else {
                Issue.record("\(outcome)")
                return
            }
            #expect(epochs[1] != nil && epochs[2] == nil, "of two claims to one number the first counts")
            let stale = try await store.claim(.shard, [self.claim(3, .none, "t-2")], leaderEpoch: epoch)
            #expect(stale == .claimed([nil]))
            let unknown = try await store.claim(.lane, [self.claim(9, .none, "d-1")], leaderEpoch: epoch)
            #expect(unknown == .claimed([nil]))
            let none = try await store.claim(.shard, [], leaderEpoch: epoch)
            #expect(none == .claimed([]))
            _ = try await store.claim(.shard, [self.claim(3, third, nil, reason: "dead")], leaderEpoch: epoch)
            let row = try await store.loadOwnership().shards[3]
            #expect(row.owner == nil && row.incarnation == nil && row.epoch > third)
            let history = try await store.assignmentHistory(
                AssignmentFilter(kind: .shard, number: 3), before: nil, limit: 10)
            #expect(history.map(\.reason) == ["dead", "join"])
            #expect(history.map(\.owner) == [nil, NodeID("t-1")])
            #expect(history.allSatisfy { $0.leaderEpoch == epoch })
        }
    }

    @Test(arguments: StoreKind.available)
    func `a deposed leader changes nothing`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let old = try await self.lead(store, a)
            let new = try await self.lead(store, b, "c-2")
            #expect(try await store.claim(.shard, [self.claim(1, .none, "t-1")], leaderEpoch: old) == .deposed)
            #expect(try await store.claim(.lane, [], leaderEpoch: old) == .deposed)
            try await store.raiseEpoch(.shard, number: 1, to: Epoch(99), leaderEpoch: old)
            try await store.checkpoint([ShardID(1): Rows.at(1)], leaderEpoch: old)
            try await store.releaseLeadership(epoch: old, holder: a)
            let ownership = try await store.loadOwnership()
            #expect(ownership.shards.allSatisfy { $0.epoch == .none && $0.owner == nil })
            #expect(try await store.observeLeader().epoch == new)
            #expect(try await store.assignmentHistory(AssignmentFilter(), before: nil, limit: 5) == [])
        }
    }

    @Test(arguments: StoreKind.available)
    func `a lane's checkpoint never goes back, and a deposed leader writes none`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            func mark(_ lane: UInt16, _ epoch: UInt64, _ sequence: UInt64, _ state: [UInt8]) -> LaneCheckpoint {
                LaneCheckpoint(lane: LaneID(lane), epoch: Epoch(epoch), sequence: sequence, state: state)
            }
            let old = try await self.lead(store, a)
            let epoch = try await self.lead(store, b, "c-2")
            #expect(try await store.loadLaneCheckpoints() == [])
            try await store.checkpoint(lanes: [mark(1, 9, 9, [])], leaderEpoch: old)
            #expect(try await store.loadLaneCheckpoints() == [])
            try await store.checkpoint(lanes: [mark(1, 4, 20, [1, 0, 255]), mark(0, 1, 1, [])], leaderEpoch: epoch)
            try await store.checkpoint(lanes: [mark(1, 4, 19, [2]), mark(0, 1, 2, [3])], leaderEpoch: epoch)
            try await store.checkpoint(lanes: [mark(1, 3, 99, [4])], leaderEpoch: epoch)
            #expect(try await store.loadLaneCheckpoints() == [mark(0, 1, 2, [3]), mark(1, 4, 20, [1, 0, 255])])
            // A later owner may have begun below what a former one wrote.
            try await store.checkpoint(lanes: [mark(1, 5, 7, [5])], leaderEpoch: epoch)
            #expect(try await store.loadLaneCheckpoints().last == mark(1, 5, 7, [5]))
        }
    }

    @Test(arguments: StoreKind.available)
    func `an epoch that a journal has seen is left behind`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let epoch = try await self.lead(store, a)
            let seen = Epoch(5 << 40 | 77)
            try await store.raiseEpoch(.lane, number: 1, to: seen, leaderEpoch: epoch)
            #expect(try await store.loadOwnership().lanes[1].epoch == seen)
            try await store.raiseEpoch(.lane, number: 1, to: Epoch(3), leaderEpoch: epoch)
            #expect(try await store.loadOwnership().lanes[1].epoch == seen, "never back")
            guard
                case .claimed(let epochs) = try await store.claim(
                    .lane, [self.claim(1, seen, "d-1")], leaderEpoch: epoch)
            else {
                Issue.record("deposed")
                return
            }
            #expect(epochs.first.flatMap { $0 }.map { $0 > seen } == true)
        }
    }

    @Test(arguments: StoreKind.available)
    func `who owned a shard at an instant can be asked`(kind: StoreKind) async throws {
        try await kind.withStore { store in
            let epoch = try await self.lead(store, a)
            guard
                case .claimed(let first) = try await store.claim(
                    .shard, [self.claim(2, .none, "t-1")], leaderEpoch: epoch), let held = first.first.flatMap({ $0 })
            else {
                Issue.record("not claimed")
                return
            }
            let taken = try #require(
                try await store.assignmentHistory(AssignmentFilter(), before: nil, limit: 1).first)
            _ = try await store.claim(.shard, [self.claim(2, held, "t-2", reason: "rebalance")], leaderEpoch: epoch)
            let filter = AssignmentFilter(kind: .shard, number: 2, to: .distantFuture)
            #expect(try await store.assignmentHistory(filter, before: nil, limit: 1).first?.owner == NodeID("t-2"))
            let before = AssignmentFilter(
                kind: .shard, number: 2, to: WallInstant(milliseconds: taken.at.milliseconds - 1))
            #expect(try await store.assignmentHistory(before, before: nil, limit: 1) == [])
            let owned = AssignmentFilter(owner: NodeID("t-1"), from: taken.at)
            #expect(try await store.assignmentHistory(owned, before: nil, limit: 5).map(\.number) == [2])
            #expect(try await store.assignmentHistory(AssignmentFilter(), before: taken.id, limit: 5) == [])
        }
    }
}
