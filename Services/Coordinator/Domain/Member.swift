package import EscapementModel

/// A ticker or dispatcher as it introduced itself. Role and node come from its certificate.
package struct MemberIdentity: Hashable, Sendable {
    package var role: Role
    package var node: NodeID
    /// One run of the process; the identity that ownership is held by.
    package var incarnation: Incarnation
    /// Where it accepts links; empty when it does not.
    package var address: String
    /// A relative capacity, 100 is ordinary; at least 1.
    package var weight: Int
    package var zone: String
    package var build: String
    /// Whether it can load a shard before it owns it.
    package var canPrepare: Bool

    package init(
        role: Role, node: NodeID, incarnation: Incarnation, address: String, weight: Int = 100, zone: String = "",
        build: String = "", canPrepare: Bool = false
    ) {
        self.canPrepare = canPrepare
        self.role = role
        self.node = node
        self.incarnation = incarnation
        self.address = address
        self.weight = max(1, weight)
        self.zone = zone
        self.build = build
    }
}

/// Where a member stands.
package enum MemberState: String, CaseIterable, Sendable {
    /// Accepted; has the views and no work. Next: `up`, `suspect`, `dead`.
    case joining
    /// May own shards or lanes. Next: `suspect`, `leaving`, `dead`.
    case up
    /// Silent, or its link broke: no new work, keeps what it has. Next: `up`, `leaving`, `dead`.
    case suspect
    /// Asked to leave: what it owns is moved away as planned. Next: `gone`, `dead`.
    case leaving
    /// Given up; its work is reassigned at once. A process that comes back is fenced and joins anew.
    case dead
    /// Left with nothing assigned. Final.
    case gone
}

/// One member and what was last heard of it.
package struct Member: Equatable, Sendable {
    package var identity: MemberIdentity
    package var state: MemberState
    package var joinedAt: MonotonicInstant
    /// When anything was heard last.
    package var heardAt: MonotonicInstant
    /// When the link broke; `nil` while there is one.
    package var closedAt: MonotonicInstant?
    /// Why the member cannot work, in its own words; empty when all is well.
    package var complaint: String
    package var firesPerSecond: Int
    package var resident: Int
    /// The member's wall clock minus ours when it was last heard, in milliseconds.
    package var clockOffsetMilliseconds: Int64
    /// An operator wants it emptied: it stays, and gets nothing while somebody else can.
    package var isDrained: Bool

    package init(identity: MemberIdentity, now: MonotonicInstant) {
        self.identity = identity
        self.state = .joining
        self.joinedAt = now
        self.heardAt = now
        self.closedAt = nil
        self.complaint = ""
        self.firesPerSecond = 0
        self.resident = 0
        self.clockOffsetMilliseconds = 0
        self.isDrained = false
    }
}
