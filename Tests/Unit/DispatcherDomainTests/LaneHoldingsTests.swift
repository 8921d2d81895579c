import DispatcherDomain
import EscapementModel
import Testing

@Suite struct LaneHoldingsTests {
    private let lane = LaneID(2)

    private func holding(_ epoch: UInt64) -> LaneHoldings {
        var holdings = LaneHoldings()
        _ = holdings.assigned(self.lane, epoch: Epoch(epoch), leaderEpoch: Epoch(1))
        return holdings
    }

    @Test func `an assignment starts a lane once`() {
        var holdings = LaneHoldings()
        #expect(
            holdings.assigned(self.lane, epoch: Epoch(4), leaderEpoch: Epoch(1)) == [.start(self.lane, Epoch(4))])
        #expect(holdings.assigned(self.lane, epoch: Epoch(4), leaderEpoch: Epoch(1)) == [], "a repetition")
        #expect(holdings.held.map(\.epoch) == [Epoch(4)])
    }

    @Test func `a higher epoch of a held lane begins anew`() {
        var holdings = self.holding(4)
        #expect(
            holdings.assigned(self.lane, epoch: Epoch(5), leaderEpoch: Epoch(1))
                == [.stop(self.lane, Epoch(4)), .start(self.lane, Epoch(5))])
    }

    @Test func `late commands change nothing`() {
        var holdings = self.holding(4)
        #expect(holdings.assigned(self.lane, epoch: Epoch(3), leaderEpoch: Epoch(1)) == [])
        #expect(holdings.revoked(self.lane, epoch: Epoch(3), leaderEpoch: Epoch(1)) == [])
        _ = holdings.assigned(LaneID(9), epoch: Epoch(1), leaderEpoch: Epoch(2))
        #expect(holdings.revoked(self.lane, epoch: Epoch(4), leaderEpoch: Epoch(1)) == [], "of an older leader")
    }

    @Test func `a revoked lane is stopped, and asked again it is reported`() {
        var holdings = self.holding(4)
        #expect(
            holdings.revoked(self.lane, epoch: Epoch(4), leaderEpoch: Epoch(1)) == [.stop(self.lane, Epoch(4))])
        #expect(
            holdings.revoked(self.lane, epoch: Epoch(4), leaderEpoch: Epoch(1))
                == [.reportReleased(self.lane, Epoch(4))])
    }

    @Test func `a lost lane comes back only under a new epoch`() {
        var holdings = self.holding(4)
        holdings.lost(self.lane, epoch: Epoch(4))
        #expect(
            holdings.assigned(self.lane, epoch: Epoch(4), leaderEpoch: Epoch(1))
                == [.reportReleased(self.lane, Epoch(4))])
        #expect(
            holdings.assigned(self.lane, epoch: Epoch(5), leaderEpoch: Epoch(1)) == [.start(self.lane, Epoch(5))])
    }
}
