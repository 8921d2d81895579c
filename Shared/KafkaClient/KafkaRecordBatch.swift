/// Records to produce, packed into one buffer: no object, string or array for each record.
package struct KafkaRecordBatch: Sendable {
    struct Span {
        var start: Int
        var count: Int
    }

    struct Header {
        /// With a NUL behind it.
        var name: Span
        var value: Span
    }

    struct Record {
        var topic: Int
        var partition: Int32?
        var key: Span?
        var value: Span
        var headers: Range<Int>
    }

    private(set) var bytes: [UInt8] = []
    private(set) var headers: [Header] = []
    private(set) var records: [Record] = []
    private(set) var topics: [String] = []

    package init(reservingBytes capacity: Int = 0) { self.bytes.reserveCapacity(capacity) }

    package var count: Int { self.records.count }
    package var isEmpty: Bool { self.records.isEmpty }

    /// Takes headers for the record being appended.
    package struct HeaderWriter {
        fileprivate var batch: KafkaRecordBatch

        /// Adds a header. The value is copied.
        package mutating func add(_ name: String, _ value: some Collection<UInt8>) {
            let name = self.batch.append(name.utf8, terminated: true)
            self.batch.headers.append(Header(name: name, value: self.batch.append(value)))
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
        let first = self.headers.count
        // Exchanged, so that the buffers have one owner at any time: with two, each record would copy them all.
        var writer = HeaderWriter(batch: KafkaRecordBatch())
        swap(&writer.batch, &self)
        headers(&writer)
        swap(&writer.batch, &self)
        let keySpan = key.map { self.append($0) }
        let valueSpan = self.append(value)
        self.records.append(
            Record(
                topic: self.index(of: topic), partition: partition, key: keySpan, value: valueSpan,
                headers: first..<self.headers.count))
    }

    /// Appends a record whose headers lie packed in `packed`: for each one name, NUL and value, with the counts of name
    /// and value as `counts` tells them. Copied in one piece.
    ///
    /// Not generic, as it is called for each record from other modules.
    package mutating func append(
        topic: String, partition: Int32?, key: String?, value: UnsafeRawBufferPointer, packed: [UInt8],
        headerCount: Int, counts: (_ index: Int) -> (name: Int, value: Int)
    ) {
        let first = self.headers.count
        var start = self.bytes.count
        self.bytes.append(contentsOf: packed)
        for index in 0..<headerCount {
            let (name, value) = counts(index)
            let valueStart = start + name + 1
            self.headers.append(
                Header(name: Span(start: start, count: name), value: Span(start: valueStart, count: value)))
            start = valueStart + value
        }
        let keySpan = key.map { key in
            let start = self.bytes.count
            self.bytes.append(contentsOf: key.utf8)
            return Span(start: start, count: self.bytes.count - start)
        }
        let valueSpan = Span(start: self.bytes.count, count: value.count)
        self.bytes.append(contentsOf: value)
        self.records.append(
            Record(
                topic: self.index(of: topic), partition: partition, key: keySpan, value: valueSpan,
                headers: first..<self.headers.count))
    }

    package mutating func reserve(records: Int, headers: Int) {
        self.records.reserveCapacity(records)
        self.headers.reserveCapacity(headers)
    }

    private mutating func index(of topic: String) -> Int {
        // Batches have few topics, mostly one: the last is the likely one.
        if let index = self.topics.lastIndex(of: topic) { return index }
        self.topics.append(topic)
        return self.topics.count - 1
    }

    fileprivate mutating func append(_ value: some Collection<UInt8>, terminated: Bool = false) -> Span {
        let start = self.bytes.count
        // In one piece: element by element, a generic collection costs a call for each byte.
        let isCopied = value.withContiguousStorageIfAvailable { self.bytes.append(contentsOf: $0) } != nil
        if !isCopied { self.bytes.append(contentsOf: value) }
        let span = Span(start: start, count: self.bytes.count - start)
        if terminated { self.bytes.append(0) }
        return span
    }
}

/// What became of one record.
package struct KafkaDelivery: Equatable, Sendable {
    /// `none` when the record is in its partition, as durably as `acks` demands.
    package var code: KafkaErrorCode
    package var partition: Int32
    /// -1 when the record was not written or the broker did not say.
    package var offset: Int64

    package init(code: KafkaErrorCode, partition: Int32 = -1, offset: Int64 = -1) {
        self.code = code
        self.partition = partition
        self.offset = offset
    }

    package var isDelivered: Bool { self.code == .none }
}
