package import EscapementModel
package import NIOCore
package import WireProtocol

/// A fire that waits: its topic is away, or it goes to an HTTP target. Settled for its shard, so that the cursor moves
/// on; its outcome follows.
package struct ParkedFire: Equatable, Sendable {
    /// What this build writes and reads.
    private static let version: UInt32 = 1

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
        var writer = FieldWriter(capacity: 64 + batch.buffer.readableBytes)
        writer.unsigned(1, Self.version)
        writer.bytes(2, batch.buffer)
        writer.text(3, self.ticker.name)
        writer.unsigned(4, self.attempts)
        writer.instant(5, self.notBefore)
        writer.text(6, String(self.detail.prefix(512)))
        return writer.buffer
    }

    /// - Throws: `WireError` naming the field; also for a version this build does not read.
    package init(decoding bytes: ByteBuffer) throws(WireError) {
        var version: UInt32 = 0
        var batch: FireBatch?
        var ticker = NodeID("")
        var attempts: UInt32 = 0
        var notBefore = WallInstant.distantPast
        var detail = ""
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
            default: continue
            }
        }
        guard version == Self.version else { throw WireError(.badValue, field: "parked.version") }
        guard let batch, batch.occurrences.count == 1 else { throw WireError(.badValue, field: "parked.fire") }
        self.init(
            occurrence: batch.occurrences[0], shard: batch.shard, epoch: batch.epoch, ticker: ticker,
            attempts: attempts, notBefore: notBefore, detail: detail)
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
