package import EscapementModel

/// Member to leader, every half second; shows life and says what the member holds.
package struct Heartbeat: WireMessage {
    package static let kind = MessageKind.heartbeat

    /// How much work a shard is.
    package struct Load: Hashable, Sendable {
        /// Smoothed over minutes, in thousandths of a fire a second.
        package var millifiresPerSecond: UInt64
        /// Schedules and timers in memory.
        package var resident: UInt64

        package init(millifiresPerSecond: UInt64, resident: UInt64) {
            self.millifiresPerSecond = millifiresPerSecond
            self.resident = resident
        }
    }

    /// A shard the sender owns, and how far it is settled.
    package struct Holding: Equatable, Sendable {
        /// Shard or lane number, by the sender's role.
        package var number: UInt16
        package var epoch: Epoch
        /// Due instant up to which one-shots are settled; `nil` before the shard is open. Tickers only.
        package var settledThrough: WallInstant?
        /// The revision up to which changes are reflected in it. Tickers only.
        package var revision: Revision
        /// `nil` before it was measured for long enough, and from builds that do not measure. Tickers only.
        package var load: Load?
        /// Of a lane: the member has tried for a while and cannot publish it.
        package var isTroubled: Bool

        package init(
            number: UInt16, epoch: Epoch, settledThrough: WallInstant? = nil, revision: Revision = .none,
            load: Load? = nil, isTroubled: Bool = false
        ) {
            self.load = load
            self.isTroubled = isTroubled
            self.number = number
            self.epoch = epoch
            self.settledThrough = settledThrough
            self.revision = revision
        }
    }

    package var clock: WallInstant
    package var holdings: [Holding]
    /// Fires handed on in the last second.
    package var firesPerSecond: UInt32
    /// Schedules and timers in memory.
    package var resident: UInt64
    /// The member stops and wants to be relieved of what it holds.
    package var leaving: Bool
    /// Empty when all is well; otherwise why the member cannot work ("Kafka unavailable: ...").
    package var complaint: String
    /// What the last leader said of this member (`HeartbeatAck.drained`), for the next one.
    package var drained: Bool

    package init(
        clock: WallInstant, holdings: [Holding], firesPerSecond: UInt32 = 0, resident: UInt64 = 0,
        leaving: Bool = false, complaint: String = "", drained: Bool = false
    ) {
        self.drained = drained
        self.clock = clock
        self.holdings = holdings
        self.firesPerSecond = firesPerSecond
        self.resident = resident
        self.leaving = leaving
        self.complaint = complaint
    }

    package func encode(into writer: inout FieldWriter) {
        writer.instant(1, self.clock)
        for holding in self.holdings {
            writer.nested(2) { inner in
                inner.unsigned(1, holding.number)
                inner.unsigned(2, holding.epoch.rawValue)
                inner.instant(3, holding.settledThrough)
                inner.unsigned(4, holding.revision.rawValue)
                if holding.isTroubled { inner.flag(6, true) }
                guard let load = holding.load else { return }
                inner.nested(5) { part in
                    part.unsigned(1, load.millifiresPerSecond)
                    part.unsigned(2, load.resident)
                }
            }
        }
        writer.unsigned(3, self.firesPerSecond)
        writer.unsigned(4, self.resident)
        writer.flag(5, self.leaving)
        writer.text(6, self.complaint)
        writer.flag(7, self.drained)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(clock: WallInstant(milliseconds: 0), holdings: [])
        while let field = try reader.next() {
            switch field.number {
            case 1: self.clock = try field.instant("heartbeat.clock")
            case 2:
                guard self.holdings.count < WireLimits.listMax else {
                    throw WireError(.tooMany, field: "heartbeat.holdings")
                }
                var inner = try field.nested("heartbeat.holdings")
                var holding = Holding(number: 0, epoch: .none)
                while let part = try inner.next() {
                    switch part.number {
                    case 1: holding.number = try part.unsigned("heartbeat.holdings.number")
                    case 2: holding.epoch = Epoch(try part.unsigned("heartbeat.holdings.epoch"))
                    case 3: holding.settledThrough = try part.instant("heartbeat.holdings.settledThrough")
                    case 4: holding.revision = Revision(try part.unsigned("heartbeat.holdings.revision"))
                    case 5: holding.load = try Self.load(part)
                    case 6: holding.isTroubled = try part.flag("heartbeat.holdings.troubled")
                    default: continue
                    }
                }
                self.holdings.append(holding)
            case 3: self.firesPerSecond = try field.unsigned("heartbeat.firesPerSecond")
            case 4: self.resident = try field.unsigned("heartbeat.resident")
            case 5: self.leaving = try field.flag("heartbeat.leaving")
            case 6: self.complaint = try field.text("heartbeat.complaint", max: WireLimits.detailMax)
            case 7: self.drained = try field.flag("heartbeat.drained")
            default: continue
            }
        }
    }
}

extension Heartbeat {
    fileprivate static func load(_ field: FieldReader.Field) throws(WireError) -> Load {
        var load = Load(millifiresPerSecond: 0, resident: 0)
        var reader = try field.nested("heartbeat.holdings.load")
        while let part = try reader.next() {
            switch part.number {
            case 1: load.millifiresPerSecond = try part.unsigned("heartbeat.holdings.load.millifiresPerSecond")
            case 2: load.resident = try part.unsigned("heartbeat.holdings.load.resident")
            default: continue
            }
        }
        return load
    }
}

