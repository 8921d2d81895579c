package import EscapementModel
package import NIOCore

/// Writes tagged fields: a varint `number << 3 | type`, then the value.
///
/// Types: 0 varint · 1 fixed 64 bits, little-endian · 2 length-delimited. This is the encoding of
/// Protocol Buffers, so captures can be read with common tools and a reader skips what it does not
/// know. A field with its default value (zero, empty) is not written.
package struct FieldWriter: Sendable {
    package private(set) var buffer: ByteBuffer

    package init(capacity: Int = 256) { self.buffer = ByteBuffer(); self.buffer.reserveCapacity(capacity) }

    package mutating func unsigned(_ number: UInt32, _ value: UInt64) {
        guard value != 0 else { return }
        self.tag(number, .varint)
        self.varint(value)
    }

    package mutating func unsigned(_ number: UInt32, _ value: some FixedWidthInteger & UnsignedInteger) {
        self.unsigned(number, UInt64(value))
    }

    package mutating func flag(_ number: UInt32, _ value: Bool) { self.unsigned(number, UInt64(value ? 1 : 0)) }

    /// A signed number in zigzag form, so that small negative ones stay short.
    package mutating func signed(_ number: UInt32, _ value: Int64) {
        self.unsigned(number, UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    package mutating func instant(_ number: UInt32, _ value: WallInstant?) {
        guard let value else { return }
        // Absence means "no instant", so the zero instant is written too.
        self.tag(number, .varint)
        self.varint(UInt64(bitPattern: (value.milliseconds << 1) ^ (value.milliseconds >> 63)))
    }

    package mutating func text(_ number: UInt32, _ value: String) {
        guard !value.isEmpty else { return }
        self.element(number, value)
    }

    /// An element of a repeated field: written even when empty.
    package mutating func element(_ number: UInt32, _ value: String) {
        self.tag(number, .delimited)
        self.varint(UInt64(value.utf8.count))
        self.buffer.writeString(value)
    }

    package mutating func bytes(_ number: UInt32, _ value: ByteBuffer) {
        guard value.readableBytes > 0 else { return }
        self.tag(number, .delimited)
        self.varint(UInt64(value.readableBytes))
        self.buffer.writeImmutableBuffer(value)
    }

    /// 16 bytes, high half first; a zero uid is not written.
    package mutating func uid(_ number: UInt32, _ value: UID) {
        guard value != .zero else { return }
        self.tag(number, .delimited)
        self.varint(16)
        self.buffer.writeInteger(value.high)
        self.buffer.writeInteger(value.low)
    }

    /// A nested message; written even when all its fields have default values.
    package mutating func nested(_ number: UInt32, _ write: (inout FieldWriter) -> Void) {
        self.tag(number, .delimited)
        // Written in place and moved behind its length, which is short: no buffer for each message.
        let start = self.buffer.readableBytes
        write(&self)
        let count = self.buffer.readableBytes - start
        let size = max(1, (UInt64.bitWidth - UInt64(count).leadingZeroBitCount + 6) / 7)
        self.buffer.writeRepeatingByte(0, count: size)
        self.buffer.withUnsafeMutableReadableBytes { bytes in
            let all = UnsafeMutableRawBufferPointer(rebasing: bytes[start...])
            UnsafeMutableRawBufferPointer(rebasing: all[size...])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: all[..<count]))
            var rest = UInt64(count)
            for index in 0..<size {
                all[index] = UInt8(truncatingIfNeeded: rest & 0x7f) | (index < size - 1 ? 0x80 : 0)
                rest >>= 7
            }
        }
    }

    /// Fields that are already encoded.
    package mutating func encoded(_ fields: ByteBuffer) { self.buffer.writeImmutableBuffer(fields) }

    private mutating func tag(_ number: UInt32, _ type: FieldType) {
        self.varint(UInt64(number) << 3 | UInt64(type.rawValue))
    }

    private mutating func varint(_ value: UInt64) {
        if value < 0x80 {
            self.buffer.writeInteger(UInt8(value))
            return
        }
        // All bytes at once: the buffer looks whether it is alone and large enough at each write.
        self.buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 10) { bytes in
            var rest = value
            var count = 0
            while rest >= 0x80 {
                bytes[count] = UInt8(truncatingIfNeeded: rest) | 0x80
                rest >>= 7
                count += 1
            }
            bytes[count] = UInt8(rest)
            return count + 1
        }
    }
}

enum FieldType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case delimited = 2
}

