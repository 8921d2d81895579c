import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import TestSupport
import Testing
import WireProtocol

@Suite struct JournalCodecTests {
    private func record(_ body: JournalRecord.Body) -> JournalRecord {
        JournalRecord(
            lane: LaneID(13), laneEpoch: Epoch(1 << 62), sequence: 4_411_223, dispatcher: NodeID("d-1"), body: body)
    }

    private var states: [ShardState] {
        (0..<3).map { ShardState(shard: ShardID($0), epoch: Epoch(UInt64($0)), cursor: Samples.cursor(Int64($0))) }
    }

    @Test func `every kind of record comes back as it was`() throws {
        var skipped = Samples.outcome(2)
        skipped.outcome = .skipped
        skipped.reason = .catchupWindow
        skipped.count = 60
        skipped.through = Samples.produced
        skipped.due = Samples.produced
        skipped.error = "čšž\n\"quoted\""
        skipped.position = nil
        skipped.payload = nil
        skipped.action = ""
        skipped.labels = []
        skipped.traceparent = ""
        for body: JournalRecord.Body in [
            .barrier(nonce: Samples.uid), .part([Samples.outcome(), skipped]),
            .entry(self.states, [Samples.outcome(), skipped]), .entry([], []),
        ] {
            let record = self.record(body)
            #expect(try JournalCodec.decode(JournalCodec.encode(record)) == record)
        }
    }

    @Test func `what is settled of the fires for HTTP targets comes back as it was`() throws {
        var record = self.record(.entry(self.states, []))
        for deliveries in [
            SettledOffsets(next: 7), SettledOffsets(next: 1 << 40, stretches: [1 << 41..<1 << 41 + 1]),
            SettledOffsets(next: 0, stretches: [1..<2, 4..<900, 901..<1000]),
        ] {
            record.deliveries = deliveries
            #expect(try JournalCodec.decode(JournalCodec.encode(record)) == record)
        }
    }

    @Test func `an entry that does not fit is split, shards in the last record`() throws {
        let outcomes = (0..<100).map { Samples.outcome(UInt64($0)) }
        let buffers = self.buffers(outcomes, bytesMax: 4096)
        #expect(buffers.count > 5)
        #expect(buffers.allSatisfy { $0.readableBytes <= 4096 })
        var assembler = JournalAssembler(startingAt: 0)
        var entry: JournalAssembler.Entry?
        for (offset, buffer) in buffers.enumerated() {
            #expect(entry == nil)
            entry = assembler.take(
                StoredJournalRecord(offset: Int64(offset), record: try JournalCodec.decode(buffer)))
        }
        #expect(entry?.outcomes == outcomes)
        guard case .entry(let shards, _) = try JournalCodec.decode(buffers[buffers.count - 1]).body else {
            Issue.record("the last record is not the entry")
            return
        }
        #expect(shards == self.states)
    }

    private func buffers(_ outcomes: [OutcomeRecord], bytesMax: Int) -> [ByteBuffer] {
        Samples.journal(
            JournalRecord(
                lane: LaneID(1), laneEpoch: Epoch(2), sequence: 3, dispatcher: NodeID("d"),
                body: .entry(self.states, []), deliveries: SettledOffsets(next: 7, stretches: [9..<12]),
                waiting: WaitingLine(settled: SettledOffsets(next: 2), last: ["team.gone": 4])), outcomes,
            bytesMax: bytesMax
        ).records
    }

    /// The outcomes of each record; all but the last have to be parts, and that one the entry.
    private func groups(_ buffers: [ByteBuffer]) throws -> [[OutcomeRecord]] {
        try buffers.enumerated().map { index, buffer in
            switch try JournalCodec.decode(buffer).body {
            case .part(let outcomes):
                #expect(index < buffers.count - 1, "the last record is the entry")
                return outcomes
            case .entry(let shards, let outcomes):
                #expect(index == buffers.count - 1, "only the last record is the entry")
                #expect(shards == self.states)
                return outcomes
            case .barrier:
                Issue.record("a barrier in an entry")
                return []
            }
        }
    }

    @Test(arguments: [0, 1, 3, 5, 6])
    func `an outcome that is too large alone has a record of its own`(place: Int) throws {
        var outcomes = (0..<7).map { Samples.outcome(UInt64($0)) }
        outcomes[place].error = String(repeating: "x", count: 1024)
        let bytesMax = 1000
        let buffers = self.buffers(outcomes, bytesMax: bytesMax)
        let groups = try self.groups(buffers)
        #expect(groups.allSatisfy { !$0.isEmpty }, "nothing is written for nothing")
        #expect(groups.flatMap { $0 } == outcomes)
        #expect(groups.contains { $0.count > 1 }, "the small ones share records")
        for (buffer, group) in zip(buffers, groups) {
            #expect(buffer.readableBytes <= bytesMax || group == [outcomes[place]])
        }
        #expect(buffers.count { $0.readableBytes > bytesMax } == 1)
    }

    @Test(arguments: [0, 1, JournalCodec.recordBytesMax])
    func `without outcomes an entry is one record`(bytesMax: Int) throws {
        #expect(try self.groups(self.buffers([], bytesMax: bytesMax)) == [[]])
    }

    @Test(arguments: [2, 3, 20])
    func `an entry is cut when it is one byte too long`(count: Int) throws {
        let outcomes = (0..<count).map { Samples.outcome(UInt64($0)) }
        let whole = self.buffers(outcomes, bytesMax: .max)
        #expect(whole.count == 1)
        let size = whole.reduce(0) { $0 + $1.readableBytes }
        #expect(self.buffers(outcomes, bytesMax: size) == whole)
        #expect(
            try self.groups(self.buffers(outcomes, bytesMax: size - 1)) == [
                Array(outcomes.dropLast()), Array(outcomes.suffix(1)),
            ])
    }

    @Test func `a record of another version is refused by name`() {
        var writer = FieldWriter()
        writer.unsigned(1, UInt32(2))
        writer.unsigned(2, UInt32(1))
        let bytes = writer.finish()
        #expect(throws: WireError.self) { try JournalCodec.decode(bytes) }
        #expect(throws: WireError.self) { try JournalCodec.decode(ByteBuffer()) }
    }

    @Test func `fields of a later build are passed over`() throws {
        let record = self.record(.entry(self.states, [Samples.outcome()]))
        var writer = FieldWriter()
        writer.text(9000, "later")
        var bytes = JournalCodec.encode(record)
        bytes.writeImmutableBuffer(writer.finish())
        #expect(try JournalCodec.decode(bytes) == record)
    }

    @Test(arguments: 0..<20)
    func `any bytes give a record or an error`(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let sound = Array(
            JournalCodec.encode(self.record(.entry(self.states, [Samples.outcome(), Samples.outcome(2)])))
                .readableBytesView)
        var decoded = 0
        for _ in 0..<500 {
            var bytes = sound
            switch Int.random(in: 0..<3, using: &random) {
            case 0: bytes.removeLast(Int.random(in: 1...bytes.count, using: &random))
            case 1: bytes = (0..<64).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            default: break
            }
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            if (try? JournalCodec.decode(ByteBuffer(bytes: bytes))) != nil { decoded += 1 }
        }
        #expect(decoded < 500, "damage was never noticed")
    }
}
