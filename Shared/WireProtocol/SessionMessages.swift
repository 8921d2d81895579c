package import EscapementModel

/// The range of protocol versions a build speaks. N and N-1 always interoperate; the highest common
/// version is used.
package struct ProtocolRange: Hashable, Sendable {
    package var lowest: UInt32
    package var highest: UInt32

    package init(lowest: UInt32, highest: UInt32) {
        self.lowest = lowest
        self.highest = highest
    }

    /// What this build speaks. 2 brought `ShardPrepare` and `ShardPrepared`, 3 `LanesUnreachable`, `ContentsAck`, `Probe`
    /// and `ProbeAck`.
    package static let current = ProtocolRange(lowest: 1, highest: 3)
    /// From here on a ticker can be told to load a shard before it is given to it.
    package static let preparing: UInt32 = 2
    /// From here on a ticker says which lanes it cannot reach, and acknowledges the contents of shards.
    package static let reporting: UInt32 = 3

    /// The highest version both sides speak; `nil` when there is none.
    package func common(with other: ProtocolRange) -> UInt32? {
        let highest = min(self.highest, other.highest)
        return highest >= max(self.lowest, other.lowest) ? highest : nil
    }
}

/// The first frame on every link, from the side that connected. The role is not in it: it comes from the
/// certificate, and so does the node, unless the certificate is shared. Cluster settings are compared; a difference is refused with `HelloRefused`.
package struct Hello: WireMessage {
    package static let kind = MessageKind.hello
    package var versions: ProtocolRange
    package var cluster: String
    package var incarnation: Incarnation
    /// Where this process accepts links itself; empty when it does not.
    package var listenAddress: String
    package var shardCount: UInt32
    package var laneCount: UInt32
    /// The build's version, for people.
    package var build: String
    package var zone: String
    /// A relative capacity; 100 is ordinary.
    package var weight: UInt32
    package var clock: WallInstant
    /// The member's name, for certificates that a whole role shares; see `PeerIdentity.member(claiming:)`.
    package var instance: String
    /// The delivery guarantee that a dispatcher publishes under; empty from everybody else.
    package var deliveryMode: String

    package init(
        versions: ProtocolRange = .current, cluster: String, incarnation: Incarnation, listenAddress: String,
        shardCount: UInt32, laneCount: UInt32, build: String, zone: String = "", weight: UInt32 = 100,
        clock: WallInstant, instance: String = "", deliveryMode: String = ""
    ) {
        self.versions = versions
        self.cluster = cluster
        self.incarnation = incarnation
        self.listenAddress = listenAddress
        self.shardCount = shardCount
        self.laneCount = laneCount
        self.build = build
        self.zone = zone
        self.weight = weight
        self.clock = clock
        self.instance = instance
        self.deliveryMode = deliveryMode
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.versions.lowest)
        writer.unsigned(2, self.versions.highest)
        writer.text(3, self.cluster)
        writer.uid(4, self.incarnation.uid)
        writer.text(5, self.listenAddress)
        writer.unsigned(6, self.shardCount)
        writer.unsigned(7, self.laneCount)
        writer.text(8, self.build)
        writer.text(9, self.zone)
        writer.unsigned(10, self.weight)
        writer.instant(11, self.clock)
        writer.text(12, self.instance)
        writer.text(13, self.deliveryMode)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(
            versions: ProtocolRange(lowest: 0, highest: 0), cluster: "", incarnation: Incarnation(.zero),
            listenAddress: "", shardCount: 0, laneCount: 0, build: "", weight: 0, clock: WallInstant(milliseconds: 0))
        while let field = try reader.next() {
            switch field.number {
            case 1: self.versions.lowest = try field.unsigned("hello.versions.lowest")
            case 2: self.versions.highest = try field.unsigned("hello.versions.highest")
            case 3: self.cluster = try field.text("hello.cluster", max: WireLimits.nameMax)
            case 4: self.incarnation = Incarnation(try field.uid("hello.incarnation"))
            case 5: self.listenAddress = try field.text("hello.listenAddress", max: WireLimits.nameMax)
            case 6: self.shardCount = try field.unsigned("hello.shardCount")
            case 7: self.laneCount = try field.unsigned("hello.laneCount")
            case 8: self.build = try field.text("hello.build", max: WireLimits.nameMax)
            case 9: self.zone = try field.text("hello.zone", max: WireLimits.nameMax)
            case 10: self.weight = try field.unsigned("hello.weight")
            case 11: self.clock = try field.instant("hello.clock")
            case 12: self.instance = try field.text("hello.instance", max: WireLimits.nameMax)
            case 13: self.deliveryMode = try field.text("hello.deliveryMode", max: WireLimits.nameMax)
            default: continue
            }
        }
        guard self.incarnation.uid != .zero else { throw WireError(.missing, field: "hello.incarnation") }
    }
}

