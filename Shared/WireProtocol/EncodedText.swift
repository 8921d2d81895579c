/// A text where it lies in a message: no memory of its own, and nothing is counted when it is handed on.
///
/// It is UTF-8. Its bytes are there as long as what it was read from is kept, and nothing sees to that: a view that nobody
/// uses any more is given up at once, also within a statement. Ask the view (`string`, `has`); the bytes are for those who get
/// the view, or what holds it, as a parameter, which is kept until they return.
package struct EncodedText {
    package let unsafeBytes: UnsafeRawBufferPointer

    /// The empty text.
    init() { self.unsafeBytes = UnsafeRawBufferPointer(start: nil, count: 0) }

    /// `nil` when the bytes are not UTF-8.
    init?(validating bytes: UnsafeRawBufferPointer) {
        if !Self.isASCII(bytes) {
            // Not generic over the kind of sequence, unlike `String(validating:as:)`.
            do { _ = try UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span) } catch { return nil }
        }
        self.unsafeBytes = bytes
    }

    private static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var rest = bytes.count
        var high: UInt64 = 0
        while rest >= 8 {
            high |= bytes.loadUnaligned(fromByteOffset: bytes.count - rest, as: UInt64.self)
            rest -= 8
        }
        while rest > 0 {
            high |= UInt64(bytes[bytes.count - rest])
            rest -= 1
        }
        return high & 0x8080_8080_8080_8080 == 0
    }

    @inlinable package var isEmpty: Bool { self.unsafeBytes.isEmpty }
    /// Bytes of it.
    @inlinable package var count: Int { self.unsafeBytes.count }
    var copy: String { String(decoding: self.unsafeBytes, as: UTF8.self) }

    func isEqual(to other: String) -> Bool {
        self.count == other.utf8.count && self.unsafeBytes.elementsEqual(other.utf8)
    }
}
