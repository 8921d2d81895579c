package import EscapementModel

/// Which ticker may open which shard, as the leader says: whole views, the highest (leader epoch, version)
/// wins. What was once seen stays allowed until a higher epoch is seen, so a leaderless time changes nothing.
package struct OwnershipView: Equatable, Sendable {
    /// One owner of a shard.
    package struct Owner: Hashable, Sendable {
        package var epoch: Epoch
        package var incarnation: Incarnation

        package init(epoch: Epoch, incarnation: Incarnation) {
            self.epoch = epoch
            self.incarnation = incarnation
        }
    }

    private var leaderEpoch = Epoch.none
    private var version: UInt64 = 0
    private var owners: [ShardID: Owner] = [:]

    package init() {}

    /// Takes a view; `false` when it is older than the one known.
    package mutating func apply(leaderEpoch: Epoch, version: UInt64, owners: [ShardID: Owner]) -> Bool {
        guard leaderEpoch > self.leaderEpoch || leaderEpoch == self.leaderEpoch && version > self.version else {
            return false
        }
        self.leaderEpoch = leaderEpoch
        self.version = version
        for (shard, owner) in owners where owner.epoch >= self.owners[shard]?.epoch ?? .none {
            self.owners[shard] = owner
        }
        return true
    }

    /// Whether `incarnation` owns the shard under exactly this epoch.
    package func allows(_ shard: ShardID, _ epoch: Epoch, _ incarnation: Incarnation) -> Bool {
        self.owners[shard] == Owner(epoch: epoch, incarnation: incarnation) || Defence.shardEpoch.isRemoved
    }

    /// The highest epoch known for the shard.
    package func epoch(of shard: ShardID) -> Epoch { self.owners[shard]?.epoch ?? .none }
}
