package import CoordinatorDomain
package import EscapementModel
package import WireProtocol

/// What a coordinator is told: who it is, what the cluster is, and every time and bound it uses.
package struct CoordinatorSettings: Sendable {
    package var cluster: String
    package var shardCount: Int
    package var laneCount: Int
    package var node: NodeID
    /// This run of the process.
    package var incarnation: Incarnation
    /// Where members and other coordinators reach this process.
    package var address: String
    package var build: String
    package var zone: String

    /// The protocol versions that this process speaks; all of the build's, but for a test of a mixed cluster.
    package var versions = ProtocolRange.current
    package var election = ElectionTiming()
    package var membership = MembershipTiming()
    package var limits = LeaderTerm.Limits()
    /// How long an owner may take to answer a revoke.
    package var revokeWithin = Assignments.revokeWithin
    /// How long a process that stops waits for the answer to a takeover that it has sent.
    package var takenWithin = Duration.seconds(2)
    /// Between two looks of the leader at deadlines.
    package var tickEvery = Duration.milliseconds(100)
    /// Between two looks at the revisions of all shards; what a lost hint costs at most.
    package var pollEvery = Duration.milliseconds(500)
    /// Between two tries of a store call that has to succeed some day.
    package var retryEvery = Duration.milliseconds(500)
    package var checkpointEvery = Duration.seconds(10)
    package var cleanEvery = Duration.seconds(60)
    /// Between two counts of all schedules.
    package var countEvery = Duration.seconds(60)
    /// Rows of settled timers and ended versions removed in one transaction.
    package var cleanRowsMax = 1000
    /// How long a new link may take to introduce itself.
    package var helloWithin = Duration.seconds(2)
    /// How long the leader may take to say what the cluster looks like.
    package var statusWithin = Duration.seconds(2)
    /// How long a dispatcher may take for a question about activations: longer than it gives its store or the journal,
    /// which is six seconds, so that it can say which is away.
    package var dispatcherWithin = Duration.seconds(8)
    /// How long the leader may take for a question about activations: for two dispatchers, one after the other.
    package var queryWithin = Duration.seconds(18)
    /// How long the shard's owner may take to say what became of a timer.
    package var settledWithin = Duration.seconds(2)
    /// Reads for tickers at one time: the database also has requests to serve.
    package var readsMax = 8

    package init(
        cluster: String, shardCount: Int, laneCount: Int, node: NodeID, incarnation: Incarnation, address: String,
        build: String, zone: String = ""
    ) {
        self.cluster = cluster
        self.shardCount = shardCount
        self.laneCount = laneCount
        self.node = node
        self.incarnation = incarnation
        self.address = address
        self.build = build
        self.zone = zone
    }
}
