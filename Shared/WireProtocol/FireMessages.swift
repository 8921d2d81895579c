package import EscapementModel
package import NIOCore

/// Ticker to a lane's dispatcher: this shard is mine under `epoch`; where does it stand?
///
/// Accepted only for a (shard, epoch, incarnation) that the leader's `ShardView` names; the sender's
/// incarnation is the one of its `Hello`. Fences every lower epoch, durably, before it is answered.
package struct Open: WireMessage {
    package static let kind = MessageKind.open
    package var shard: ShardID
    package var epoch: Epoch

    package init(shard: ShardID, epoch: Epoch) {
        self.shard = shard
        self.epoch = epoch
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("open.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("open.epoch"))
            default: continue
            }
        }
    }
}

/// Dispatcher to ticker: everything up to `cursor` is settled; go on from there.
package struct Opened: WireMessage {
    package static let kind = MessageKind.opened
    package var shard: ShardID
    package var epoch: Epoch
    package var cursor: Cursor
    /// Batches that may be in flight, at most; each `FireAck` frees one.
    package var creditBatches: UInt32
    /// Bytes of batches in flight from which on no further one is sent.
    package var creditBytes: UInt32

    package init(shard: ShardID, epoch: Epoch, cursor: Cursor, creditBatches: UInt32, creditBytes: UInt32) {
        self.shard = shard
        self.epoch = epoch
        self.cursor = cursor
        self.creditBatches = creditBatches
        self.creditBytes = creditBytes
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.cursor(3, self.cursor)
        writer.unsigned(4, self.creditBatches)
        writer.unsigned(5, self.creditBytes)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, cursor: .start, creditBatches: 0, creditBytes: 0)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("opened.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("opened.epoch"))
            case 3: self.cursor = try field.cursor("opened.cursor")
            case 4: self.creditBatches = try field.unsigned("opened.creditBatches")
            case 5: self.creditBytes = try field.unsigned("opened.creditBytes")
            default: continue
            }
        }
    }
}

/// One settled occurrence, or a run of skipped ones of the same schedule.
package struct FireOccurrence: Equatable, Sendable {
    package var kind: FireKind
    package var uid: UID
    package var generation: UInt64
    /// The nominal instant: what the schedule says. For a run, the first.
    package var scheduled: WallInstant
    /// `scheduled` plus jitter.
    package var due: WallInstant
    package var outcome: Outcome
    package var reason: Reason
    /// How many occurrences this stands for: 1, or more for a run of skipped ones.
    package var count: UInt32
    /// The last scheduled instant of a run; equal to `scheduled` for a single one.
    package var through: WallInstant
    /// Dispatched late by the catch-up rule.
    package var caughtUp: Bool
    /// An encoded `FireTemplate`.
    package var template: ByteBuffer
    /// `nil` unless the template names them.
    package var neighbours: OccurrenceNeighbours?

    package init(
        kind: FireKind, uid: UID, generation: UInt64, scheduled: WallInstant, due: WallInstant, outcome: Outcome,
        reason: Reason, count: UInt32 = 1, through: WallInstant? = nil, caughtUp: Bool = false, template: ByteBuffer,
        neighbours: OccurrenceNeighbours? = nil
    ) {
        self.kind = kind
        self.uid = uid
        self.generation = generation
        self.scheduled = scheduled
        self.due = due
        self.outcome = outcome
        self.reason = reason
        self.count = count
        self.through = through ?? scheduled
        self.caughtUp = caughtUp
        self.template = template
        self.neighbours = neighbours
    }

    func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.kind.rawValue)
        writer.uid(2, self.uid)
        writer.unsigned(3, self.generation)
        writer.instant(4, self.scheduled)
        if self.due != self.scheduled { writer.instant(5, self.due) }
        writer.unsigned(6, self.outcome.rawValue)
        writer.unsigned(7, self.reason.rawValue)
        if self.count != 1 { writer.unsigned(8, self.count) }
        if self.through != self.scheduled { writer.instant(9, self.through) }
        writer.flag(10, self.caughtUp)
        writer.bytes(11, self.template)
        if let neighbours { writer.neighbours(12, neighbours) }
    }

    /// - Parameter message: the outermost one, of which the template is a part.
    init(reading reader: inout FieldReader, of message: ByteBuffer) throws(WireError) {
        // Made at the end, of its parts: changed part by part it would be copied once more.
        var kind = FireKind.cron
        var uid = UID.zero
        var generation: UInt64 = 0
        var scheduled = WallInstant.distantPast
        var due: WallInstant?
        var outcome = Outcome.dispatched
        var reason = Reason.dispatched
        var count: UInt32 = 1
        var through: WallInstant?
        var caughtUp = false
        var template: ByteBuffer?
        var neighbours: OccurrenceNeighbours?
        var field = reader.blank
        while try reader.advance(to: &field) {
            switch field.number {
            case 1: kind = try field.kind("occurrence.kind")
            case 2: uid = try field.uid("occurrence.uid")
            case 3: generation = try field.unsigned("occurrence.generation")
            case 4: scheduled = try field.instant("occurrence.scheduled")
            case 5: due = try field.instant("occurrence.due")
            case 6:
                guard let value = Outcome(rawValue: try field.unsigned("occurrence.outcome")) else {
                    throw WireError(.badValue, field: "occurrence.outcome")
                }
                outcome = value
            case 7:
                guard let value = Reason(rawValue: try field.unsigned("occurrence.reason")) else {
                    throw WireError(.badValue, field: "occurrence.reason")
                }
                reason = value
            case 8: count = try field.unsigned("occurrence.count")
            case 9: through = try field.instant("occurrence.through")
            case 10: caughtUp = try field.flag("occurrence.caughtUp")
            case 11: template = try field.bytes("occurrence.template", max: WireLimits.templateMax, of: message)
            case 12: neighbours = try field.neighbours("occurrence.neighbours")
            default: continue
            }
        }
        // Not by `==`, which other modules call without knowing the type.
        guard uid.high | uid.low != 0 else { throw WireError(.missing, field: "occurrence.uid") }
        self.init(
            kind: kind, uid: uid, generation: generation, scheduled: scheduled, due: due ?? scheduled,
            outcome: outcome, reason: reason, count: count, through: through, caughtUp: caughtUp,
            template: template ?? ByteBuffer(), neighbours: neighbours)
    }
}

