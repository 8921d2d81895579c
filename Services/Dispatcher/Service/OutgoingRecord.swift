package import NIOCore

/// A Kafka record to be produced.
package struct OutgoingRecord: Equatable, Sendable {
    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    package var topic: String
    /// `nil` lets the key decide.
    package var partition: Int32?
    package var key: String?
    package var headers: RecordHeaders
    /// Never absent: a record without a value would delete its key on a compacted topic.
    package var value: ByteBuffer

    package init(
        topic: String, partition: Int32? = nil, key: String?, headers: RecordHeaders = [], value: ByteBuffer
    ) {
        self.topic = topic
        self.partition = partition
        self.key = key
        self.headers = headers
        self.value = value
    }
}
