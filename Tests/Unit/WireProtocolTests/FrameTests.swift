import EscapementModel
import NIOCore
import TestSupport
import Testing
import WireProtocol

@Suite struct FrameTests {
    private let example = Frame(
        kind: 0x0403, flags: .answer, correlation: 0x0102_0304, payload: ByteBuffer(bytes: [0xaa, 0xbb, 0xcc]))

    private let golden: [UInt8] = [
        0, 0, 0, 11,  // length: kind, flags, correlation and payload
        4, 3,  // kind
        0, 1,  // flags
        1, 2, 3, 4,  // correlation
        0xaa, 0xbb, 0xcc,
    ]

    private func read(_ bytes: [UInt8], payloadMax: Int = 16) throws(WireError) -> Frame? {
        var buffer = ByteBuffer(bytes: bytes)
        return try Frame.read(from: &buffer, payloadMax: payloadMax)
    }

    @Test func `a frame has its golden bytes`() throws {
        var buffer = ByteBuffer()
        self.example.write(to: &buffer)
        #expect(Array(buffer.readableBytesView) == self.golden)
        #expect(try self.read(self.golden) == self.example)
    }

    @Test func `a frame is read only once it is whole, and then exactly`() throws {
        for count in 0..<self.golden.count {
            var buffer = ByteBuffer(bytes: self.golden[..<count])
            #expect(try Frame.read(from: &buffer, payloadMax: 16) == nil)
            #expect(buffer.readableBytes == count, "nothing is taken from an incomplete frame")
        }
        var buffer = ByteBuffer(bytes: self.golden + self.golden + [0])
        #expect(try Frame.read(from: &buffer, payloadMax: 16) == self.example)
        #expect(try Frame.read(from: &buffer, payloadMax: 16) == self.example)
        #expect(try Frame.read(from: &buffer, payloadMax: 16) == nil)
        #expect(buffer.readableBytes == 1)
    }

    @Test func `an empty payload is a frame`() throws {
        #expect(try self.read([0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0]) == Frame(kind: 1, payload: ByteBuffer()))
    }

    @Test(arguments: 0..<8) func `a length below the header is refused`(length: UInt8) {
        #expect(throws: WireError(.frameTooShort, field: "length")) {
            try self.read([0, 0, 0, length] + [UInt8](repeating: 0, count: 20))
        }
    }

    @Test func `a length above the limit is refused before the payload has arrived`() throws {
        #expect(try self.read([0, 0, 0, 24]) == nil)
        #expect(throws: WireError(.frameTooLong, field: "length")) { try self.read([0, 0, 0, 25]) }
        #expect(throws: WireError(.frameTooLong, field: "length")) {
            try self.read([255, 255, 255, 255], payloadMax: Frame.payloadMax)
        }
    }

    @Test func `the frame of another kind is not decoded`() {
        let frame = Frame(kind: MessageKind.heartbeat.rawValue, payload: ByteBuffer())
        #expect(throws: WireError(.wrongKind, field: "kind")) { try frame.decode(Hello.self) }
    }

    /// Seeds 0 to 999: random bytes, cut into frames, each payload read by field.
    @Test func `random bytes give frames, fields or errors and never a trap`() {
        for seed in 0..<1000 {
            var random = SeededRandom(seed: UInt64(seed))
            let count = Int.random(in: 0...400, using: &random)
            var bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            // Small lengths now and then, or nearly every frame would be too long.
            if count >= 4, Bool.random(using: &random) { bytes.replaceSubrange(0..<3, with: [0, 0, 0]) }
            var buffer = ByteBuffer(bytes: bytes)
            do {
                while let frame = try Frame.read(from: &buffer, payloadMax: 200) {
                    #expect(frame.payload.readableBytes <= 200)
                    FieldProbe.exhaust(FieldReader(frame.payload))
                }
            } catch {
                #expect(error.code == .frameTooShort || error.code == .frameTooLong)
            }
            FieldProbe.exhaust(FieldReader(ByteBuffer(bytes: bytes)))
        }
    }

    /// Golden frames with one bit flipped at every place.
    @Test func `every flipped bit gives a frame, nothing or an error`() {
        for index in self.golden.indices {
            for bit in 0..<8 {
                var bytes = self.golden
                bytes[index] ^= 1 << UInt8(bit)
                let frame = try? self.read(bytes)
                #expect(frame != self.example)
            }
        }
    }
}
