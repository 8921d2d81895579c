package import EscapementModel
package import NIOCore

/// Writes tagged fields: a varint `number << 3 | type`, then the value.
///
/// Types: 0 varint · 1 fixed 64 bits, little-endian · 2 length-delimited. This is the encoding of
/// Protocol Buffers, so captures can be read with common tools and a reader skips what it does not
/// know. A field with its default value (zero, empty) is not written.
///
/// Writes memory and not the buffer, which looks whether it is alone, and whether somebody else changes it, at each
/// write.
package struct FieldWriter: ~Copyable {
    /// Owns the memory. Nothing is readable in it until `finish`.
    private var buffer = ByteBuffer()
    /// All of `buffer`; it stays where it is until `grow`.
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// Bytes written.
    package private(set) var count = 0

    package init(capacity: Int = 256) { self.grow(to: max(capacity, 1)) }

    /// What was written.
    package consuming func finish() -> ByteBuffer {
        self.buffer.moveWriterIndex(to: self.count)
        return self.buffer
    }

    package mutating func unsigned(_ number: UInt32, _ value: UInt64) {
        guard value != 0 else { return }
        self.write(number, value)
    }

    // One for each width instead of a generic one, which other modules would call without knowing its type.

    package mutating func unsigned(_ number: UInt32, _ value: UInt32) { self.unsigned(number, UInt64(value)) }
    package mutating func unsigned(_ number: UInt32, _ value: UInt16) { self.unsigned(number, UInt64(value)) }
    package mutating func unsigned(_ number: UInt32, _ value: UInt8) { self.unsigned(number, UInt64(value)) }

    package mutating func flag(_ number: UInt32, _ value: Bool) { self.unsigned(number, UInt64(value ? 1 : 0)) }

    /// A signed number in zigzag form, so that small negative ones stay short.
    package mutating func signed(_ number: UInt32, _ value: Int64) {
        self.unsigned(number, UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    package mutating func instant(_ number: UInt32, _ value: WallInstant?) {
        guard let value else { return }
        // Absence means "no instant", so the zero instant is written too.
        self.write(number, UInt64(bitPattern: (value.milliseconds << 1) ^ (value.milliseconds >> 63)))
    }

    package mutating func text(_ number: UInt32, _ value: String) {
        guard !value.isEmpty else { return }
        self.element(number, value)
    }

    package mutating func text(_ number: UInt32, _ value: EncodedText) {
        if !value.isEmpty { self.delimited(number, value.unsafeBytes) }
    }

    /// An element of a repeated field: written even when empty.
    package mutating func element(_ number: UInt32, _ value: String) {
        var value = value
        value.withUTF8 { self.delimited(number, UnsafeRawBufferPointer($0)) }
    }

    package mutating func bytes(_ number: UInt32, _ value: ByteBuffer) {
        guard value.readableBytes > 0 else { return }
        value.withUnsafeReadableBytes { self.delimited(number, $0) }
    }

    /// 16 bytes, high half first; a zero uid is not written.
    package mutating func uid(_ number: UInt32, _ value: UID) {
        // Not by `==`, which other modules call without knowing the type.
        guard value.high | value.low != 0 else { return }
        let halves = (value.high.bigEndian, value.low.bigEndian)
        withUnsafeBytes(of: halves) { self.delimited(number, $0) }
    }

    /// 32 bytes.
    package mutating func digest(_ number: UInt32, _ value: SHA256Digest) {
        let halves = (
            value.high.high.bigEndian, value.high.low.bigEndian, value.low.high.bigEndian, value.low.low.bigEndian
        )
        withUnsafeBytes(of: halves) { self.delimited(number, $0) }
    }

    /// A nested message; written even when all its fields have default values.
    ///
    /// - Parameter size: about how many bytes it takes; where that is wrong it is moved.
    package mutating func nested(_ number: UInt32, about size: Int = 0, _ write: (inout FieldWriter) -> Void) {
        let expected = Self.varintSize(UInt64(size))
        self.reserve(2 * Self.varintMax)
        self.tag(number, .delimited)
        // Written in place, behind room for its length: no buffer for each message.
        let lengthStart = self.count
        self.count += expected
        let start = self.count
        write(&self)
        let count = self.count - start
        let actual = Self.varintSize(UInt64(count))
        if actual != expected {
            self.reserve(actual)
            let message = self.memory.baseAddress.unsafelyUnwrapped + lengthStart
            (message + actual).copyMemory(from: message + expected, byteCount: count)
        }
        self.count = lengthStart
        self.varint(UInt64(count))
        self.count += count
    }

    private static func varintSize(_ value: UInt64) -> Int {
        max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7)
    }

    /// Fields that are already encoded.
    package mutating func encoded(_ fields: ByteBuffer) { fields.withUnsafeReadableBytes { self.encoded($0) } }

    /// Likewise, as they lie in memory.
    package mutating func encoded(_ fields: UnsafeRawBufferPointer) {
        self.reserve(fields.count)
        self.copy(fields)
    }

    /// A nested message whose fields are already encoded.
    mutating func encoded(_ number: UInt32, _ message: UnsafeRawBufferPointer) { self.delimited(number, message) }

    private mutating func write(_ number: UInt32, _ value: UInt64) {
        self.reserve(2 * Self.varintMax)
        self.tag(number, .varint)
        self.varint(value)
    }

    private mutating func delimited(_ number: UInt32, _ content: UnsafeRawBufferPointer) {
        self.reserve(2 * Self.varintMax + content.count)
        self.tag(number, .delimited)
        self.varint(UInt64(content.count))
        self.copy(content)
    }

    // Into memory that has been reserved.

    /// Bytes of a varint, at most.
    private static let varintMax = 10

    @inline(__always)
    private mutating func tag(_ number: UInt32, _ type: FieldType) {
        self.varint(UInt64(number) << 3 | UInt64(type.rawValue))
    }

    @inline(__always)
    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            self.memory[self.count] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
            self.count += 1
        }
        self.memory[self.count] = UInt8(truncatingIfNeeded: rest)
        self.count += 1
    }

    private mutating func copy(_ content: UnsafeRawBufferPointer) {
        guard let source = content.baseAddress, content.count > 0 else { return }
        (self.memory.baseAddress.unsafelyUnwrapped + self.count).copyMemory(from: source, byteCount: content.count)
        self.count += content.count
    }

    @inline(__always)
    private mutating func reserve(_ count: Int) {
        if self.memory.count - self.count >= count { return }
        self.grow(to: max(self.count + count, min(2 * self.memory.count, Int(UInt32.max))))
    }

    @inline(never)
    private mutating func grow(to capacity: Int) {
        // As readable as it is written, for the buffer to keep it.
        self.buffer.moveWriterIndex(to: self.count)
        self.buffer.reserveCapacity(capacity)
        self.buffer.moveWriterIndex(to: 0)
        self.memory = self.buffer.withUnsafeMutableWritableBytes { $0 }
    }
}

