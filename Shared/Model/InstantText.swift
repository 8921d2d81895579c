/// The text of an instant, made once for all the places that it is written to: to find its date costs more than to copy it.
package struct InstantText: Sendable {
    package let instant: WallInstant
    @usableFromInline let bytes: (UInt64, UInt64, UInt64)

    package init(_ instant: WallInstant) {
        var bytes: (UInt64, UInt64, UInt64) = (0, 0, 0)
        withUnsafeMutableBytes(of: &bytes) { bytes in
            precondition(bytes.count == WallInstant.textCount, "texts of instants have another length")
            instant.writeText(to: bytes.baseAddress.unsafelyUnwrapped)
        }
        self.instant = instant
        self.bytes = bytes
    }

    /// Writes the bytes of the instant's `description`.
    ///
    /// - Precondition: `memory` has room for `WallInstant.textCount` bytes.
    @inlinable package func write(to memory: UnsafeMutableRawPointer) {
        memory.storeBytes(of: self.bytes, as: (UInt64, UInt64, UInt64).self)
    }
}
