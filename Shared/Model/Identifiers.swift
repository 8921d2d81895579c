/// A fixed partition of schedules and timers, the unit of ownership by tickers.
package struct ShardID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt16
    package init(_ rawValue: UInt16) { self.rawValue = rawValue }
    package static func < (left: ShardID, right: ShardID) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "\(self.rawValue)" }

    /// The lane that publishes for this shard: `shard mod laneCount`.
    package func lane(of laneCount: Int) -> LaneID { LaneID(UInt16(Int(self.rawValue) % laneCount)) }
}

/// The unit of publishing: one journal partition, one Kafka producer, owned by one dispatcher.
package struct LaneID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt16
    package init(_ rawValue: UInt16) { self.rawValue = rawValue }
    package static func < (left: LaneID, right: LaneID) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "\(self.rawValue)" }
}

/// A fencing token: grows with every change of owner; a receiver refuses an older one.
///
/// At most 2^63 - 1, because PostgreSQL's `bigint` is signed.
package struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    package static let none = Epoch(0)
    package var next: Epoch { Epoch(self.rawValue + 1) }
    package static func < (left: Epoch, right: Epoch) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "\(self.rawValue)" }
}

/// A shard's change counter: grows by each committed change to its schedules or timers, in commit order.
package struct Revision: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    package static let none = Revision(0)
    package static func < (left: Revision, right: Revision) -> Bool { left.rawValue < right.rawValue }
    package var description: String { "\(self.rawValue)" }
}

/// The configured name of a process (`ESCAPEMENT_INSTANCE_ID`, the pod's name), unique among live
/// members. For people and for redirects; ownership is held by an incarnation.
package struct NodeID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var name: String
    package init(_ name: String) { self.name = name }
    package static func < (left: NodeID, right: NodeID) -> Bool { left.name < right.name }
    package var description: String { self.name }
}

/// One run of a process, drawn at random when it starts: a restart is a new member.
package struct Incarnation: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var uid: UID
    package init(_ uid: UID) { self.uid = uid }
    package static func < (left: Incarnation, right: Incarnation) -> Bool { left.uid < right.uid }
    package var description: String { self.uid.hex }
}

/// What a process is, taken from its certificate and checked for every message type.
package enum Role: String, CaseIterable, Hashable, Sendable {
    case coordinator
    case ticker
    case dispatcher
    /// The command line and other clients; may only ask.
    case tool
}

/// Where a peer listens.
package struct PeerAddress: Hashable, Comparable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// Reads `host:port` or `[ipv6]:port`; `nil` when the port is missing or not in 1...65535.
    package init?(text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (1...65535).contains(port)
        else { return nil }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { return nil }
        self.init(host: String(host), port: port)
    }

    package static func < (left: PeerAddress, right: PeerAddress) -> Bool {
        left.host == right.host ? left.port < right.port : left.host < right.host
    }

    package var description: String {
        self.host.contains(":") ? "[\(self.host)]:\(self.port)" : "\(self.host):\(self.port)"
    }
}