enum FieldType: UInt8 {
    case varint = 0
    case fixed64 = 1
    case delimited = 2
}

/// Reads tagged fields, in any order, skipping unknown ones. Total: any bytes give fields or a
/// `WireError`, never a trap; nothing is allocated for a length before it is known to be there.
///
/// Reads memory and not the buffer, which looks at its bounds, and whether somebody else changes it, at each read.
package struct FieldReader {
    /// Keeps `bytes` where they are, and as they are: a buffer that is not alone is never changed in place. `nil` when
    /// whoever reads keeps them.
    let buffer: ByteBuffer?
    /// What is readable of `buffer`, or was given.
    private let bytes: UnsafeRawBufferPointer
    /// Where the next field begins.
    private(set) var position: Int
    private let end: Int
    private let depth: Int

    package init(_ buffer: ByteBuffer) {
        let bytes = buffer.withUnsafeReadableBytesWithStorageManagement { bytes, _ in bytes }
        self.init(buffer, bytes, 0..<bytes.count, depth: 0)
    }

    /// Only those fields that lie in `range` of memory that the caller keeps: nothing is counted.
    ///
    /// - Precondition: no field is asked for its `bytes`, which nobody here keeps.
    init(keptElsewhere bytes: UnsafeRawBufferPointer, _ range: Range<Int>) {
        precondition(range.upperBound <= bytes.count, "fields outside of their message")
        self.init(nil, bytes, range, depth: 0)
    }

    /// Bytes that have not been read.
    var remaining: Int { self.end - self.position }

    private init(_ buffer: ByteBuffer?, _ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, depth: Int) {
        self.buffer = buffer
        self.bytes = bytes
        self.position = range.lowerBound
        self.end = range.upperBound
        self.depth = depth
    }

    /// One field with its value still encoded.
    package struct Field {
        package fileprivate(set) var number: UInt32
        fileprivate(set) var value: Value
        let depth: Int
        fileprivate let buffer: ByteBuffer?
        fileprivate let memory: UnsafeRawBufferPointer

        enum Value {
            case varint(UInt64)
            case fixed64(UInt64)
            case delimited(Range<Int>)
        }

        /// In its caller, as the width of `Number` is known there.
        @inlinable
        package func unsigned<Number: FixedWidthInteger & UnsignedInteger>(
            _ name: StaticString, as type: Number.Type = Number.self
        ) throws(WireError) -> Number {
            guard let number = Number(exactly: try self.varint(name)) else {
                throw Self.badValue(name)
            }
            return number
        }

        package static func badValue(_ name: StaticString) -> WireError { WireError(.badValue, field: "\(name)") }

        package func varint(_ name: StaticString) throws(WireError) -> UInt64 {
            guard case .varint(let value) = self.value else { throw WireError(.wrongType, field: "\(name)") }
            return value
        }

        package func flag(_ name: StaticString) throws(WireError) -> Bool {
            try self.varint(name) != 0
        }

        package func signed(_ name: StaticString) throws(WireError) -> Int64 {
            let value = try self.varint(name)
            return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
        }

        package func instant(_ name: StaticString) throws(WireError) -> WallInstant {
            WallInstant(milliseconds: try self.signed(name))
        }

        package func text(_ name: StaticString, max: Int) throws(WireError) -> String {
            let bytes = try self.content(name, max: max).bindMemory(to: UInt8.self)
            // Not generic over the kind of sequence, unlike `String(validating:as:)`.
            guard let valid = try? UTF8Span(validating: bytes.span) else { throw Self.badValue(name) }
            return String(copying: valid)
        }

        /// A text where it lies. Valid as long as the message is kept.
        func encodedText(_ name: StaticString, max: Int) throws(WireError) -> EncodedText {
            guard let text = EncodedText(validating: try self.content(name, max: max)) else {
                throw Self.badValue(name)
            }
            return text
        }

        package func bytes(_ name: StaticString, max: Int) throws(WireError) -> ByteBuffer {
            guard let buffer else { preconditionFailure("a part of memory that its reader does not own") }
            return try self.bytes(name, max: max, of: buffer)
        }

        /// The same of a field that was read by `nestedUncounted`.
        ///
        /// - Parameter buffer: the outermost message.
        func bytes(_ name: StaticString, max: Int, of buffer: ByteBuffer) throws(WireError) -> ByteBuffer {
            let range = try self.range(name, max: max)
            guard let slice = buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count)
            else { throw Self.badValue(name) }
            return slice
        }

        package func uid(_ name: StaticString) throws(WireError) -> UID {
            let bytes = try self.content(name, max: 16)
            guard bytes.count == 16 else { throw Self.badValue(name) }
            return Self.uid(bytes, at: 0)
        }

        package func digest(_ name: StaticString) throws(WireError) -> SHA256Digest {
            let bytes = try self.content(name, max: 32)
            guard bytes.count == 32 else { throw Self.badValue(name) }
            return SHA256Digest(high: Self.uid(bytes, at: 0), low: Self.uid(bytes, at: 16))
        }

        private static func uid(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> UID {
            func half(_ offset: Int) -> UInt64 {
                UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            }
            return UID(high: half(offset), low: half(offset + 8))
        }

        /// A reader of the nested message.
        package func nested(_ name: StaticString) throws(WireError) -> FieldReader {
            guard self.depth < 8 else { throw WireError(.tooDeep, field: "\(name)") }
            return FieldReader(
                self.buffer, self.memory, try self.range(name, max: Frame.payloadMax), depth: self.depth + 1)
        }

        /// The same for a caller who keeps the outermost message: references to it are not counted.
        func nestedUncounted(_ name: StaticString) throws(WireError) -> FieldReader {
            guard self.depth < 8 else { throw WireError(.tooDeep, field: "\(name)") }
            return FieldReader(nil, self.memory, try self.range(name, max: Frame.payloadMax), depth: self.depth + 1)
        }

        /// Where the value lies among the bytes of the outermost message.
        func range(_ name: StaticString, max: Int) throws(WireError) -> Range<Int> {
            guard case .delimited(let range) = self.value else { throw WireError(.wrongType, field: "\(name)") }
            guard range.count <= max else { throw WireError(.tooLong, field: "\(name)") }
            return range
        }

        /// Valid as long as the message is kept.
        func content(_ name: StaticString, max: Int) throws(WireError) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: self.memory[try self.range(name, max: max)])
        }
    }

    /// A field of this message for `next(_:)`; it has no value.
    package var blank: Field {
        Field(number: 0, value: .varint(0), depth: self.depth, buffer: self.buffer, memory: self.bytes)
    }

    /// The next field, `nil` at the end.
    package mutating func next() throws(WireError) -> Field? {
        var field = self.blank
        return try self.next(&field) ? field : nil
    }

    /// The next field in the place of `field`: the bytes are kept once for all of them.
    ///
    /// - Precondition: `field` is one of this message, `blank` or an earlier one.
    /// - Returns: false at the end, and `field` stays what it was.
    package mutating func next(_ field: inout Field) throws(WireError) -> Bool { try self.advance(to: &field) }

    /// The same in its caller, for what is read for each fire.
    @inline(__always)
    mutating func advance(to field: inout Field) throws(WireError) -> Bool {
        precondition(
            field.memory.baseAddress == self.bytes.baseAddress && field.depth == self.depth,
            "a field of another message")
        if self.position == self.end { return false }
        let tag = try self.varint()
        guard let number = UInt32(exactly: tag >> 3), number > 0 else { throw WireError(.badValue, field: "tag") }
        guard let type = FieldType(rawValue: UInt8(tag & 7)) else { throw WireError(.wrongType, field: "tag") }
        switch type {
        case .varint:
            field.value = .varint(try self.varint())
        case .fixed64:
            guard self.end - self.position >= 8 else { throw Self.truncated(number) }
            field.value = .fixed64(
                UInt64(littleEndian: self.bytes.loadUnaligned(fromByteOffset: self.position, as: UInt64.self)))
            self.position += 8
        case .delimited:
            let length = try self.varint()
            guard length <= UInt64(self.end - self.position) else { throw Self.truncated(number) }
            field.value = .delimited(self.position..<self.position + Int(length))
            self.position += Int(length)
        }
        field.number = number
        return true
    }

    @inline(never)
    private static func truncated(_ number: UInt32) -> WireError { WireError(.truncated, field: "field \(number)") }

    @inline(__always)
    private mutating func varint() throws(WireError) -> UInt64 {
        // Most take one byte.
        if self.position < self.end, self.bytes[self.position] < 0x80 {
            self.position += 1
            return UInt64(self.bytes[self.position - 1])
        }
        return try self.longVarint()
    }

    private mutating func longVarint() throws(WireError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard self.position < self.end else { throw WireError(.truncated, field: "varint") }
            let byte = self.bytes[self.position]
            self.position += 1
            if shift == 63, byte > 1 { throw WireError(.badValue, field: "varint") }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
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
