import NIOCore

/// The fixed part of a record batch, format 2 (KIP-98): all that the broker reads of records it keeps.
struct BatchHeader: Equatable {
    /// Bytes of the header; the records follow.
    static let byteCount = 61
    /// Bytes in front of what `batchLength` counts.
    static let prefixByteCount = 12
    /// Where the checksummed part begins.
    static let checksumStart = 21

    var baseOffset: Int64
    /// Bytes of the whole batch, with its prefix.
    var totalByteCount: Int
    var leaderEpoch: Int32
    var magic: Int8
    var checksum: UInt32
    var attributes: Int16
    var lastOffsetDelta: Int32
    var baseTimestamp: Int64
    var maxTimestamp: Int64
    var producerID: Int64
    var producerEpoch: Int16
    var baseSequence: Int32
    var recordCount: Int32

    var isTransactional: Bool { self.attributes & 0x10 != 0 }
    var isControl: Bool { self.attributes & 0x20 != 0 }
    /// 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    var compression: Int16 { self.attributes & 0x07 }
    var lastOffset: Int64 { self.baseOffset + Int64(self.lastOffsetDelta) }
    /// Sequence numbers wrap to zero after the largest Int32.
    var lastSequence: Int32 { self.baseSequence < 0 ? -1 : (self.baseSequence &+ self.lastOffsetDelta) & Int32.max }

    /// Reads the header at `offset` of `buffer`'s readable bytes; `nil` when it is not all there or is impossible.
    init?(_ buffer: ByteBuffer, at offset: Int = 0) {
        guard offset >= 0, buffer.readableBytes - offset >= Self.byteCount,
            var fields = buffer.getSlice(at: buffer.readerIndex + offset, length: Self.byteCount),
            let fixed = fields.readMultipleIntegers(
                as: (Int64, Int32, Int32, Int8, UInt32, Int16, Int32, Int64, Int64).self),
            let rest = fields.readMultipleIntegers(as: (Int64, Int16, Int32, Int32).self),
            fixed.1 >= Int32(Self.byteCount - Self.prefixByteCount)
        else { return nil }
        self.baseOffset = fixed.0
        self.totalByteCount = Int(fixed.1) + Self.prefixByteCount
        self.leaderEpoch = fixed.2
        self.magic = fixed.3
        self.checksum = fixed.4
        self.attributes = fixed.5
        self.lastOffsetDelta = fixed.6
        self.baseTimestamp = fixed.7
        self.maxTimestamp = fixed.8
        (self.producerID, self.producerEpoch, self.baseSequence, self.recordCount) = rest
    }

    /// Whether the checksum of the batch at `offset` of `buffer`'s readable bytes is right. O(bytes).
    func isIntact(in buffer: ByteBuffer, at offset: Int = 0) -> Bool {
        guard buffer.readableBytes - offset >= self.totalByteCount else { return false }
        return buffer.withUnsafeReadableBytes { bytes in
            let checked = offset + Self.checksumStart..<offset + self.totalByteCount
            return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[checked])) == self.checksum
        }
    }
}
