package import DispatcherDomain
import EscapementModel
package import NIOCore
package import WireProtocol

/// The bytes of journal records: tagged fields, as on the wire, with a format version in front. A field's
/// number is never used again; readers skip what they do not know.
package enum JournalCodec {
    /// What this build writes. It reads the same one; a later build also reads the one before.
    package static let version: UInt32 = 1
    /// Bytes of one record, at most: below Kafka's usual limit of 1 MB for a record with its headers.
    package static let recordBytesMax = 900_000
    /// Of the field of each outcome.
    private static let outcomeNumber: UInt32 = 9
    /// Bytes kept of a text for people.
    private static let errorMax = 1024

    private enum Kind: UInt32 {
        case barrier = 1
        case part = 2
        case entry = 3
    }

    package static func encode(_ record: JournalRecord) -> ByteBuffer { self.encode(record, encodedOutcomes: nil) }

    /// Takes the outcomes of an entry one after the other, and makes the records to append of them.
    struct EntryWriter: ~Copyable {
        /// Bytes of an outcome, about.
        private static let usualSize = 256

        private var writer: FieldWriter
        /// Where each outcome ends.
        private var ends: [Int] = []

        /// - Parameter count: about how many outcomes there are.
        init(count: Int) {
            self.writer = FieldWriter(capacity: count * (Self.usualSize + 8))
            self.ends.reserveCapacity(count)
        }

        /// An outcome that `write` encodes.
        mutating func add(_ write: (inout FieldWriter) -> Void) {
            self.writer.nested(JournalCodec.outcomeNumber, about: Self.usualSize, write)
            self.ends.append(self.writer.count)
        }

        /// The records, in order: parts, then the one with the shards. One record when all fits into `bytesMax`. And the
        /// outcomes alone, for `outcomes(in:)`.
        ///
        /// - Parameter record: an entry without outcomes.
        consuming func finish(
            _ record: JournalRecord, bytesMax: Int = recordBytesMax
        ) -> (records: [ByteBuffer], outcomes: ByteBuffer) {
            var part = record
            part.body = .part([])
            let frame = JournalCodec.encode(record).readableBytes
            let outcomes = self.writer.finish()
            var records: [ByteBuffer] = []
            var start = 0
            func slice(to end: Int) -> ByteBuffer { outcomes.getSlice(at: start, length: end - start) ?? ByteBuffer() }
            if frame + outcomes.readableBytes > bytesMax {
                var before = 0
                for end in self.ends {
                    // Cut where the next one would not fit.
                    if frame + end - start > bytesMax, before > start {
                        records.append(JournalCodec.encode(part, encodedOutcomes: slice(to: before)))
                        start = before
                    }
                    before = end
                }
            }
            records.append(JournalCodec.encode(record, encodedOutcomes: slice(to: outcomes.readableBytes)))
            return (records, outcomes)
        }
    }

    /// - Parameter encodedOutcomes: behind the record's own.
    private static func encode(_ record: JournalRecord, encodedOutcomes: ByteBuffer?) -> ByteBuffer {
        var writer = FieldWriter(capacity: 1024 + (encodedOutcomes?.readableBytes ?? 0))
        writer.unsigned(1, self.version)
        let (kind, nonce, shards, outcomes): (Kind, UID, [ShardState], [OutcomeRecord]) =
            switch record.body {
            case .barrier(let nonce): (.barrier, nonce, [], [])
            case .part(let outcomes): (.part, .zero, [], outcomes)
            case .entry(let shards, let outcomes): (.entry, .zero, shards, outcomes)
            }
        writer.unsigned(2, kind.rawValue)
        writer.unsigned(3, record.lane.rawValue)
        writer.unsigned(4, record.laneEpoch.rawValue)
        writer.unsigned(5, record.sequence)
        writer.text(6, record.dispatcher.name)
        writer.uid(7, nonce)
        for state in shards {
            writer.nested(8) { inner in
                inner.unsigned(1, state.shard.rawValue)
                inner.unsigned(2, state.epoch.rawValue)
                inner.cursor(3, state.cursor)
            }
        }
        for outcome in outcomes {
            writer.nested(self.outcomeNumber) { self.encode(outcome, into: &$0) }
        }
        if let encodedOutcomes { writer.encoded(encodedOutcomes) }
        writer.unsigned(10, UInt64(clamping: record.deliveries.next))
        if record.waiting != WaitingLine() { writer.nested(11) { self.encode(record.waiting, into: &$0) } }
        if !record.deliveries.stretches.isEmpty {
            writer.nested(12) { self.encode(stretchesOf: record.deliveries, into: &$0) }
        }
        return writer.finish()
    }

    /// - Throws: `WireError` naming the field; also for a version this build does not read.
    package static func decode(_ bytes: ByteBuffer) throws(WireError) -> JournalRecord {
        var reader = FieldReader(bytes)
        var version: UInt32 = 0
        var kind: Kind?
        var record = JournalRecord(
            lane: LaneID(0), laneEpoch: .none, sequence: 0, dispatcher: NodeID(""), body: .barrier(nonce: .zero))
        var nonce = UID.zero
        var shards: [ShardState] = []
        var outcomes: [OutcomeRecord] = []
        var deliveriesNext: Int64 = 0
        while let field = try reader.next() {
            switch field.number {
            case 1: version = try field.unsigned("journal.version")
            case 2: kind = Kind(rawValue: try field.unsigned("journal.kind"))
            case 3: record.lane = LaneID(try field.unsigned("journal.lane"))
            case 4: record.laneEpoch = Epoch(try field.unsigned("journal.laneEpoch"))
            case 5: record.sequence = try field.unsigned("journal.sequence")
            case 6: record.dispatcher = NodeID(try field.text("journal.dispatcher", max: WireLimits.nameMax))
            case 7: nonce = try field.uid("journal.nonce")
            case 8:
                guard shards.count < WireLimits.listMax else { throw WireError(.tooMany, field: "journal.shards") }
                shards.append(try self.shard(field))
            case self.outcomeNumber:
                guard outcomes.count < WireLimits.listMax else { throw WireError(.tooMany, field: "journal.outcomes") }
                outcomes.append(try self.outcome(field))
            case 10:
                deliveriesNext = Int64(clamping: try field.unsigned("journal.deliveries", as: UInt64.self))
            case 11: record.waiting = try self.waiting(field)
            // Behind the offset that it counts from, as all fields are in the order of their numbers.
            case 12: record.deliveries = try self.deliveries(field, next: deliveriesNext)
            default: continue
            }
        }
        guard version == self.version else { throw WireError(.badValue, field: "journal.version") }
        record.deliveries.advance(to: deliveriesNext)
        switch kind {
        case .barrier: record.body = .barrier(nonce: nonce)
        case .part: record.body = .part(outcomes)
        case .entry: record.body = .entry(shards, outcomes)
        case nil: throw WireError(.badValue, field: "journal.kind")
        }
        return record
    }

    /// Those of the outcomes that are wanted, but for what cannot be read: nothing depends on it, and the recorder counts
    /// what nobody can read. O(bytes).
    ///
    /// - Parameter outcomes: as `EntryWriter` gives them.
    static func outcomes(
        in outcomes: ByteBuffer, where isWanted: (ActivationID) -> Bool = { _ in true }
    ) -> [OutcomeRecord] {
        var reader = FieldReader(outcomes)
        var result: [OutcomeRecord] = []
        do throws(WireError) {
            while let field = try reader.next() {
                if let outcome = self.readable(field, isWanted) { result.append(outcome) }
            }
        } catch {
            return result
        }
        return result
    }

    private static func readable(
        _ field: FieldReader.Field, _ isWanted: (ActivationID) -> Bool
    ) -> OutcomeRecord? {
        do throws(WireError) {
            var inner = try field.nested("journal.outcomes")
            // The id comes first.
            guard let id = try inner.next(), id.number == 1, isWanted(ActivationID(try id.uid("outcome.id"))) else {
                return nil
            }
            return try self.outcome(field)
        } catch {
            return nil
        }
    }

    private static func encode(_ line: WaitingLine, into writer: inout FieldWriter) {
        writer.unsigned(1, UInt64(clamping: line.settled.next))
        self.encode(stretchesOf: line.settled, into: &writer)
        for (topic, offset) in line.last.sorted(by: { $0.key < $1.key }) {
            writer.nested(4) { inner in
                inner.text(1, topic)
                inner.unsigned(2, UInt64(clamping: offset))
            }
        }
    }

    /// Stretches as gaps and lengths: most take two bytes.
    private static func encode(stretchesOf settled: SettledOffsets, into writer: inout FieldWriter) {
        var end = settled.next
        for range in settled.stretches {
            writer.unsigned(2, UInt64(clamping: range.lowerBound - end))
            writer.unsigned(3, UInt64(clamping: range.count))
            end = range.upperBound
        }
    }

    /// Puts stretches together from their gaps and lengths.
    private struct Stretches {
        private let field: String
        private let next: Int64
        private var start: Int64
        private(set) var all: [Range<Int64>] = []

        init(from next: Int64, field: String) {
            self.field = field
            self.next = next
            self.start = next
        }

        mutating func skip(_ gap: Int64) { self.start = self.start.addingReportingOverflow(gap).partialValue }

        mutating func take(_ length: Int64) throws(WireError) {
            guard self.all.count < WireLimits.listMax else { throw WireError(.tooMany, field: self.field) }
            let (end, isOverflow) = self.start.addingReportingOverflow(length)
            guard !isOverflow, self.start >= self.next, end > self.start else {
                throw WireError(.badValue, field: self.field)
            }
            self.all.append(self.start..<end)
            self.start = end
        }
    }

    private static func offset(_ field: FieldReader.Field, _ name: StaticString) throws(WireError) -> Int64 {
        Int64(clamping: try field.unsigned(name, as: UInt64.self))
    }

    private static func deliveries(
        _ field: FieldReader.Field, next: Int64
    ) throws(WireError) -> SettledOffsets {
        var stretches = Stretches(from: next, field: "journal.deliveries")
        var reader = try field.nested("journal.deliveries")
        while let part = try reader.next() {
            switch part.number {
            case 2: stretches.skip(try self.offset(part, "journal.deliveries"))
            case 3: try stretches.take(try self.offset(part, "journal.deliveries"))
            default: continue
            }
        }
        return SettledOffsets(next: next, stretches: stretches.all)
    }

    private static func waiting(_ field: FieldReader.Field) throws(WireError) -> WaitingLine {
        var next: Int64 = 0
        var stretches = Stretches(from: 0, field: "journal.waiting")
        var last: [String: Int64] = [:]
        var reader = try field.nested("journal.waiting")
        while let part = try reader.next() {
            switch part.number {
            case 1:
                next = try self.offset(part, "journal.waiting")
                stretches = Stretches(from: next, field: "journal.waiting")
            case 2: stretches.skip(try self.offset(part, "journal.waiting"))
            case 3: try stretches.take(try self.offset(part, "journal.waiting"))
            case 4:
                guard last.count <= WaitingLine.topicsMax else { throw WireError(.tooMany, field: "journal.waiting") }
                let (topic, offset) = try self.waitingTopic(part)
                last[topic] = offset
            default: continue
            }
        }
        return WaitingLine(settled: SettledOffsets(next: next, stretches: stretches.all), last: last)
    }

    private static func waitingTopic(_ field: FieldReader.Field) throws(WireError) -> (topic: String, last: Int64) {
        var topic = ""
        var last: Int64 = 0
        var reader = try field.nested("journal.waiting.topic")
        while let part = try reader.next() {
            switch part.number {
            case 1: topic = try part.text("journal.waiting.topic.name", max: WireLimits.nameMax)
            case 2: last = Int64(clamping: try part.unsigned("journal.waiting.topic.last", as: UInt64.self))
            default: continue
            }
        }
        return (topic, last)
    }

    private static func shard(_ field: FieldReader.Field) throws(WireError) -> ShardState {
        var state = ShardState(shard: ShardID(0))
        var reader = try field.nested("journal.shards")
        while let part = try reader.next() {
            switch part.number {
            case 1: state.shard = ShardID(try part.unsigned("journal.shards.shard"))
            case 2: state.epoch = Epoch(try part.unsigned("journal.shards.epoch"))
            case 3: state.cursor = try part.cursor("journal.shards.cursor")
            default: continue
            }
        }
        return state
    }

    // An outcome in parts, one behind the other: what is known of an occurrence, what its template and its payload
    // say, and what came of it.

    /// - Parameter occurrence: by its address, as the compiler copies one that is passed out of an array.
    static func encode(
        _ occurrence: UnsafePointer<FireOccurrence>, _ id: ActivationID, _ shard: ShardID, _ epoch: Epoch,
        _ ticker: NodeID, into writer: inout FieldWriter
    ) {
        self.encode(
            id, occurrence.pointee.kind, occurrence.pointee.uid, occurrence.pointee.generation, shard, epoch,
            scheduled: occurrence.pointee.scheduled, due: occurrence.pointee.due, count: occurrence.pointee.count,
            through: occurrence.pointee.through, ticker, into: &writer)
    }

    static func encode(_ fire: borrowing EventFormat.Fire, into writer: inout FieldWriter) {
        writer.text(15, fire.template.namespace)
        writer.text(16, fire.template.name)
        writer.text(17, fire.template.action)
        fire.template.writeLabels(18, to: &writer)
        if let trace = fire.trace { writer.text(26, trace) } else { writer.text(26, fire.template.traceparent) }
    }

    private static func encode(
        _ id: ActivationID, _ kind: FireKind, _ uid: UID, _ generation: UInt64, _ shard: ShardID, _ epoch: Epoch,
        scheduled: WallInstant, due: WallInstant, count: UInt32, through: WallInstant, _ ticker: NodeID,
        into writer: inout FieldWriter
    ) {
        writer.uid(1, id.uid)
        writer.unsigned(2, kind.rawValue)
        writer.uid(3, uid)
        writer.unsigned(4, generation)
        writer.unsigned(5, shard.rawValue)
        writer.unsigned(6, epoch.rawValue)
        writer.instant(7, scheduled)
        // By their numbers: other modules' `==` is called without knowing the type.
        if due.milliseconds != scheduled.milliseconds { writer.instant(8, due) }
        if count != 1 { writer.unsigned(13, count) }
        if through.milliseconds != scheduled.milliseconds { writer.instant(14, through) }
        writer.text(25, ticker.name)
    }

    static func encode(payload byteCount: Int, _ sha256: SHA256Digest, text: String?, into writer: inout FieldWriter) {
        writer.unsigned(22, UInt64(byteCount))
        writer.digest(23, sha256)
        if let text { writer.text(27, text) }
    }

    /// How an outcome came about.
    struct Ending {
        var outcome: Outcome
        var reason: Reason
        var error: String
        var attempts: UInt32
        var settledAt: WallInstant
    }

    static func encode(_ ending: borrowing Ending, into writer: inout FieldWriter) {
        writer.instant(9, ending.settledAt)
        writer.unsigned(10, ending.outcome.rawValue)
        writer.unsigned(11, ending.reason.rawValue)
        if !ending.error.isEmpty { writer.text(12, ending.error.prefix(bytes: self.errorMax)) }
        writer.unsigned(24, ending.attempts)
    }

    /// Where a dispatched fire lies.
    static func encode(
        topic: borrowing String, partition: Int32, offset: Int64, into writer: inout FieldWriter
    ) {
        writer.text(19, topic)
        writer.unsigned(20, UInt32(bitPattern: partition))
        writer.signed(21, offset)
    }

    static func encode(_ outcome: OutcomeRecord, into writer: inout FieldWriter) {
        self.encode(
            outcome.id, outcome.kind, outcome.uid, outcome.generation, outcome.shard, outcome.epoch,
            scheduled: outcome.scheduled, due: outcome.due, count: outcome.count, through: outcome.through,
            outcome.ticker, into: &writer)
        writer.text(15, outcome.namespace)
        writer.text(16, outcome.name)
        writer.text(17, outcome.action)
        for label in outcome.labels {
            writer.nested(18) { inner in
                inner.text(1, label.name)
                inner.text(2, label.value)
            }
        }
        writer.text(26, outcome.traceparent)
        if let payload = outcome.payload {
            self.encode(payload: payload.byteCount, payload.sha256, text: payload.text, into: &writer)
        }
        self.encode(
            Ending(
                outcome: outcome.outcome, reason: outcome.reason, error: outcome.error, attempts: outcome.attempts,
                settledAt: outcome.settledAt), into: &writer)
        if let position = outcome.position {
            self.encode(
                topic: position.topic, partition: position.partition, offset: position.offset, into: &writer)
        }
    }

    private static func outcome(_ field: FieldReader.Field) throws(WireError) -> OutcomeRecord {
        var result = OutcomeRecord(
            id: ActivationID(.zero), kind: .cron, uid: .zero, generation: 0, shard: ShardID(0), epoch: .none,
            scheduled: .distantPast, due: .distantPast, settledAt: .distantPast, outcome: .dispatched,
            reason: .dispatched, namespace: "", name: "", ticker: NodeID(""))
        var due: WallInstant?
        var through: WallInstant?
        var position = OutcomeRecord.Position(topic: "", partition: 0, offset: 0)
        var payload = OutcomeRecord.PayloadDigest(byteCount: 0, sha256: SHA256Digest(high: .zero, low: .zero))
        var hasPayload = false
        var reader = try field.nested("journal.outcomes")
        while let part = try reader.next() {
            switch part.number {
            case 1: result.id = ActivationID(try part.uid("outcome.id"))
            case 2: result.kind = try part.kind("outcome.kind")
            case 3: result.uid = try part.uid("outcome.uid")
            case 4: result.generation = try part.unsigned("outcome.generation")
            case 5: result.shard = ShardID(try part.unsigned("outcome.shard"))
            case 6: result.epoch = Epoch(try part.unsigned("outcome.epoch"))
            case 7: result.scheduled = try part.instant("outcome.scheduled")
            case 8: due = try part.instant("outcome.due")
            case 9: result.settledAt = try part.instant("outcome.settledAt")
            case 10:
                guard let outcome = Outcome(rawValue: try part.unsigned("outcome.outcome")) else {
                    throw WireError(.badValue, field: "outcome.outcome")
                }
                result.outcome = outcome
            case 11:
                guard let reason = Reason(rawValue: try part.unsigned("outcome.reason")) else {
                    throw WireError(.badValue, field: "outcome.reason")
                }
                result.reason = reason
            // Earlier builds cut at so many characters.
            case 12: result.error = try part.text("outcome.error", max: self.errorMax * 4)
            case 13: result.count = try part.unsigned("outcome.count")
            case 14: through = try part.instant("outcome.through")
            case 15: result.namespace = try part.text("outcome.namespace", max: WireLimits.nameMax)
            case 16: result.name = try part.text("outcome.name", max: WireLimits.nameMax)
            case 17: result.action = try part.text("outcome.action", max: WireLimits.nameMax)
            case 18:
                guard result.labels.count < WireLimits.listMax else {
                    throw WireError(.tooMany, field: "outcome.labels")
                }
                result.labels.append(try self.label(part))
            case 19: position.topic = try part.text("outcome.topic", max: WireLimits.nameMax)
            case 20: position.partition = Int32(bitPattern: try part.unsigned("outcome.partition", as: UInt32.self))
            case 21: position.offset = try part.signed("outcome.offset")
            case 22: payload.byteCount = Int(clamping: try part.unsigned("outcome.payloadBytes", as: UInt64.self))
            case 23:
                payload.sha256 = try part.digest("outcome.payloadSHA256")
                hasPayload = true
            case 24: result.attempts = try part.unsigned("outcome.attempts")
            case 25: result.ticker = NodeID(try part.text("outcome.ticker", max: WireLimits.nameMax))
            case 27: payload.text = try part.text("outcome.payload", max: PayloadRecording.bytesMax)
            case 26: result.traceparent = try part.text("outcome.traceparent", max: WireLimits.nameMax)
            default: continue
            }
        }
        result.due = due ?? result.scheduled
        result.through = through ?? result.scheduled
        if !position.topic.isEmpty { result.position = position }
        if hasPayload { result.payload = payload }
        return result
    }

    private static func label(_ field: FieldReader.Field) throws(WireError) -> Label {
        var label = Label(name: "", value: "")
        var reader = try field.nested("outcome.labels")
        while let part = try reader.next() {
            switch part.number {
            case 1: label.name = try part.text("outcome.labels.name", max: WireLimits.nameMax)
            case 2: label.value = try part.text("outcome.labels.value", max: WireLimits.detailMax)
            default: continue
            }
        }
        return label
    }
}
