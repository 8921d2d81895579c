/// A text where it lies in a message: no memory of its own, and nothing is counted when it is handed on.
///
/// It is UTF-8. Valid as long as what it was read from is kept.
package struct EncodedText {
    package let bytes: UnsafeRawBufferPointer

    /// The empty text.
    package init() { self.bytes = UnsafeRawBufferPointer(start: nil, count: 0) }

    /// `nil` when the bytes are not UTF-8.
    init?(validating bytes: UnsafeRawBufferPointer) {
        // Not generic over the kind of sequence, unlike `String(validating:as:)`.
        do { _ = try UTF8Span(validating: bytes.bindMemory(to: UInt8.self).span) } catch { return nil }
        self.bytes = bytes
    }

    @inlinable package var isEmpty: Bool { self.bytes.isEmpty }
    /// Bytes of it.
    @inlinable package var count: Int { self.bytes.count }
    /// A copy of it.
    package var string: String { String(decoding: self.bytes, as: UTF8.self) }

    /// Whether it has the same bytes; texts that only mean the same differ. Allocates nothing.
    package static func == (text: EncodedText, other: StaticString) -> Bool {
        text.count == other.utf8CodeUnitCount
            && text.bytes.elementsEqual(UnsafeRawBufferPointer(start: other.utf8Start, count: text.count))
    }

    /// Likewise.
    package static func == (text: EncodedText, other: String) -> Bool {
        text.count == other.utf8.count && text.bytes.elementsEqual(other.utf8)
    }
}