/// Reads tagged fields, in any order, skipping unknown ones. Total: any bytes give fields or a
/// `WireError`, never a trap; nothing is allocated for a length before it is known to be there.
package struct FieldReader: Sendable {
    private var buffer: ByteBuffer
    private let depth: Int

    package init(_ buffer: ByteBuffer) { self.init(buffer, depth: 0) }

    private init(_ buffer: ByteBuffer, depth: Int) {
        self.buffer = buffer
        self.depth = depth
    }

    /// One field with its value still encoded.
    package struct Field: Sendable {
        package let number: UInt32
        let value: Value
        let depth: Int

        enum Value {
            case varint(UInt64)
            case fixed64(UInt64)
            case delimited(ByteBuffer)
        }

        package func unsigned<Number: FixedWidthInteger & UnsignedInteger>(
            _ name: StaticString, as type: Number.Type = Number.self
        ) throws(WireError) -> Number {
            guard case .varint(let value) = self.value else { throw WireError(.wrongType, field: "\(name)") }
            guard let number = Number(exactly: value) else { throw WireError(.badValue, field: "\(name)") }
            return number
        }

        package func flag(_ name: StaticString) throws(WireError) -> Bool {
            try self.unsigned(name, as: UInt64.self) != 0
        }

        package func signed(_ name: StaticString) throws(WireError) -> Int64 {
            let value = try self.unsigned(name, as: UInt64.self)
            return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
        }

        package func instant(_ name: StaticString) throws(WireError) -> WallInstant {
            WallInstant(milliseconds: try self.signed(name))
        }

        package func text(_ name: StaticString, max: Int) throws(WireError) -> String {
            let bytes = try self.bytes(name, max: max)
            guard let text = String(validating: bytes.readableBytesView, as: UTF8.self) else {
                throw WireError(.badValue, field: "\(name)")
            }
            return text
        }

        package func bytes(_ name: StaticString, max: Int) throws(WireError) -> ByteBuffer {
            guard case .delimited(let bytes) = self.value else { throw WireError(.wrongType, field: "\(name)") }
            guard bytes.readableBytes <= max else { throw WireError(.tooLong, field: "\(name)") }
            return bytes
        }

        package func uid(_ name: StaticString) throws(WireError) -> UID {
            var bytes = try self.bytes(name, max: 16)
            guard let high = bytes.readInteger(as: UInt64.self), let low = bytes.readInteger(as: UInt64.self) else {
                throw WireError(.badValue, field: "\(name)")
            }
            return UID(high: high, low: low)
        }

        /// A reader of the nested message.
        package func nested(_ name: StaticString) throws(WireError) -> FieldReader {
            guard self.depth < 8 else { throw WireError(.tooDeep, field: "\(name)") }
            return FieldReader(try self.bytes(name, max: Frame.payloadMax), depth: self.depth + 1)
        }
    }

    /// The next field, `nil` at the end.
    package mutating func next() throws(WireError) -> Field? {
        if self.buffer.readableBytes == 0 { return nil }
        let tag = try self.varint()
        guard let number = UInt32(exactly: tag >> 3), number > 0 else { throw WireError(.badValue, field: "tag") }
        guard let type = FieldType(rawValue: UInt8(tag & 7)) else { throw WireError(.wrongType, field: "tag") }
        switch type {
        case .varint:
            return Field(number: number, value: .varint(try self.varint()), depth: self.depth)
        case .fixed64:
            guard let value = self.buffer.readInteger(endianness: .little, as: UInt64.self) else {
                throw WireError(.truncated, field: "field \(number)")
            }
            return Field(number: number, value: .fixed64(value), depth: self.depth)
        case .delimited:
            let length = try self.varint()
            guard length <= UInt64(self.buffer.readableBytes), let slice = self.buffer.readSlice(length: Int(length))
            else { throw WireError(.truncated, field: "field \(number)") }
            return Field(number: number, value: .delimited(slice), depth: self.depth)
        }
    }

    private mutating func varint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard let byte = self.buffer.readInteger(as: UInt8.self) else {
                throw WireError(.truncated, field: "varint")
            }
            if shift == 63, byte > 1 { throw WireError(.badValue, field: "varint") }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
            if shift > 63 { throw WireError(.badValue, field: "varint") }
        }
    }
}

/// A message between processes. Encoding and decoding are each other's inverse.
package protocol WireMessage: Equatable, Sendable {
    static var kind: MessageKind { get }
    func encode(into writer: inout FieldWriter)
    /// - Throws: `WireError` naming the field.
    init(from reader: inout FieldReader) throws(WireError)
    /// About how many bytes `encode` writes, so that long messages are written without growing step by step.
    var sizeEstimate: Int { get }
}

extension WireMessage {
    package var sizeEstimate: Int { 256 }
}