/// Leader to member: the heartbeat arrived.
package struct HeartbeatAck: WireMessage {
    package static let kind = MessageKind.heartbeatAck
    package var leaderEpoch: Epoch
    package var clock: WallInstant
    /// An operator wants the member emptied. It keeps this in mind: a new leader learns it from the member.
    package var drained: Bool

    package init(leaderEpoch: Epoch, clock: WallInstant, drained: Bool = false) {
        self.leaderEpoch = leaderEpoch
        self.clock = clock
        self.drained = drained
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.leaderEpoch.rawValue)
        writer.instant(2, self.clock)
        writer.flag(3, self.drained)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(leaderEpoch: .none, clock: WallInstant(milliseconds: 0))
        while let field = try reader.next() {
            switch field.number {
            case 1: self.leaderEpoch = Epoch(try field.unsigned("heartbeatAck.leaderEpoch"))
            case 2: self.clock = try field.instant("heartbeatAck.clock")
            case 3: self.drained = try field.flag("heartbeatAck.drained")
            default: continue
            }
        }
    }
}

/// Leader to tickers: which dispatcher publishes each lane. The whole view each time; the highest
/// (leader epoch, version) wins.
package struct LaneView: WireMessage {
    package static let kind = MessageKind.laneView

    package struct Entry: Equatable, Sendable {
        package var lane: LaneID
        package var epoch: Epoch
        package var node: NodeID
        package var incarnation: Incarnation
        package var address: String

        package init(lane: LaneID, epoch: Epoch, node: NodeID, incarnation: Incarnation, address: String) {
            self.lane = lane
            self.epoch = epoch
            self.node = node
            self.incarnation = incarnation
            self.address = address
        }
    }

    package var leaderEpoch: Epoch
    package var version: UInt64
    /// Lanes without a dispatcher are absent.
    package var entries: [Entry]

    package init(leaderEpoch: Epoch, version: UInt64, entries: [Entry]) {
        self.leaderEpoch = leaderEpoch
        self.version = version
        self.entries = entries
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.leaderEpoch.rawValue)
        writer.unsigned(2, self.version)
        for entry in self.entries {
            writer.nested(3) { inner in
                inner.unsigned(1, entry.lane.rawValue)
                inner.unsigned(2, entry.epoch.rawValue)
                inner.text(3, entry.node.name)
                inner.uid(4, entry.incarnation.uid)
                inner.text(5, entry.address)
            }
        }
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(leaderEpoch: .none, version: 0, entries: [])
        while let field = try reader.next() {
            switch field.number {
            case 1: self.leaderEpoch = Epoch(try field.unsigned("laneView.leaderEpoch"))
            case 2: self.version = try field.unsigned("laneView.version")
            case 3:
                guard self.entries.count < WireLimits.listMax else {
                    throw WireError(.tooMany, field: "laneView.entries")
                }
                var inner = try field.nested("laneView.entries")
                var entry = Entry(
                    lane: LaneID(0), epoch: .none, node: NodeID(""), incarnation: Incarnation(.zero), address: "")
                while let part = try inner.next() {
                    switch part.number {
                    case 1: entry.lane = LaneID(try part.unsigned("laneView.entries.lane"))
                    case 2: entry.epoch = Epoch(try part.unsigned("laneView.entries.epoch"))
                    case 3: entry.node = NodeID(try part.text("laneView.entries.node", max: WireLimits.nameMax))
                    case 4: entry.incarnation = Incarnation(try part.uid("laneView.entries.incarnation"))
                    case 5: entry.address = try part.text("laneView.entries.address", max: WireLimits.nameMax)
                    default: continue
                    }
                }
                self.entries.append(entry)
            default: continue
            }
        }
    }
}

/// Leader to dispatchers: which ticker may open each shard, and under which epoch. The whole view
/// each time; the highest (leader epoch, version) wins.
package struct ShardView: WireMessage {
    package static let kind = MessageKind.shardView

    package struct Entry: Equatable, Sendable {
        package var shard: ShardID
        package var epoch: Epoch
        package var incarnation: Incarnation

        package init(shard: ShardID, epoch: Epoch, incarnation: Incarnation) {
            self.shard = shard
            self.epoch = epoch
            self.incarnation = incarnation
        }
    }

    package var leaderEpoch: Epoch
    package var version: UInt64
    package var entries: [Entry]

    package init(leaderEpoch: Epoch, version: UInt64, entries: [Entry]) {
        self.leaderEpoch = leaderEpoch
        self.version = version
        self.entries = entries
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.leaderEpoch.rawValue)
        writer.unsigned(2, self.version)
        for entry in self.entries {
            writer.nested(3) { inner in
                inner.unsigned(1, entry.shard.rawValue)
                inner.unsigned(2, entry.epoch.rawValue)
                inner.uid(3, entry.incarnation.uid)
            }
        }
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(leaderEpoch: .none, version: 0, entries: [])
        while let field = try reader.next() {
            switch field.number {
            case 1: self.leaderEpoch = Epoch(try field.unsigned("shardView.leaderEpoch"))
            case 2: self.version = try field.unsigned("shardView.version")
            case 3:
                guard self.entries.count < WireLimits.listMax else {
                    throw WireError(.tooMany, field: "shardView.entries")
                }
                var inner = try field.nested("shardView.entries")
                var entry = Entry(shard: ShardID(0), epoch: .none, incarnation: Incarnation(.zero))
                while let part = try inner.next() {
                    switch part.number {
                    case 1: entry.shard = ShardID(try part.unsigned("shardView.entries.shard"))
                    case 2: entry.epoch = Epoch(try part.unsigned("shardView.entries.epoch"))
                    case 3: entry.incarnation = Incarnation(try part.uid("shardView.entries.incarnation"))
                    default: continue
                    }
                }
                self.entries.append(entry)
            default: continue
            }
        }
    }
}
