package import EscapementModel
package import WireProtocol

/// What a member says of itself in `Hello`. Role and node are in its certificate.
package struct MemberDescription: Sendable {
    package var cluster: String
    package var incarnation: Incarnation
    /// Where this process accepts links; empty when it does not.
    package var listenAddress: String
    package var shardCount: UInt32
    package var laneCount: UInt32
    /// The build's version, for people.
    package var build: String
    package var zone: String
    /// A relative capacity; 100 is ordinary.
    package var weight: UInt32
    /// The member's name, for a certificate that its whole role shares.
    package var instance: String
    /// Of a dispatcher: the delivery guarantee it publishes under. Empty for everybody else.
    package var deliveryMode: String
    /// The protocol versions that this process speaks; all of the build's, but for a test of a mixed cluster.
    package var versions = ProtocolRange.current

    package init(
        cluster: String, incarnation: Incarnation, listenAddress: String, shardCount: UInt32, laneCount: UInt32,
        build: String, zone: String = "", weight: UInt32 = 100, instance: String = "", deliveryMode: String = ""
    ) {
        self.cluster = cluster
        self.incarnation = incarnation
        self.listenAddress = listenAddress
        self.shardCount = shardCount
        self.laneCount = laneCount
        self.build = build
        self.zone = zone
        self.weight = weight
        self.instance = instance
        self.deliveryMode = deliveryMode
    }

    /// The greeting, with the sender's wall clock at `clock`.
    package func hello(clock: WallInstant) -> Hello {
        Hello(
            versions: self.versions, cluster: self.cluster, incarnation: self.incarnation,
            listenAddress: self.listenAddress,
            shardCount: self.shardCount, laneCount: self.laneCount, build: self.build, zone: self.zone,
            weight: self.weight, clock: clock, instance: self.instance, deliveryMode: self.deliveryMode)
    }
}
