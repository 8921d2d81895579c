import CoordinatorDomain
import EscapementModel
import Testing
import TestSupport

/// When a ticker cannot reach the owner of a lane, and when shards are unlike.
@Suite struct LeaderTermPlacementTests {
    /// Three tickers, two dispatchers, eight shards of two lanes; shards 0, 2, 4, 6 are the first lane's.
    private func cluster(tickers: UInt64 = 3) -> TermHarness {
        var harness = TermHarness(shards: 8, lanes: 2)
        for ticker in 1...tickers { harness.join(ticker) }
        harness.join(11, .dispatcher)
        harness.join(12, .dispatcher)
        harness.run(3000)
        return harness
    }

    private func owner(of lane: UInt16, _ harness: TermHarness) throws -> Incarnation {
        try #require(harness.term.lanes.owner(of: lane))
    }

    private func shards(of lane: UInt16, at ticker: UInt64, _ harness: TermHarness) -> [UInt16] {
        (harness.held[incarnation(ticker)] ?? [:]).keys.filter { $0 % 2 == lane }.sorted()
    }

    @Test func `shards leave a ticker that is cut off from their lane, and only those`() throws {
        var harness = self.cluster()
        let cutOff = try self.owner(of: 0, harness)
        let kept = self.shards(of: 1, at: 1, harness)
        try #require(!self.shards(of: 0, at: 1, harness).isEmpty)
        harness.send(.unreachable(from: incarnation(1), [cutOff]))
        harness.run(1000)
        #expect(self.shards(of: 0, at: 1, harness).isEmpty)
        #expect(Set(self.shards(of: 1, at: 1, harness)).isSuperset(of: kept))
        #expect(harness.count(1) + harness.count(2) + harness.count(3) == 8)
        #expect(harness.handovers["unreachable"] ?? 0 > 0)
    }

    @Test func `a lane that its dispatcher cannot publish goes to one that can, and only that lane`() throws {
        var harness = TermHarness(shards: 8, lanes: 4)
        for dispatcher in [11, 12] { harness.join(UInt64(dispatcher), .dispatcher) }
        harness.run(3000)
        let before = try (0..<4).map { try self.owner(of: $0, harness) }
        harness.troubled[before[0]] = [0]
        harness.run(200_000)
        let after = try (0..<4).map { try self.owner(of: $0, harness) }
        #expect(after[0] != before[0])
        #expect(harness.laneHandovers["unreachable"] == 1)
        #expect(harness.count(11) == 2 && harness.count(12) == 2, "balance gave another lane back for it")
    }

    @Test func `a lane that nobody can publish visits each dispatcher once and then stays`() throws {
        var harness = TermHarness(shards: 8, lanes: 2)
        for dispatcher in [11, 12, 13] { harness.join(UInt64(dispatcher), .dispatcher) }
        harness.run(3000)
        for dispatcher in [11, 12, 13] { harness.troubled[incarnation(UInt64(dispatcher))] = [0] }
        harness.run(60_000)
        #expect(harness.laneHandovers["unreachable"] == 2)
    }

    @Test func `while no dispatcher reaches Kafka no lane travels, and afterwards none is barred for it`() throws {
        var harness = TermHarness(shards: 8, lanes: 2)
        for dispatcher in [11, 12] { harness.join(UInt64(dispatcher), .dispatcher) }
        harness.run(3000)
        for dispatcher in [11, 12] {
            harness.complaints[incarnation(UInt64(dispatcher))] = "Kafka unavailable"
            harness.troubled[incarnation(UInt64(dispatcher))] = [0, 1]
        }
        harness.run(60_000)
        harness.complaints = [:]
        harness.troubled = [:]
        harness.run(60_000)
        #expect(harness.laneHandovers["unreachable"] == nil)
    }

    @Test func `a dispatcher may have the lane again after a while`() throws {
        var harness = TermHarness(shards: 8, lanes: 2)
        for dispatcher in [11, 12] { harness.join(UInt64(dispatcher), .dispatcher) }
        harness.run(3000)
        harness.troubled = [incarnation(11): [0, 1]]
        harness.run(3000)
        #expect(harness.count(11) == 0 && harness.count(12) == 2)
        harness.troubled = [:]
        harness.run(290_000)
        #expect(harness.count(11) == 0)
        harness.run(20_000)
        #expect(harness.count(11) == 1 && harness.count(12) == 1)
    }

    @Test func `a lane that is published again stays where it is`() throws {
        var harness = TermHarness(shards: 8, lanes: 2)
        harness.join(11, .dispatcher)
        harness.run(3000)
        harness.troubled[incarnation(11)] = [0]
        harness.run(3000)
        harness.troubled = [:]
        harness.run(500)
        harness.join(12, .dispatcher)
        harness.run(20_000)
        #expect(harness.laneHandovers["unreachable"] == nil)
    }

