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
    package var head: RecordHead
    /// Never absent: a record without a value would delete its key on a compacted topic.
    package var value: ByteBuffer

    init(topic: String, partition: Int32? = nil, head: RecordHead, value: ByteBuffer) {
        self.topic = topic
        self.partition = partition
        self.head = head
        self.value = value
    }

    package init(
        topic: String, partition: Int32? = nil, key: String?, headers: [Header] = [], value: ByteBuffer
    ) {
        self.init(topic: topic, partition: partition, head: RecordHead(key: key, headers: headers), value: value)
    }

    /// A copy of the key; `nil` for none.
    package var key: String? {
        withExtendedLifetime(self.head) { head in head.key.map { String(decoding: $0, as: UTF8.self) } }
    }
    /// Copies of the headers, in order.
    package var headers: [Header] { self.head.headers }
}
