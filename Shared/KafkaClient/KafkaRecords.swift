/// Records to produce, in the memory of whoever has them.
package protocol KafkaRecords: Sendable {
    var count: Int { get }

    /// Calls `visit` with each record, in order.
    func forEach(_ visit: (KafkaRecord) -> Void)
}

/// A record to produce. Valid only while it is visited; librdkafka copies it.
package struct KafkaRecord {
    package var topic: String
    /// `nil` lets the key decide.
    package var partition: Int32?
    /// `nil` for none.
    package var key: UnsafeRawBufferPointer?
    /// An empty value is not a null value.
    package var value: UnsafeRawBufferPointer
    package var headerCount: Int
    /// For each header the counts of name and value, of four bytes each in this machine's order, the name, a NUL, the
    /// value.
    package var headers: UnsafeRawBufferPointer

    package init(
        topic: String, partition: Int32?, key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer,
        headerCount: Int, headers: UnsafeRawBufferPointer
    ) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.value = value
        self.headerCount = headerCount
        self.headers = headers
    }
}
