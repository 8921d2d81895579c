import EscapementModel
import NIOCore
import TestSupport
import Testing
import WireProtocol

@Suite struct FieldsTests {
    private func bytes(_ write: (inout FieldWriter) -> Void) -> [UInt8] {
        var writer = FieldWriter()
        write(&writer)
        return Array(writer.finish().readableBytesView)
    }

    private func field(_ bytes: [UInt8]) throws -> FieldReader.Field {
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        return try #require(try reader.next())
    }

    private func readError(_ bytes: [UInt8]) -> WireError? {
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        do throws(WireError) {
            while try reader.next() != nil {}
            return nil
        } catch {
            return error
        }
    }

    /// The first three are the examples of the Protocol Buffers encoding page.
    @Test func `fields have their golden bytes`() {
        #expect(self.bytes { $0.unsigned(1, UInt64(150)) } == [0x08, 0x96, 0x01])
        #expect(self.bytes { $0.text(2, "testing") } == [0x12, 0x07] + Array("testing".utf8))
        #expect(self.bytes { $0.nested(3) { $0.unsigned(1, UInt64(150)) } } == [0x1a, 0x03, 0x08, 0x96, 0x01])
        #expect(self.bytes { $0.flag(4, true) } == [0x20, 1])
        #expect(self.bytes { $0.signed(5, -1) } == [0x28, 1])
        #expect(self.bytes { $0.signed(5, 1) } == [0x28, 2])
        #expect(self.bytes { $0.signed(5, .min) } == [0x28] + [UInt8](repeating: 0xff, count: 9) + [1])
        #expect(self.bytes { $0.instant(6, WallInstant(milliseconds: 0)) } == [0x30, 0])
        #expect(self.bytes { $0.instant(6, nil) } == [])
        #expect(self.bytes { $0.bytes(7, ByteBuffer(bytes: [1, 2])) } == [0x3a, 2, 1, 2])
        #expect(
            self.bytes { $0.uid(8, UID(high: 0x0102_0304_0506_0708, low: 0x090a_0b0c_0d0e_0f10)) }
                == [0x42, 16] + Array(1...16))
        #expect(self.bytes { $0.unsigned(16, UInt64(1)) } == [0x80, 0x01, 1], "numbers from 16 take two bytes")
    }

    @Test(arguments: [0, 1, 7, 256, 40_000])
    func `a writer gives the same whatever room it begins with`(capacity: Int) throws {
        // Around the sizes at which a length takes one byte more.
        let sizes = [0, 1, 120, 127, 128, 130, 16_383, 16_384, 20_000]
        var writer = FieldWriter(capacity: capacity)
        for size in sizes {
            let text = String(repeating: "x", count: size)
            writer.nested(1) { outer in
                outer.nested(2) { $0.element(3, text) }
                outer.encoded(ByteBuffer(bytes: self.bytes { $0.unsigned(4, UInt64(size) + 1) }))
            }
        }
        writer.encoded(ByteBuffer())
        let count = writer.count
        let written = writer.finish()
        #expect(written.readableBytes == count)
        var reader = FieldReader(written)
        for size in sizes {
            var outer = try #require(try reader.next()).nested("outer")
            var inner = try #require(try outer.next()).nested("inner")
            #expect(try #require(try inner.next()).text("text", max: size).utf8.count == size)
            #expect(try inner.next() == nil)
            #expect(try #require(try outer.next()).unsigned("size", as: UInt64.self) == UInt64(size) + 1)
            #expect(try outer.next() == nil)
        }
        #expect(try reader.next() == nil)
    }

    @Test(arguments: [0, 1, 100, 127, 128, 300, 16_383, 16_384, 1 << 40])
    func `a nested message has the shortest length, whatever was expected of it`(expected: Int) {
        for size in [0, 1, 60, 124, 125, 126, 127, 128, 16_379, 16_380, 16_381, 20_000] {
            let text = String(repeating: "x", count: size)
            let written = self.bytes { writer in
                writer.flag(1, true)
                writer.nested(2, about: expected) { $0.element(3, text) }
                writer.flag(4, true)
            }
            #expect(
                written
                    == self.bytes { writer in
                        writer.flag(1, true)
                        writer.bytes(2, ByteBuffer(bytes: self.bytes { $0.element(3, text) }))
                        writer.flag(4, true)
                    })
        }
    }

    @Test func `a field is read in the place of the one before`() throws {
        let bytes = self.bytes {
            $0.unsigned(1, UInt64(150))
            $0.text(2, "testing")
            $0.flag(3, true)
        }
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        var field = reader.blank
        #expect(try reader.next(&field))
        #expect(try field.number == 1 && field.varint("first") == 150)
        #expect(try reader.next(&field))
        #expect(try field.number == 2 && field.text("second", max: 7) == "testing")
        #expect(throws: WireError.self) { try field.varint("second") }
        #expect(try reader.next(&field))
        #expect(try field.number == 3 && field.flag("third"))
        #expect(try !reader.next(&field))
    }

    @Test func `preparations have their golden bytes`() throws {
        let prepare = ShardPrepare(
            leaderEpoch: Epoch(4), shard: ShardID(3), epoch: Epoch(7),
            settledThrough: WallInstant(milliseconds: 1000), revision: Revision(9))
        let bytes = self.bytes { prepare.encode(into: &$0) }
        #expect(bytes == [0x08, 4, 0x10, 3, 0x18, 7, 0x28, 0xd0, 0x0f, 0x30, 9])
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        let read = try ShardPrepare(from: &reader)
        #expect(read.settledThrough == prepare.settledThrough && read.revision == prepare.revision)
        #expect(read.shard == prepare.shard && read.epoch == prepare.epoch && read.leaderEpoch == prepare.leaderEpoch)
        let prepared = ShardPrepared(leaderEpoch: Epoch(4), shard: ShardID(3), epoch: Epoch(7))
        #expect(self.bytes { prepared.encode(into: &$0) } == [0x08, 4, 0x10, 3, 0x18, 7])
    }

    @Test func `what version 3 brought has its golden bytes`() throws {
        let unreachable = LanesUnreachable(
            leaderEpoch: Epoch(4), owners: [Incarnation(UID(high: 0, low: 1)), Incarnation(UID(high: 0, low: 2))])
        let bytes = self.bytes { unreachable.encode(into: &$0) }
        let zeros = [UInt8](repeating: 0, count: 15)
        #expect(bytes == [0x08, 4, 0x12, 16] + zeros + [1, 0x12, 16] + zeros + [2])
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        #expect(try LanesUnreachable(from: &reader) == unreachable)
        #expect(self.bytes { LanesUnreachable(leaderEpoch: Epoch(4), owners: []).encode(into: &$0) } == [0x08, 4])
        #expect(self.bytes { ContentsAck(bytes: 300).encode(into: &$0) } == [0x08, 0xac, 0x02])
        reader = FieldReader(ByteBuffer(bytes: [0x08, 0xac, 0x02]))
        #expect(try ContentsAck(from: &reader).bytes == 300)
        #expect(self.bytes { Probe().encode(into: &$0) } == [] && self.bytes { ProbeAck().encode(into: &$0) } == [])
    }

    @Test func `neighbours of an occurrence have their golden bytes, and only patterns name them`() throws {
        var occurrence = FireOccurrence(
            kind: .cron, uid: UID(high: 0, low: 1), generation: 0, scheduled: WallInstant(milliseconds: 0),
            due: WallInstant(milliseconds: 0), outcome: .dispatched, reason: .dispatched, template: ByteBuffer())
        let batch = { (occurrence: FireOccurrence) in
            FireBatch(shard: ShardID(0), epoch: Epoch(1), from: .start, to: .start, occurrences: [occurrence])
        }
        let without = self.bytes { batch(occurrence).encode(into: &$0) }
        occurrence.neighbours = OccurrenceNeighbours(
            previous: WallInstant(milliseconds: -1), next: WallInstant(milliseconds: 0))
        let bytes = self.bytes { batch(occurrence).encode(into: &$0) }
        #expect(bytes.count == without.count + 6)
        #expect(bytes.suffix(6) == [0x62, 4, 0x08, 1, 0x10, 0])
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        #expect(try FireBatch(from: &reader).occurrences == [occurrence])

        var template = FireTemplate(origin: .schedule, namespace: "guest", name: "a")
        template.headers = [.init(name: "x-since", value: "{{previousAt}}")]
        #expect(!FireTemplate.namesNeighbours(template.encoded()))
        template.isPattern = true
        #expect(FireTemplate.namesNeighbours(template.encoded()))
        template.headers = [.init(name: "x-at", value: "{{scheduledAt}}")]
        #expect(!FireTemplate.namesNeighbours(template.encoded()))
    }

    @Test func `a shard's load has its golden bytes`() throws {
        let measured = Heartbeat(
            clock: WallInstant(milliseconds: 0),
            holdings: [
                Heartbeat.Holding(
                    number: 3, epoch: Epoch(7), load: Heartbeat.Load(millifiresPerSecond: 1500, resident: 2)),
                // Measured, and nothing at all: not the same as not measured.
                Heartbeat.Holding(
                    number: 4, epoch: Epoch(7), load: Heartbeat.Load(millifiresPerSecond: 0, resident: 0)),
                Heartbeat.Holding(number: 5, epoch: Epoch(7)),
            ])
        let bytes = self.bytes { measured.encode(into: &$0) }
        #expect(
            bytes == [0x08, 0, 0x12, 11, 0x08, 3, 0x10, 7, 0x2a, 5, 0x08, 0xdc, 0x0b, 0x10, 2]
                + [0x12, 6, 0x08, 4, 0x10, 7, 0x2a, 0, 0x12, 4, 0x08, 5, 0x10, 7])
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        #expect(try Heartbeat(from: &reader).holdings == measured.holdings)
    }

    @Test func `a lane in trouble has its golden bytes`() throws {
        let troubled = Heartbeat(
            clock: WallInstant(milliseconds: 0),
            holdings: [Heartbeat.Holding(number: 3, epoch: Epoch(7), isTroubled: true)])
        let bytes = self.bytes { troubled.encode(into: &$0) }
        #expect(bytes == [0x08, 0, 0x12, 6, 0x08, 3, 0x10, 7, 0x30, 1])
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        #expect(try Heartbeat(from: &reader).holdings == troubled.holdings)
    }

    @Test func `default values are not written, but elements are`() {
        #expect(self.bytes { $0.unsigned(1, UInt64(0)) } == [])
        #expect(self.bytes { $0.flag(1, false) } == [])
        #expect(self.bytes { $0.signed(1, 0) } == [])
        #expect(self.bytes { $0.text(1, "") } == [])
        #expect(self.bytes { $0.bytes(1, ByteBuffer()) } == [])
        #expect(self.bytes { $0.uid(1, .zero) } == [])
        #expect(self.bytes { $0.element(1, "") } == [0x0a, 0])
        #expect(self.bytes { $0.nested(1) { _ in } } == [0x0a, 0])
    }

    @Test(arguments: [0, 1, 127, 128, 16_383, 16_384, 1 << 32, UInt64.max >> 1, .max])
    func `unsigned numbers survive`(number: UInt64) throws {
        let field = try self.field(self.bytes { $0.unsigned(1, number == 0 ? 1 : number) })
        #expect(try field.unsigned("f", as: UInt64.self) == max(number, 1))
    }

    @Test(arguments: [1, -1, 63, 64, -64, -65, .max, .min] as [Int64])
    func `signed numbers and instants survive`(number: Int64) throws {
        #expect(try self.field(self.bytes { $0.signed(1, number) }).signed("f") == number)
        let instant = WallInstant(milliseconds: number)
        #expect(try self.field(self.bytes { $0.instant(1, instant) }).instant("f") == instant)
    }

    @Test func `a number that does not fit is refused`() throws {
        let field = try self.field(self.bytes { $0.unsigned(1, UInt64(256)) })
        #expect(throws: WireError(.badValue, field: "f")) { try field.unsigned("f", as: UInt8.self) }
        #expect(try field.unsigned("f", as: UInt16.self) == 256)
    }

    @Test func `a value of another type is refused`() throws {
        let number = try self.field(self.bytes { $0.unsigned(1, UInt64(1)) })
        #expect(throws: WireError(.wrongType, field: "f")) { try number.text("f", max: 10) }
        let text = try self.field(self.bytes { $0.text(1, "x") })
        #expect(throws: WireError(.wrongType, field: "f")) { try text.signed("f") }
        let fixed = try self.field([0x09, 1, 2, 3, 4, 5, 6, 7, 8])
        #expect(throws: WireError(.wrongType, field: "f")) { try fixed.unsigned("f", as: UInt64.self) }
        #expect(throws: WireError(.wrongType, field: "f")) { try fixed.bytes("f", max: 10) }
    }

    @Test func `lengths, texts and identifiers are checked`() throws {
        let text = try self.field(self.bytes { $0.text(1, "four") })
        #expect(try text.text("f", max: 4) == "four")
        #expect(throws: WireError(.tooLong, field: "f")) { try text.text("f", max: 3) }
        #expect(throws: WireError(.badValue, field: "f")) { try text.uid("f") }
        let broken = try self.field([0x0a, 2, 0xc3, 0x28])
        #expect(throws: WireError(.badValue, field: "f")) { try broken.text("f", max: 4) }
    }

    @Test func `unknown fields of every type are skipped`() throws {
        let bytes =
            self.bytes { $0.unsigned(900, UInt64(5)) } + [0x91, 0x38, 1, 2, 3, 4, 5, 6, 7, 8]
            + self.bytes { $0.text(901, "later") } + self.bytes { $0.unsigned(1, UInt64(7)) }
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        var last: FieldReader.Field?
        while let field = try reader.next() { last = field }
        #expect(last?.number == 1)
        #expect(try last?.unsigned("f", as: UInt64.self) == 7)
    }

    @Test func `what is cut off or impossible is refused`() {
        #expect(self.readError([0x08]) == WireError(.truncated, field: "varint"))
        #expect(self.readError([0x08, 0x80]) == WireError(.truncated, field: "varint"))
        #expect(self.readError([0x09, 1, 2, 3]) == WireError(.truncated, field: "field 1"))
        #expect(self.readError([0x0a, 5, 1]) == WireError(.truncated, field: "field 1"))
        #expect(
            self.readError([0x0a] + [UInt8](repeating: 0xff, count: 9) + [1]) == WireError(.truncated, field: "field 1")
        )
        #expect(self.readError([0x00, 0]) == WireError(.badValue, field: "tag"), "field number zero")
        #expect(self.readError([0x0b]) == WireError(.wrongType, field: "tag"), "groups do not exist")
        #expect(self.readError([0x0d, 0, 0, 0, 0]) == WireError(.wrongType, field: "tag"), "nor do 32 bits")
        #expect(
            self.readError([UInt8](repeating: 0x80, count: 11)) == WireError(.badValue, field: "varint"))
        #expect(
            self.readError([0x08] + [UInt8](repeating: 0xff, count: 9) + [2]) == WireError(.badValue, field: "varint"))
        #expect(self.readError([0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 0]) == WireError(.badValue, field: "tag"))
    }

    @Test func `nesting has a bound`() throws {
        var bytes: [UInt8] = []
        for _ in 0..<20 { bytes = [0x0a, UInt8(bytes.count)] + bytes }
        var reader = FieldReader(ByteBuffer(bytes: bytes))
        var depth = 0
        while let field = try reader.next() {
            do throws(WireError) {
                reader = try field.nested("f")
            } catch {
                #expect(error == WireError(.tooDeep, field: "f"))
                break
            }
            depth += 1
        }
        #expect(depth == 8)
    }

    /// Seeds 0 to 1999: valid fields with some bytes changed, so that the fuzz reaches deep.
    @Test func `damaged fields give fields or errors and never a trap`() {
        var fieldCount = 0
        for seed in 0..<2000 {
            var random = SeededRandom(seed: UInt64(seed))
            var bytes = self.bytes { writer in
                for _ in 0..<8 { Self.writeRandomField(to: &writer, depth: 0, &random) }
            }
            for _ in 0..<Int.random(in: 0...4, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                bytes[index] = UInt8.random(in: .min ... .max, using: &random)
            }
            fieldCount += FieldProbe.exhaust(FieldReader(ByteBuffer(bytes: bytes)))
        }
        #expect(fieldCount > 2000, "the fuzz reached fields")
    }

    private static func writeRandomField(to writer: inout FieldWriter, depth: Int, _ random: inout SeededRandom) {
        let number = UInt32.random(in: 1...40, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: writer.unsigned(number, UInt64.random(in: .min ... .max, using: &random))
        case 1: writer.signed(number, Int64.random(in: .min ... .max, using: &random))
        case 2: writer.text(number, String(repeating: "é", count: Int.random(in: 0...20, using: &random)))
        case 3: writer.uid(number, UID(high: random.next(), low: random.next()))
        case 4: writer.instant(number, WallInstant(milliseconds: Int64.random(in: .min ... .max, using: &random)))
        default:
            var inner = random
            if depth < 10 {
                writer.nested(number) { Self.writeRandomField(to: &$0, depth: depth + 1, &inner) }
            }
            random = inner
        }
    }
}
