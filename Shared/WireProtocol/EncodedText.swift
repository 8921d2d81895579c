/// A text where it lies in a message: no memory of its own, and nothing is counted when it is handed on.
///
/// It is UTF-8. Its bytes are there as long as what it was read from is kept, and nothing sees to that: a view that nobody
/// uses any more is given up at once, also within a statement. Those who have no view at hand that outlives the text, such
/// as a parameter, take a copy by `FireTemplateView.string`.
package struct EncodedText {
    package let unsafeBytes: UnsafeRawBufferPointer

    /// The empty text.
    package init() { self.unsafeBytes = UnsafeRawBufferPointer(start: nil, count: 0) }

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

    /// Whether it has the same bytes; texts that only mean the same differ. Allocates nothing.
    package static func == (text: EncodedText, other: StaticString) -> Bool {
        text.count == other.utf8CodeUnitCount
            && text.unsafeBytes.elementsEqual(UnsafeRawBufferPointer(start: other.utf8Start, count: text.count))
    }

    /// Likewise.
    package static func == (text: EncodedText, other: String) -> Bool {
        text.count == other.utf8.count && text.unsafeBytes.elementsEqual(other.utf8)
    }
}