    @Test func `balance brings none of them back while the path is cut, and for a while after`() throws {
        var harness = self.cluster()
        harness.send(.unreachable(from: incarnation(1), [try self.owner(of: 0, harness)]))
        harness.run(60_000)
        #expect(self.shards(of: 0, at: 1, harness).isEmpty)
        let handovers = harness.handovers["unreachable"]
        // The path flaps: whole for 20 seconds, cut again.
        for _ in 0..<5 {
            harness.send(.unreachable(from: incarnation(1), []))
            harness.run(20_000)
            #expect(self.shards(of: 0, at: 1, harness).isEmpty)
            harness.send(.unreachable(from: incarnation(1), [try self.owner(of: 0, harness)]))
            harness.run(5000)
        }
        #expect(harness.handovers["unreachable"] == handovers, "nothing travels with it")
    }

    @Test func `a path that stays whole is used again`() throws {
        var harness = self.cluster(tickers: 2)
        harness.send(
            .unreachable(from: incarnation(1), [try self.owner(of: 0, harness), try self.owner(of: 1, harness)]))
        harness.run(3000)
        #expect(harness.count(1) == 0)
        harness.send(.unreachable(from: incarnation(1), []))
        harness.run(60_000)
        #expect(harness.count(1) == 4)
    }

    @Test func `what nobody can reach stays where it is`() throws {
        var harness = self.cluster(tickers: 2)
        let cutOff = try self.owner(of: 0, harness)
        harness.send(.unreachable(from: incarnation(2), [cutOff]))
        harness.run(1000)
        harness.send(.unreachable(from: incarnation(1), [cutOff]))
        harness.run(20_000)
        #expect(self.shards(of: 0, at: 1, harness) == [0, 2, 4, 6], "the last one that could reach it keeps all of it")
    }

    @Test func `a dispatcher that the leader does not hear either is no reason to move shards`() throws {
        var harness = self.cluster()
        let silent = try self.owner(of: 0, harness)
        harness.silent.insert(silent)
        harness.run(1600)
        harness.send(.unreachable(from: incarnation(1), [silent]))
        harness.run(1000)
        #expect(harness.handovers["unreachable"] == nil)
        harness.run(5000)
        #expect(try self.owner(of: 0, harness) != silent, "its lanes are given away instead")
        #expect(harness.handovers["unreachable"] == nil)
    }

    @Test func `while the dispatcher is suspect nothing comes back to the ticker that is cut off`() throws {
        var harness = self.cluster()
        let cutOff = try self.owner(of: 0, harness)
        harness.run(10_000)
        harness.send(.unreachable(from: incarnation(1), [cutOff]))
        harness.run(1000)
        harness.silent.insert(cutOff)
        harness.run(2500)
        #expect(harness.term.membership.members[cutOff]?.state == .suspect)
        #expect(self.shards(of: 0, at: 1, harness).isEmpty)
    }

    @Test func `who is neither a member nor a lane's owner is not kept in mind`() {
        var harness = self.cluster()
        harness.send(.unreachable(from: incarnation(1), [incarnation(99)]))
        #expect(harness.term.paths.isEmpty)
    }

    @Test func `on a new link a ticker is taken to reach what it does not name again`() throws {
        var harness = self.cluster()
        harness.send(.unreachable(from: incarnation(1), [try self.owner(of: 0, harness)]))
        harness.run(1000)
        harness.send(.closed(incarnation(1), goodbye: false))
        harness.send(.joined(identity(1, .ticker)))
        #expect(harness.term.paths.unreachable(from: incarnation(1)).isEmpty)
        harness.run(31_000)
        #expect(harness.term.paths.isEmpty)
    }

    @Test func `busy shards are spread by what they are measured to be`() {
        var harness = TermHarness(shards: 16, lanes: 2)
        harness.join(1)
        harness.join(2)
        harness.run(3000)
        // All that the first one has is busy.
        for number in (harness.held[incarnation(1)] ?? [:]).keys {
            harness.loads[number] = ShardLoads.Measure(millifiresPerSecond: 500_000, resident: 0)
        }
        for number in (harness.held[incarnation(2)] ?? [:]).keys {
            harness.loads[number] = ShardLoads.Measure(millifiresPerSecond: 0, resident: 0)
        }
        harness.run(30_000)
        // Eight that weigh 6 and eight that weigh 1: a share is 28, and within a tenth of it all is well.
        for ticker in [1, 2] as [UInt64] {
            let carried = (harness.held[incarnation(ticker)] ?? [:]).keys.reduce(0) {
                $0 + (harness.loads[$1]?.weight ?? 0)
            }
            #expect(carried >= 25.2 && carried <= 30.8, "ticker \(ticker) carries \(carried)")
        }
        let told = harness.told.count
        harness.run(60_000)
        #expect(harness.told.count == told, "and there they stay")
    }
}
