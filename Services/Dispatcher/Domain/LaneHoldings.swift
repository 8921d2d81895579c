package import EscapementModel

/// Which lanes the leader gave this process, and under which epochs. Commands of an older leader, or with an
/// older lane epoch, are late echoes and change nothing.
package struct LaneHoldings: Equatable, Sendable {
    package enum Action: Equatable, Sendable {
        /// Take the lane over under this epoch.
        case start(LaneID, Epoch)
        /// Finish what is being published and let go.
        case stop(LaneID, Epoch)
        /// Nothing is held under this epoch: say so (again), the first answer may have been lost.
        case reportReleased(LaneID, Epoch)
    }

    private var leaderEpoch = Epoch.none
    private var lanes: [LaneID: Epoch] = [:]
    private var highest: [LaneID: Epoch] = [:]

    package init() {}

    /// Held lanes with their epochs, sorted: what heartbeats say.
    package var held: [(lane: LaneID, epoch: Epoch)] {
        self.lanes.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Whether the lane is held, under whichever epoch.
    package func holds(_ lane: LaneID) -> Bool { self.lanes[lane] != nil }

    /// Whether the lane is held under this very epoch.
    package func holds(_ lane: LaneID, epoch: Epoch) -> Bool { self.lanes[lane] == epoch }

    package mutating func assigned(_ lane: LaneID, epoch: Epoch, leaderEpoch: Epoch) -> [Action] {
        guard self.isCurrent(leaderEpoch), epoch >= self.highest[lane] ?? .none else { return [] }
        let held = self.lanes[lane]
        if held == epoch { return [] }
        // Released or lost under this very epoch: only a new epoch brings it back.
        if held == nil, self.highest[lane] == epoch { return [.reportReleased(lane, epoch)] }
        self.highest[lane] = epoch
        self.lanes[lane] = epoch
        return (held.map { [.stop(lane, $0)] } ?? []) + [.start(lane, epoch)]
    }

    package mutating func revoked(_ lane: LaneID, epoch: Epoch, leaderEpoch: Epoch) -> [Action] {
        guard self.isCurrent(leaderEpoch), epoch >= self.highest[lane] ?? .none else { return [] }
        self.highest[lane] = epoch
        guard let held = self.lanes.removeValue(forKey: lane) else { return [.reportReleased(lane, epoch)] }
        return [.stop(lane, held)]
    }

    /// The lane has ended: let go, or another process owns it by the journal.
    package mutating func lost(_ lane: LaneID, epoch: Epoch) {
        if self.lanes[lane] == epoch { self.lanes[lane] = nil }
    }

    /// Lets go of everything.
    package mutating func stopAll() -> [Action] {
        defer { self.lanes = [:] }
        return self.held.map { .stop($0.lane, $0.epoch) }
    }

    private mutating func isCurrent(_ leaderEpoch: Epoch) -> Bool {
        guard leaderEpoch >= self.leaderEpoch else { return false }
        self.leaderEpoch = leaderEpoch
        return true
    }
}
