import NIOCore

/// The records of one partition: batches one after another in a file, as they came but for offset and epoch.
///
/// An index of every few kilobytes, the producers' states and the aborted transactions are kept in memory and
/// rebuilt from the file when it is opened; what a killed process left half written at the end is cut off.
final class PartitionLog {
    /// Bytes between two entries of the index.
    private static let indexInterval = 4096
    /// Bytes read at once when the log is scanned.
    private static let scanChunk = 4 * 1024 * 1024

    private struct IndexEntry {
        var baseOffset: Int64
        var position: Int
    }

    /// The one that the next record gets, and the high watermark: all replicas are this file.
    private(set) var nextOffset: Int64 = 0
    private(set) var producers = ProducerStates()
    /// Bytes cut off when the log was opened.
    private(set) var tornByteCount = 0
    private let file: LogFile
    private var index: [IndexEntry] = []

    /// Opens or creates the log.
    ///
    /// - Throws: when the file cannot be used.
    init(path: String) throws(StorageError) {
        self.file = try LogFile(path: path)
        try self.scan()
    }

    /// The first offset that is served; what lies before it stays in the file, and is served again by the next start.
    private(set) var startOffset: Int64 = 0
    var byteCount: Int { self.file.byteCount }
    /// Everything before it is committed or aborted.
    var lastStableOffset: Int64 { self.producers.firstOpenOffset ?? self.nextOffset }

    /// Appends a batch that was checked, giving it the next offsets.
    ///
    /// - Returns: the offset of its first record.
    func append(_ batch: ByteBuffer, leaderEpoch: Int32) throws(StorageError) -> Int64 {
        var batch = batch
        batch.setInteger(self.nextOffset, at: batch.readerIndex)
        batch.setInteger(leaderEpoch, at: batch.readerIndex + 12)
        guard let header = BatchHeader(batch) else { preconditionFailure("a batch without a header is appended") }
        let position = self.file.byteCount
        try self.file.append(batch)
        self.note(header, at: position, batch: batch)
        return header.baseOffset
    }

    /// Whole batches from the one with `offset` on, those that begin before `end`: at most `byteCount` bytes, but
    /// one batch at least.
    func read(from offset: Int64, before end: Int64, byteCount: Int) throws(StorageError) -> ByteBuffer {
        guard offset < end, var position = self.position(before: offset) else { return ByteBuffer() }
        var chunk = try self.file.read(at: position, count: byteCount + 2 * Self.indexInterval)
        // Skips the batches before the one wanted; the last of them may be longer than what was read.
        while true {
            guard let header = BatchHeader(chunk) else {
                chunk = try self.file.read(at: position, count: byteCount + 2 * Self.indexInterval)
                if BatchHeader(chunk) == nil { return ByteBuffer() }
                continue
            }
            if header.lastOffset >= offset { break }
            position += header.totalByteCount
            chunk.moveReaderIndex(forwardBy: min(header.totalByteCount, chunk.readableBytes))
        }
        if let first = BatchHeader(chunk), first.totalByteCount > chunk.readableBytes || chunk.readableBytes < byteCount
        {
            chunk = try self.file.read(at: position, count: max(byteCount, first.totalByteCount))
        }
        var taken = 0
        while let header = BatchHeader(chunk, at: taken), header.baseOffset < end {
            let after = taken + header.totalByteCount
            guard after <= chunk.readableBytes, taken == 0 || after <= byteCount else { break }
            taken = after
        }
        return chunk.readSlice(length: taken) ?? ByteBuffer()
    }

    /// The first record whose timestamp is `timestamp` or later, with its timestamp; `nil` when there is none.
    /// For compressed batches, whose records are not read, the batch's first record. O(log).
    func firstOffset(from timestamp: Int64) throws(StorageError) -> (offset: Int64, timestamp: Int64)? {
        var found: (Int64, Int64)?
        try self.forEachBatch(from: 0) { header, _, batch in
            guard !header.isControl, header.maxTimestamp >= timestamp else { return true }
            let record = StoredRecord.all(in: batch)?.first { $0.timestamp >= timestamp }
            found = record.map { ($0.offset, $0.timestamp) } ?? (header.baseOffset, header.maxTimestamp)
            return false
        }
        return found
    }

    /// Serves nothing before `offset` any more, as retention does.
    func trim(before offset: Int64) { self.startOffset = min(max(self.startOffset, offset), self.nextOffset) }

    /// Forgets the batches that hold `offset` or later ones, as a leader elected without them would.
    func truncate(to offset: Int64) throws(StorageError) {
        var end = self.file.byteCount
        try self.forEachBatch(from: 0) { header, position, _ in
            guard header.lastOffset >= offset else { return true }
            end = position
            return false
        }
        try self.file.truncate(to: end)
        try self.scan()
    }

    // MARK: - Scanning

    private func scan() throws(StorageError) {
        self.index = []
        self.producers = ProducerStates()
        self.nextOffset = 0
        var end = 0
        try self.forEachBatch(from: 0) { header, position, batch in
            guard header.baseOffset == self.nextOffset, header.magic == 2, header.lastOffsetDelta >= 0,
                header.isIntact(in: batch)
            else { return false }
            self.note(header, at: position, batch: batch)
            end = position + header.totalByteCount
            return true
        }
        self.tornByteCount = self.file.byteCount - end
        if self.tornByteCount > 0 { try self.file.truncate(to: end) }
    }

    /// Calls `body` with each whole batch in order until it answers `false`.
    private func forEachBatch(
        from start: Int, _ body: (BatchHeader, _ position: Int, _ batch: ByteBuffer) -> Bool
    ) throws(StorageError) {
        var position = start
        var wanted = Self.scanChunk
        while position < self.file.byteCount {
            var chunk = try self.file.read(at: position, count: wanted)
            let before = position
            while let header = BatchHeader(chunk), let batch = chunk.readSlice(length: header.totalByteCount) {
                guard body(header, position, batch) else { return }
                position += header.totalByteCount
            }
            if position > before {
                wanted = Self.scanChunk
            } else {
                // A batch longer than the chunk, or a torn one at the end.
                guard let header = BatchHeader(chunk), header.totalByteCount <= self.file.byteCount - position else {
                    return
                }
                wanted = header.totalByteCount
            }
        }
    }

    private func note(_ header: BatchHeader, at position: Int, batch: ByteBuffer) {
        if self.index.last.map({ position - $0.position >= Self.indexInterval }) ?? true {
            self.index.append(IndexEntry(baseOffset: header.baseOffset, position: position))
        }
        self.nextOffset = header.lastOffset + 1
        guard header.isControl else { return self.producers.append(header) }
        if let isCommit = ControlBatch.isCommit(batch) {
            self.producers.end(
                producerID: header.producerID, epoch: header.producerEpoch, markerOffset: header.baseOffset,
                isCommit: isCommit)
        }
    }

    /// Where the last indexed batch at or before `offset` begins.
    private func position(before offset: Int64) -> Int? {
        var low = 0
        var high = self.index.count
        while low < high {
            let middle = (low + high) / 2
            if self.index[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
        }
        return low == 0 ? nil : self.index[low - 1].position
    }
}
