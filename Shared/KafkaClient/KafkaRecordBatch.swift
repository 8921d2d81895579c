/// Records that lie packed in one buffer, for whoever has them nowhere else.
///
/// The dispatcher has them: it hands them over where they lie (`OutgoingRecords`). The tests of this module and the
/// benchmark W7 have not. The benchmark belongs to another package, and this module is what both share without a target
/// of its own.
package struct KafkaRecordBatch: Sendable {
    private struct Record {
        var topic: Int
        var partition: Int32?
        var key: Range<Int>?
        var value: Range<Int>
        var headers: Range<Int>
        var headerCount: Int
    }

    private var bytes: [UInt8] = []
    private var records: [Record] = []
    private var topics: [String] = []

    package init(reservingBytes capacity: Int = 0) { self.bytes.reserveCapacity(capacity) }

    package var count: Int { self.records.count }

    /// Takes headers for the record being appended.
    package struct HeaderWriter {
        fileprivate var batch: KafkaRecordBatch
        fileprivate var count = 0

        /// Adds a header. The value is copied.
        package mutating func add(_ name: String, _ value: some Collection<UInt8>) {
            self.count += 1
            for count in [name.utf8.count, value.count] {
                withUnsafeBytes(of: UInt32(count)) { self.batch.bytes += $0 }
            }
            _ = self.batch.append(name.utf8)
            self.batch.bytes.append(0)
            _ = self.batch.append(value)
        }

        package mutating func add(_ name: String, _ value: String) { self.add(name, value.utf8) }
    }

    /// Appends a record; everything is copied.
    ///
    /// - Parameters:
    ///   - partition: `nil` lets the key decide.
    ///   - key: `nil` for none.
    package mutating func append(
        topic: String, partition: Int32? = nil, key: (some Collection<UInt8>)?, value: some Collection<UInt8>,
        headers: (inout HeaderWriter) -> Void = { _ in }
    ) {
        let start = self.bytes.count
        // Exchanged, so that the buffer has one owner at any time: with two, each record would copy all of it.
        var writer = HeaderWriter(batch: KafkaRecordBatch())
        swap(&writer.batch, &self)
        headers(&writer)
        swap(&writer.batch, &self)
        let end = self.bytes.count
        let keyRange = key.map { self.append($0) }
        let valueRange = self.append(value)
        self.records.append(
            Record(
                topic: self.index(of: topic), partition: partition, key: keyRange, value: valueRange,
                headers: start..<end, headerCount: writer.count))
    }

    private mutating func index(of topic: String) -> Int {
        // Batches have few topics, mostly one: the last is the likely one.
        if let index = self.topics.lastIndex(of: topic) { return index }
        self.topics.append(topic)
        return self.topics.count - 1
    }

    private mutating func append(_ value: some Collection<UInt8>) -> Range<Int> {
        let start = self.bytes.count
        // In one piece: element by element, a generic collection costs a call for each byte.
        let isCopied = value.withContiguousStorageIfAvailable { self.bytes.append(contentsOf: $0) } != nil
        if !isCopied { self.bytes.append(contentsOf: value) }
        return start..<self.bytes.count
    }
}

extension KafkaRecordBatch: KafkaRecords {
    package func forEach(_ visit: (KafkaRecord) -> Void) {
        self.bytes.withUnsafeBytes { bytes in
            func part(_ range: Range<Int>) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[range]) }
            for record in self.records {
                visit(
                    KafkaRecord(
                        topic: self.topics[record.topic], partition: record.partition, key: record.key.map(part),
                        value: part(record.value), headerCount: record.headerCount, headers: part(record.headers)))
            }
        }
    }
}
