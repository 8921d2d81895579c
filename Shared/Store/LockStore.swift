package import EscapementModel

/// The lock service: the leader row and the owners of shards and lanes, each with an epoch.
///
/// Every write of a leader is fenced in the same statement by the leader's epoch: a deposed leader
/// changes nothing and learns it from the answer.
package protocol LockStore: Sendable {
    /// The leader row as it stands. Nothing in it is a time: a standby takes over when *it* has seen
    /// the same (epoch, beat) for long enough on its own clock.
    func observeLeader() async throws(StoreError) -> LeaderRecord

    /// Increases the beat. `false` when somebody else leads.
    func renewLeadership(epoch: Epoch, holder: Incarnation) async throws(StoreError) -> Bool

    /// Compare-and-set from what was observed; the new epoch, or `nil` when the row has moved on.
    func takeLeadership(
        from seen: LeaderRecord, holder: Incarnation, node: NodeID, address: String
    ) async throws(StoreError) -> Epoch?

    /// Gives the lease back, so that a standby need not wait.
    func releaseLeadership(epoch: Epoch, holder: Incarnation) async throws(StoreError)

    /// Owners and epochs of all shards and lanes, in order of number.
    func loadOwnership() async throws(StoreError) -> Ownership

    /// Gives shards (or lanes) to new owners, raising each epoch by at least one. All in one
    /// transaction, fenced by `leaderEpoch`. Of two claims to one number the first counts.
    ///
    /// - Returns: the new epochs, for each claim in order; a claim is `nil` when its `expected` epoch is
    ///   no longer the row's. `.deposed` when `leaderEpoch` is not the leader's any more: then nothing
    ///   was changed.
    func claim(
        _ kind: OwnedKind, _ claims: [OwnershipClaim], leaderEpoch: Epoch
    ) async throws(StoreError) -> ClaimOutcome

    /// Raises the stored epoch of a shard or lane to at least `seen`, because its journal holds one: the
    /// last defence against a database that went back in time. Fenced: a deposed leader changes nothing,
    /// and learns it from its next claim.
    func raiseEpoch(
        _ kind: OwnedKind, number: UInt16, to seen: Epoch, leaderEpoch: Epoch
    ) async throws(StoreError)

    /// Writes how far shards are settled, for cleaning up and for people; lags behind the journal and
    /// never goes back. Fenced like `raiseEpoch`.
    func checkpoint(_ settled: [ShardID: WallInstant], leaderEpoch: Epoch) async throws(StoreError)

    /// Writes where the journals of lanes stand, so that one that went back is noticed; never back to an older one by
    /// (epoch, sequence). Fenced like `raiseEpoch`.
    func checkpoint(lanes: [LaneCheckpoint], leaderEpoch: Epoch) async throws(StoreError)

    /// What was written of lanes, in order of number.
    func loadLaneCheckpoints() async throws(StoreError) -> [LaneCheckpoint]

    /// Who was given what and why, newest first: with `to` and a limit of 1, who owned it at an instant. Kept
    /// for `StoreRules.assignmentRetention`.
    func assignmentHistory(
        _ filter: AssignmentFilter, before: UInt64?, limit: Int
    ) async throws(StoreError) -> [AssignmentRecord]
}

/// One change of owner, by the database's clock.
package struct AssignmentRecord: Hashable, Sendable {
    /// Grows in about the order of time; given by the store.
    package var id: UInt64
    package var at: WallInstant
    package var kind: OwnedKind
    package var number: UInt16
    package var epoch: Epoch
    package var owner: NodeID?
    package var incarnation: Incarnation?
    package var reason: String
    package var leaderEpoch: Epoch

    package init(
        id: UInt64, at: WallInstant, kind: OwnedKind, number: UInt16, epoch: Epoch, owner: NodeID?,
        incarnation: Incarnation?, reason: String, leaderEpoch: Epoch
    ) {
        self.id = id
        self.at = at
        self.kind = kind
        self.number = number
        self.epoch = epoch
        self.owner = owner
        self.incarnation = incarnation
        self.reason = reason
        self.leaderEpoch = leaderEpoch
    }
}

/// Which changes of owner are asked for; `nil` leaves a part open.
package struct AssignmentFilter: Hashable, Sendable {
    package var kind: OwnedKind?
    package var number: UInt16?
    package var owner: NodeID?
    /// From this instant on.
    package var from: WallInstant?
    /// Up to and with this instant.
    package var to: WallInstant?

    package init(
        kind: OwnedKind? = nil, number: UInt16? = nil, owner: NodeID? = nil, from: WallInstant? = nil,
        to: WallInstant? = nil
    ) {
        self.kind = kind
        self.number = number
        self.owner = owner
        self.from = from
        self.to = to
    }

    package func admits(_ record: AssignmentRecord) -> Bool {
        (self.kind.map { $0 == record.kind } ?? true) && (self.number.map { $0 == record.number } ?? true)
            && (self.owner.map { $0 == record.owner } ?? true) && (self.from.map { record.at >= $0 } ?? true)
            && (self.to.map { record.at <= $0 } ?? true)
    }
}

/// Where a lane's journal stood at the last checkpoint: a lagging copy.
package struct LaneCheckpoint: Hashable, Sendable {
    package var lane: LaneID
    /// The lane epoch under which the entry was written.
    package var epoch: Epoch
    /// Of the entry.
    package var sequence: UInt64
    /// The entry's shards, in the dispatchers' form; may be empty.
    package var state: [UInt8]

    package init(lane: LaneID, epoch: Epoch, sequence: UInt64, state: [UInt8]) {
        self.lane = lane
        self.epoch = epoch
        self.sequence = sequence
        self.state = state
    }
}

package enum OwnedKind: String, Sendable {
    case shard
    case lane
}

package struct LeaderRecord: Hashable, Sendable {
    package var epoch: Epoch
    package var beat: UInt64
    package var holder: Incarnation?
    package var node: NodeID?
    /// Where the leader accepts links; `nil` after a release.
    package var address: String?

    package init(epoch: Epoch, beat: UInt64, holder: Incarnation?, node: NodeID?, address: String?) {
        self.epoch = epoch
        self.beat = beat
        self.holder = holder
        self.node = node
        self.address = address
    }
}

/// Who owns a shard or lane, as the row says.
package struct OwnershipRecord: Hashable, Sendable {
    package var number: UInt16
    package var epoch: Epoch
    package var owner: NodeID?
    package var incarnation: Incarnation?

    package init(number: UInt16, epoch: Epoch, owner: NodeID?, incarnation: Incarnation?) {
        self.number = number
        self.epoch = epoch
        self.owner = owner
        self.incarnation = incarnation
    }
}

package struct Ownership: Hashable, Sendable {
    package var shards: [OwnershipRecord]
    package var lanes: [OwnershipRecord]

    package init(shards: [OwnershipRecord], lanes: [OwnershipRecord]) {
        self.shards = shards
        self.lanes = lanes
    }
}

/// `owner == nil` takes the shard or lane away without a successor.
package struct OwnershipClaim: Hashable, Sendable {
    package var number: UInt16
    package var expected: Epoch
    package var owner: NodeID?
    package var incarnation: Incarnation?
    /// Why, for the assignment history: `join`, `dead`, `left`, `rebalance`, `drain`.
    package var reason: String

    package init(number: UInt16, expected: Epoch, owner: NodeID?, incarnation: Incarnation?, reason: String) {
        self.number = number
        self.expected = expected
        self.owner = owner
        self.incarnation = incarnation
        self.reason = reason
    }
}

package enum ClaimOutcome: Hashable, Sendable {
    case claimed([Epoch?])
    case deposed
}