/// Bounds that every decoder applies before it keeps anything.
package enum WireLimits {
    /// Bytes of a name, an address, a build.
    package static let nameMax = 512
    /// Bytes of a message for people.
    package static let detailMax = 4096
    /// Bytes of a fire template: payload of 1 MiB and its description.
    package static let templateMax = 1_200_000
    /// Bytes of what a dispatcher keeps of a lane's shards: some thousands of them.
    package static let laneStateMax = 262_144
    /// Elements of a list of shards, lanes or members.
    package static let listMax = 65_536
}

/// The link is accepted.
package struct HelloAck: WireMessage {
    package static let kind = MessageKind.helloAck
    package var version: UInt32
    package var incarnation: Incarnation
    /// The leader's epoch; `none` from a process that does not lead.
    package var leaderEpoch: Epoch
    package var build: String
    package var clock: WallInstant

    package init(version: UInt32, incarnation: Incarnation, leaderEpoch: Epoch, build: String, clock: WallInstant) {
        self.version = version
        self.incarnation = incarnation
        self.leaderEpoch = leaderEpoch
        self.build = build
        self.clock = clock
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.version)
        writer.uid(2, self.incarnation.uid)
        writer.unsigned(3, self.leaderEpoch.rawValue)
        writer.text(4, self.build)
        writer.instant(5, self.clock)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(
            version: 0, incarnation: Incarnation(.zero), leaderEpoch: .none, build: "",
            clock: WallInstant(milliseconds: 0))
        while let field = try reader.next() {
            switch field.number {
            case 1: self.version = try field.unsigned("helloAck.version")
            case 2: self.incarnation = Incarnation(try field.uid("helloAck.incarnation"))
            case 3: self.leaderEpoch = Epoch(try field.unsigned("helloAck.leaderEpoch"))
            case 4: self.build = try field.text("helloAck.build", max: WireLimits.nameMax)
            case 5: self.clock = try field.instant("helloAck.clock")
            default: continue
            }
        }
    }
}

/// The link is not accepted, and why. The refuser closes it.
package struct HelloRefused: WireMessage {
    package static let kind = MessageKind.helloRefused

    package enum Code: UInt32, Sendable {
        /// Not the leader: `leaderAddress` says who is, or is empty while there is none.
        case notLeader = 1
        case versionMismatch = 2
        /// Another cluster, shard count, lane count or delivery mode. Configuration; a retry does not help.
        case settingsMismatch = 3
        case roleNotAllowed = 4
        /// Starting or stopping. Retry.
        case notReady = 5
        case unknown = 0
    }

    package var code: Code
    package var detail: String
    package var leaderAddress: String

    package init(code: Code, detail: String, leaderAddress: String = "") {
        self.code = code
        self.detail = detail
        self.leaderAddress = leaderAddress
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.code.rawValue)
        writer.text(2, self.detail)
        writer.text(3, self.leaderAddress)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(code: .unknown, detail: "")
        while let field = try reader.next() {
            switch field.number {
            case 1: self.code = Code(rawValue: try field.unsigned("helloRefused.code")) ?? .unknown
            case 2: self.detail = try field.text("helloRefused.detail", max: WireLimits.detailMax)
            case 3: self.leaderAddress = try field.text("helloRefused.leaderAddress", max: WireLimits.nameMax)
            default: continue
            }
        }
    }
}

/// The sender leaves on purpose: what it owned may be given away at once.
package struct Goodbye: WireMessage {
    package static let kind = MessageKind.goodbye
    package var detail: String

    package init(detail: String) { self.detail = detail }

    package func encode(into writer: inout FieldWriter) { writer.text(1, self.detail) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(detail: "")
        while let field = try reader.next() {
            if field.number == 1 { self.detail = try field.text("goodbye.detail", max: WireLimits.detailMax) }
        }
    }
}

/// The answer to a frame whose kind the receiver does not know.
package struct Unsupported: WireMessage {
    package static let kind = MessageKind.unsupported
    package var unknownKind: UInt32

    package init(unknownKind: UInt32) { self.unknownKind = unknownKind }

    package func encode(into writer: inout FieldWriter) { writer.unsigned(1, self.unknownKind) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(unknownKind: 0)
        while let field = try reader.next() {
            if field.number == 1 { self.unknownKind = try field.unsigned("unsupported.unknownKind") }
        }
    }
}

/// Ticker to dispatcher, on a link that has been quiet: are you there? Any answer counts, also `Unsupported` of one
/// that speaks a version below 3.
package struct Probe: WireMessage {
    package static let kind = MessageKind.probe

    package init() {}

    package func encode(into writer: inout FieldWriter) {}

    package init(from reader: inout FieldReader) throws(WireError) { while try reader.next() != nil {} }
}

/// Dispatcher to ticker: yes.
package struct ProbeAck: WireMessage {
    package static let kind = MessageKind.probeAck

    package init() {}

    package func encode(into writer: inout FieldWriter) {}

    package init(from reader: inout FieldReader) throws(WireError) { while try reader.next() != nil {} }
}
