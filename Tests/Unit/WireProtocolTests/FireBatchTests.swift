import EscapementModel
import NIOCore
import Testing
import TestSupport
import WireProtocol

@Suite struct FireBatchTests {
    private let batch = FireBatch(
        shard: ShardID(3), epoch: Epoch(7), from: .start,
        to: Cursor(
            cron: Watermark(through: WallInstant(milliseconds: 2000)),
            delay: Watermark(through: WallInstant(milliseconds: 2000)), revision: Revision(4)),
        occurrences: (0..<40).map { number in
            var occurrence = FireOccurrence(
                kind: .cron, uid: UID(high: 5, low: UInt64(number) + 1), generation: 2,
                scheduled: WallInstant(milliseconds: 1000), due: WallInstant(milliseconds: 1000 + Int64(number)),
                outcome: .dispatched, reason: .dispatched, template: ByteBuffer(string: "template \(number)"))
            if number % 5 == 0 { occurrence.neighbours = OccurrenceNeighbours(previous: nil, next: occurrence.due) }
            if number % 7 == 0 {
                (occurrence.outcome, occurrence.reason, occurrence.count) = (.skipped, .coalesced, 9)
                occurrence.through = WallInstant(milliseconds: 1500)
                occurrence.template = ByteBuffer()
            }
            return occurrence
        })

    @Test func `a batch is read from within other bytes, and its templates are parts of them`() throws {
        var bytes = ByteBuffer(string: "before")
        bytes.writeImmutableBuffer(Frame(self.batch).payload)
        bytes.moveReaderIndex(forwardBy: 6)
        var reader = FieldReader(bytes)
        #expect(try FireBatch(from: &reader) == self.batch)
    }

    /// Each bit of a batch in turn.
    @Test func `a damaged batch is another one or an error, and never a trap`() {
        let encoded = Array(Frame(self.batch).payload.readableBytesView)
        var readable = 0
        for index in encoded.indices {
            for bit in 0..<8 {
                var bytes = encoded
                bytes[index] ^= 1 << UInt8(bit)
                var reader = FieldReader(ByteBuffer(bytes: bytes))
                guard let batch = try? FireBatch(from: &reader) else { continue }
                readable += 1
                #expect(batch.occurrences.allSatisfy { $0.uid != .zero })
            }
        }
        #expect(readable > 0 && readable < 8 * encoded.count)
    }

    @Test func `an occurrence without an identity is refused`() {
        var batch = self.batch
        batch.occurrences[3].uid = .zero
        #expect(throws: WireError(.missing, field: "occurrence.uid")) { try Frame(batch).decode(FireBatch.self) }
    }

    @Test func `a batch has no more occurrences than it may`() throws {
        var batch = self.batch
        batch.occurrences = Array(repeating: batch.occurrences[1], count: FireBatch.occurrencesMax)
        #expect(try Frame(batch).decode(FireBatch.self) == batch)
        batch.occurrences.append(batch.occurrences[1])
        #expect(throws: WireError(.tooMany, field: "fireBatch.occurrences")) {
            try Frame(batch).decode(FireBatch.self)
        }
    }
}
