import NIOCore

/// Writes the fields of an answer in order, in the spelling of the request's version.
struct FieldWriter {
    private(set) var buffer: ByteBuffer
    let isFlexible: Bool

    /// - Parameter reservation: bytes expected.
    init(isFlexible: Bool, reserving reservation: Int = 256) {
        self.buffer = ByteBufferAllocator().buffer(capacity: reservation)
        self.isFlexible = isFlexible
    }

    mutating func bool(_ value: Bool) { self.buffer.writeInteger(value ? Int8(1) : 0) }
    mutating func int8(_ value: Int8) { self.buffer.writeInteger(value) }
    mutating func int16(_ value: Int16) { self.buffer.writeInteger(value) }
    mutating func int32(_ value: Int32) { self.buffer.writeInteger(value) }
    mutating func int64(_ value: Int64) { self.buffer.writeInteger(value) }
    mutating func error(_ code: ErrorCode) { self.buffer.writeInteger(code.rawValue) }

    mutating func string(_ value: String) {
        if self.isFlexible {
            self.unsignedVarint(UInt32(value.utf8.count) + 1)
        } else {
            self.buffer.writeInteger(Int16(clamping: value.utf8.count))
        }
        self.buffer.writeString(value)
    }

    mutating func nullableString(_ value: String?) {
        if let value { return self.string(value) }
        if self.isFlexible { self.unsignedVarint(0) } else { self.buffer.writeInteger(Int16(-1)) }
    }

    mutating func bytes(_ value: ByteBuffer?) {
        guard let value else {
            if self.isFlexible { self.unsignedVarint(0) } else { self.buffer.writeInteger(Int32(-1)) }
            return
        }
        if self.isFlexible {
            self.unsignedVarint(UInt32(value.readableBytes) + 1)
        } else {
            self.buffer.writeInteger(Int32(value.readableBytes))
        }
        self.buffer.writeImmutableBuffer(value)
    }

    mutating func bytes(_ value: [UInt8]) { self.bytes(ByteBuffer(bytes: value)) }

    mutating func array<Element>(_ elements: [Element], _ write: (inout FieldWriter, Element) -> Void) {
        if self.isFlexible {
            self.unsignedVarint(UInt32(elements.count) + 1)
        } else {
            self.buffer.writeInteger(Int32(elements.count))
        }
        for element in elements { write(&self, element) }
    }

    mutating func nullArray() {
        if self.isFlexible { self.unsignedVarint(0) } else { self.buffer.writeInteger(Int32(-1)) }
    }

    /// Appends bytes as they are.
    mutating func append(_ bytes: ByteBuffer) { self.buffer.writeImmutableBuffer(bytes) }

    /// Ends a structure: no tagged fields. Nothing in the spelling without them.
    mutating func tags() {
        if self.isFlexible { self.unsignedVarint(0) }
    }

    private mutating func unsignedVarint(_ value: UInt32) {
        var rest = value
        while rest >= 0x80 {
            self.buffer.writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        self.buffer.writeInteger(UInt8(rest))
    }
}
