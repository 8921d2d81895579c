package import EscapementModel
package import NIOCore
package import WireProtocol

/// A fire that waits: its topic is away, or it goes to an HTTP target. Settled for its shard, so that the cursor moves
/// on; its outcome follows. Or a fire whose outcome is known, and whose copy for the dead letters waits for their topic.
package struct ParkedFire: Equatable, Sendable {
    /// What this build writes and reads. A dead letter has one of its own: an older build must not send it as a fire.
    private static let version: UInt32 = 1
    private static let letterVersion: UInt32 = 2
    /// Bytes kept of a text for people.
    static let detailBytesMax = 512

    /// Why a fire is among the dead letters.
    package struct Letter: Equatable, Sendable {
        package var reason: Reason
        package var error: String
        /// Where the fire was to go; empty for an HTTP target.
        package var topic: String
        package var keepsPayload: Bool
    }

    package var occurrence: FireOccurrence
    package var shard: ShardID
    package var epoch: Epoch
    /// Who sent it.
    package var ticker: NodeID
    /// Attempts so far.
    package var attempts: UInt32
    /// No attempt before.
    package var notBefore: WallInstant
    /// Why the last attempt failed; empty before the first.
    package var detail: String
    /// Set for a dead letter.
    package var letter: Letter?

    package init(
        occurrence: FireOccurrence, shard: ShardID, epoch: Epoch, ticker: NodeID, attempts: UInt32 = 0,
        notBefore: WallInstant, detail: String = ""
    ) {
        self.occurrence = occurrence
        self.shard = shard
        self.epoch = epoch
        self.ticker = ticker
        self.attempts = attempts
        self.notBefore = notBefore
        self.detail = detail
    }

    package func encoded() -> ByteBuffer {
        var batch = FieldWriter(capacity: 512 + self.occurrence.template.readableBytes)
        FireBatch(
            shard: self.shard, epoch: self.epoch, from: .start, to: .start, occurrences: [self.occurrence]
        ).encode(into: &batch)
        var writer = FieldWriter(capacity: 64 + batch.count)
        writer.unsigned(1, self.letter == nil ? Self.version : Self.letterVersion)
        writer.bytes(2, batch.finish())
        writer.text(3, self.ticker.name)
        writer.unsigned(4, self.attempts)
        writer.instant(5, self.notBefore)
        writer.text(6, self.detail.prefix(bytes: Self.detailBytesMax))
        if let letter = self.letter {
            writer.nested(7) { inner in
                inner.unsigned(1, letter.reason.rawValue)
                inner.text(2, letter.error.prefix(bytes: Self.detailBytesMax))
                inner.text(3, letter.topic)
                inner.flag(4, letter.keepsPayload)
            }
        }
        return writer.finish()
    }

    /// - Throws: `WireError` naming the field; also for a version this build does not read.
    package init(decoding bytes: ByteBuffer) throws(WireError) {
        var version: UInt32 = 0
        var batch: FireBatch?
        var ticker = NodeID("")
        var attempts: UInt32 = 0
        var notBefore = WallInstant.distantPast
        var detail = ""
        var letter: Letter?
        var reader = FieldReader(bytes)
        while let field = try reader.next() {
            switch field.number {
            case 1: version = try field.unsigned("parked.version")
            case 2:
                var inner = FieldReader(try field.bytes("parked.fire", max: WireLimits.templateMax + 65_536))
                batch = try FireBatch(from: &inner)
            case 3: ticker = NodeID(try field.text("parked.ticker", max: WireLimits.nameMax))
            case 4: attempts = try field.unsigned("parked.attempts")
            case 5: notBefore = try field.instant("parked.notBefore")
            case 6: detail = try field.text("parked.detail", max: WireLimits.detailMax)
            case 7: letter = try Self.letter(field)
            default: continue
            }
        }
        guard version == (letter == nil ? Self.version : Self.letterVersion) else {
            throw WireError(.badValue, field: "parked.version")
        }
        guard let batch, batch.occurrences.count == 1 else { throw WireError(.badValue, field: "parked.fire") }
        self.init(
            occurrence: batch.occurrences[0], shard: batch.shard, epoch: batch.epoch, ticker: ticker,
            attempts: attempts, notBefore: notBefore, detail: detail)
        self.letter = letter
    }

    private static func letter(_ field: FieldReader.Field) throws(WireError) -> Letter {
        var letter = Letter(reason: .retriesExhausted, error: "", topic: "", keepsPayload: false)
        var reader = try field.nested("parked.letter")
        while let part = try reader.next() {
            switch part.number {
            case 1:
                guard let reason = Reason(rawValue: try part.unsigned("parked.letter.reason")) else {
                    throw WireError(.badValue, field: "parked.letter.reason")
                }
                letter.reason = reason
            case 2: letter.error = try part.text("parked.letter.error", max: WireLimits.detailMax)
            case 3: letter.topic = try part.text("parked.letter.topic", max: WireLimits.nameMax)
            case 4: letter.keepsPayload = try part.flag("parked.letter.keepsPayload")
            default: continue
            }
        }
        return letter
    }
}

/// What is to become of a fire for an HTTP target.
package enum ParkedDecision: Sendable {
    /// Its end.
    case settle(ParkedFire, Outcome, Reason, detail: String)
    /// Write it again: it waits on.
    case park(ParkedFire)
    /// Unreadable: nobody can tell what it was.
    case drop
}