/// Ticker to dispatcher: settle these occurrences, which lead the shard's cursor from `from` to `to`.
///
/// Accepted only while the lane stands exactly at `from` (or at the `to` of the last accepted batch).
package struct FireBatch: WireMessage {
    package static let kind = MessageKind.fireBatch
    /// Occurrences in a batch, at most. Ordinary batches have up to 1000; late admissions of one revision
    /// stay together.
    package static let occurrencesMax = 16_384

    package var shard: ShardID
    package var epoch: Epoch
    package var from: Cursor
    package var to: Cursor
    /// In the order in which they are to be published.
    package var occurrences: [FireOccurrence]

    package init(shard: ShardID, epoch: Epoch, from: Cursor, to: Cursor, occurrences: [FireOccurrence]) {
        self.shard = shard
        self.epoch = epoch
        self.from = from
        self.to = to
        self.occurrences = occurrences
    }

    package var sizeEstimate: Int {
        // 60 bytes an occurrence beside its template, and some for the cursors.
        self.occurrences.reduce(160) { $0 + 64 + $1.template.readableBytes }
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.cursor(3, self.from)
        writer.cursor(4, self.to)
        for occurrence in self.occurrences { writer.nested(5) { occurrence.encode(into: &$0) } }
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        guard let message = reader.buffer else { preconditionFailure("a batch in memory that its reader does not own") }
        self.init(shard: ShardID(0), epoch: .none, from: .start, to: .start, occurrences: [])
        var field = reader.blank
        while try reader.next(&field) {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("fireBatch.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("fireBatch.epoch"))
            case 3: self.from = try field.cursor("fireBatch.from")
            case 4: self.to = try field.cursor("fireBatch.to")
            case 5:
                guard self.occurrences.count < Self.occurrencesMax else {
                    throw WireError(.tooMany, field: "fireBatch.occurrences")
                }
                var inner = try field.nestedUncounted("fireBatch.occurrences")
                if self.occurrences.isEmpty {
                    // They are mostly of one size.
                    self.occurrences.reserveCapacity(
                        min(Self.occurrencesMax, 1 + reader.remaining / max(1, inner.remaining)))
                }
                self.occurrences.append(try FireOccurrence(reading: &inner, of: message))
            default: continue
            }
        }
    }
}

/// Dispatcher to ticker: the batch that led to `cursor` is durable.
package struct FireAck: WireMessage {
    package static let kind = MessageKind.fireAck
    package var shard: ShardID
    package var epoch: Epoch
    package var cursor: Cursor

    package init(shard: ShardID, epoch: Epoch, cursor: Cursor) {
        self.shard = shard
        self.epoch = epoch
        self.cursor = cursor
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.cursor(3, self.cursor)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, cursor: .start)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("fireAck.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("fireAck.epoch"))
            case 3: self.cursor = try field.cursor("fireAck.cursor")
            default: continue
            }
        }
    }
}

/// Dispatcher to ticker: an `Open` or a batch was refused; nothing of it counts.
package struct FireRefused: WireMessage {
    package static let kind = MessageKind.fireRefused

    package enum Code: UInt32, Sendable {
        case unknown = 0
        /// A higher epoch has opened the shard: stop, somebody else owns it.
        case staleEpoch = 1
        /// This dispatcher does not own the lane. Wait for the next `LaneView`.
        case notLaneOwner = 2
        /// The lane stands elsewhere: open again and go on from the cursor it answers.
        case cursorMismatch = 3
        /// `to` lies too far ahead of the dispatcher's clock: one of the clocks is wrong.
        case aheadOfClock = 4
        /// The leader's view does not name the sender as the owner of the shard. Retry shortly.
        case notShardOwner = 5
        /// The lane cannot take work now (Kafka is unavailable). Open again later.
        case unavailable = 6
    }

    package var shard: ShardID
    package var epoch: Epoch
    package var code: Code
    /// The epoch that the lane holds for the shard.
    package var seenEpoch: Epoch
    package var detail: String

    package init(shard: ShardID, epoch: Epoch, code: Code, seenEpoch: Epoch = .none, detail: String = "") {
        self.shard = shard
        self.epoch = epoch
        self.code = code
        self.seenEpoch = seenEpoch
        self.detail = detail
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.unsigned(3, self.code.rawValue)
        writer.unsigned(4, self.seenEpoch.rawValue)
        writer.text(5, self.detail)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, code: .unknown)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("fireRefused.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("fireRefused.epoch"))
            case 3: self.code = Code(rawValue: try field.unsigned("fireRefused.code")) ?? .unknown
            case 4: self.seenEpoch = Epoch(try field.unsigned("fireRefused.seenEpoch"))
            case 5: self.detail = try field.text("fireRefused.detail", max: WireLimits.detailMax)
            default: continue
            }
        }
    }
}
