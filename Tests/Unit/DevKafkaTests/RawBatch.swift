import NIOCore

/// A record batch made by hand, with every field free to be wrong.
struct RawBatch {
    var magic: Int8 = 2
    var attributes: Int16 = 0
    var producerID: Int64 = -1
    var producerEpoch: Int16 = -1
    var sequence: Int32 = -1
    var values: [String] = ["v"]
    /// Makes the checksum wrong.
    var isCorrupt = false
    /// What the header says instead of the truth.
    var claimedCount: Int32?

    var bytes: ByteBuffer {
        var records = ByteBuffer()
        for (index, value) in self.values.enumerated() {
            var record = ByteBuffer()
            // Attributes, two deltas, no key; all lengths here are below 64, so a varint is one byte.
            record.writeMultipleIntegers(Int8(0), UInt8(0), UInt8(index * 2), UInt8(1), UInt8(value.utf8.count * 2))
            record.writeString(value)
            record.writeInteger(UInt8(0))
            records.writeInteger(UInt8(record.readableBytes * 2))
            records.writeBuffer(&record)
        }
        let count = Int32(self.values.count)
        var checked = ByteBuffer()
        checked.writeMultipleIntegers(self.attributes, count - 1, Int64(1_700_000_000_000), Int64(1_700_000_000_000))
        checked.writeMultipleIntegers(self.producerID, self.producerEpoch, self.sequence, self.claimedCount ?? count)
        checked.writeBuffer(&records)
        var batch = ByteBuffer()
        batch.writeMultipleIntegers(Int64(0), Int32(9 + checked.readableBytes), Int32(0), self.magic)
        batch.writeInteger(Self.checksum(Array(checked.readableBytesView)) ^ (self.isCorrupt ? 1 : 0))
        batch.writeBuffer(&checked)
        return batch
    }

    /// CRC-32C, one bit at a time: slow, and not the broker's own.
    static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var value = ~UInt32(0)
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0x82f6_3b78 : value >> 1 }
        }
        return ~value
    }
}
