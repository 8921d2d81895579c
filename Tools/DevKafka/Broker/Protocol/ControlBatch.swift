import NIOCore

/// The marker that ends a transaction in a partition: a batch with one control record.
struct ControlBatch: Equatable {
    var isCommit: Bool
    var producerID: Int64
    var producerEpoch: Int16
    var coordinatorEpoch: Int32

    /// The batch, complete but for its base offset.
    func encoded(timestamp: Int64, leaderEpoch: Int32) -> ByteBuffer {
        // Key: version, type. Value: version, coordinator's epoch. Lengths are zigzag varints, all below 64.
        var record = ByteBuffer()
        record.writeMultipleIntegers(Int8(0), UInt8(0), UInt8(0), UInt8(4 * 2))
        record.writeMultipleIntegers(Int16(0), Int16(self.isCommit ? 1 : 0), UInt8(6 * 2))
        record.writeMultipleIntegers(Int16(0), self.coordinatorEpoch, UInt8(0))

        var checked = ByteBuffer()
        checked.writeMultipleIntegers(Int16(0x30), Int32(0), timestamp, timestamp)
        checked.writeMultipleIntegers(self.producerID, self.producerEpoch, Int32(-1), Int32(1))
        checked.writeInteger(UInt8(record.readableBytes * 2))
        checked.writeBuffer(&record)
        let checksum = checked.withUnsafeReadableBytes { CRC32C.checksum($0) }

        var batch = ByteBuffer()
        let lengthAfterPrefix = Int32(BatchHeader.checksumStart - BatchHeader.prefixByteCount + checked.readableBytes)
        batch.writeMultipleIntegers(Int64(0), lengthAfterPrefix, leaderEpoch, Int8(2), checksum)
        batch.writeBuffer(&checked)
        return batch
    }

    /// Whether the control batch commits; `nil` when it is no transaction marker.
    static func isCommit(_ batch: ByteBuffer) -> Bool? {
        guard let key = StoredRecord.all(in: batch)?.first?.key,
            let type = key.getInteger(at: key.readerIndex + 2, as: Int16.self)
        else { return nil }
        switch type {
        case 0: return false
        case 1: return true
        default: return nil
        }
    }
}
