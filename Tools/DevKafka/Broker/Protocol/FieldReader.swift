import NIOCore

/// A request that does not parse. The connection is closed, as a broker does.
struct MalformedRequest: Error, Equatable {
    var field: String

    init(_ field: String) { self.field = field }
}

/// Reads the fields of a request in order, in either spelling: with fixed lengths, or compact and tagged.
///
/// Total: any bytes give values or `MalformedRequest`. Nothing is allocated for a length that the bytes at hand
/// cannot hold.
struct FieldReader {
    private(set) var buffer: ByteBuffer
    let isFlexible: Bool

    init(_ buffer: ByteBuffer, isFlexible: Bool) {
        self.buffer = buffer
        self.isFlexible = isFlexible
    }

    mutating func bool(_ field: String) throws(MalformedRequest) -> Bool { try self.int8(field) != 0 }
    mutating func int8(_ field: String) throws(MalformedRequest) -> Int8 { try self.integer(field) }
    mutating func int16(_ field: String) throws(MalformedRequest) -> Int16 { try self.integer(field) }
    mutating func int32(_ field: String) throws(MalformedRequest) -> Int32 { try self.integer(field) }
    mutating func int64(_ field: String) throws(MalformedRequest) -> Int64 { try self.integer(field) }

    mutating func string(_ field: String) throws(MalformedRequest) -> String {
        guard let text = try self.nullableString(field) else { throw MalformedRequest(field) }
        return text
    }

    mutating func nullableString(_ field: String) throws(MalformedRequest) -> String? {
        let length = self.isFlexible ? try self.compactLength(field) : Int(try self.int16(field))
        guard let slice = try self.slice(field, length) else { return nil }
        guard let text = slice.getString(at: slice.readerIndex, length: slice.readableBytes) else {
            throw MalformedRequest(field)
        }
        return text
    }

    /// A slice of the request, not a copy; `nil` for null.
    mutating func nullableBytes(_ field: String) throws(MalformedRequest) -> ByteBuffer? {
        let length = self.isFlexible ? try self.compactLength(field) : Int(try self.int32(field))
        return try self.slice(field, length)
    }

    mutating func bytes(_ field: String) throws(MalformedRequest) -> ByteBuffer {
        guard let bytes = try self.nullableBytes(field) else { throw MalformedRequest(field) }
        return bytes
    }

    mutating func array<Element>(
        _ field: String, _ element: (inout FieldReader) throws(MalformedRequest) -> Element
    ) throws(MalformedRequest) -> [Element] {
        guard let elements = try self.nullableArray(field, element) else { throw MalformedRequest(field) }
        return elements
    }

    mutating func nullableArray<Element>(
        _ field: String, _ element: (inout FieldReader) throws(MalformedRequest) -> Element
    ) throws(MalformedRequest) -> [Element]? {
        let count = self.isFlexible ? try self.compactLength(field) : Int(try self.int32(field))
        if count == -1 { return nil }
        // Every element has a byte at least.
        guard count >= 0, count <= self.buffer.readableBytes else { throw MalformedRequest(field) }
        var elements: [Element] = []
        for _ in 0..<count { elements.append(try element(&self)) }
        return elements
    }

    /// Skips the tagged fields at the end of a structure; does nothing in the spelling without them.
    mutating func tags() throws(MalformedRequest) {
        guard self.isFlexible else { return }
        let count = try self.unsignedVarint("tags")
        guard count <= self.buffer.readableBytes else { throw MalformedRequest("tags") }
        for _ in 0..<count {
            _ = try self.unsignedVarint("tag")
            let length = try self.unsignedVarint("tag length")
            guard length <= self.buffer.readableBytes else { throw MalformedRequest("tag length") }
            self.buffer.moveReaderIndex(forwardBy: Int(length))
        }
    }

    private mutating func integer<Value: FixedWidthInteger>(_ field: String) throws(MalformedRequest) -> Value {
        guard let value = self.buffer.readInteger(as: Value.self) else { throw MalformedRequest(field) }
        return value
    }

    private mutating func slice(_ field: String, _ length: Int) throws(MalformedRequest) -> ByteBuffer? {
        if length == -1 { return nil }
        guard length >= 0, let slice = self.buffer.readSlice(length: length) else { throw MalformedRequest(field) }
        return slice
    }

    /// Compact lengths are one too large, so that zero is null.
    private mutating func compactLength(_ field: String) throws(MalformedRequest) -> Int {
        Int(try self.unsignedVarint(field)) - 1
    }

    private mutating func unsignedVarint(_ field: String) throws(MalformedRequest) -> UInt32 {
        var value: UInt32 = 0
        for shift in stride(from: UInt32(0), to: 35, by: 7) {
            guard let byte = self.buffer.readInteger(as: UInt8.self) else { throw MalformedRequest(field) }
            value |= UInt32(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
        }
        throw MalformedRequest(field)
    }
}
