import CRDKafka

/// A partition of a topic.
package struct KafkaPartition: Hashable, Sendable {
    package var topic: String
    package var partition: Int32

    package init(_ topic: String, _ partition: Int32) {
        self.topic = topic
        self.partition = partition
    }
}

/// Where to start reading.
package enum KafkaOffset: Hashable, Sendable {
    case beginning
    case end
    case at(Int64)

    var rawValue: Int64 {
        switch self {
        case .beginning: Int64(RD_KAFKA_OFFSET_BEGINNING)
        case .end: Int64(RD_KAFKA_OFFSET_END)
        case .at(let offset): offset
        }
    }
}

/// One record as consumed.
package struct KafkaMessage: Sendable {
    package struct Header: Hashable, Sendable {
        package var name: String
        package var value: [UInt8]

        package init(name: String, value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    package var partition: KafkaPartition
    package var offset: Int64
    package var key: [UInt8]?
    package var value: [UInt8]?
    package var headers: [Header]
    /// Milliseconds since 1970; -1 when the record has none.
    package var timestampMilliseconds: Int64

    /// The value of the first header called `name`.
    package func header(_ name: String) -> [UInt8]? { self.headers.first { $0.name == name }?.value }

    /// Copies what librdkafka holds.
    init(copying message: UnsafePointer<rd_kafka_message_t>) {
        let topic = message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? ""
        self.partition = KafkaPartition(topic, message.pointee.partition)
        self.offset = message.pointee.offset
        self.key = message.pointee.key.map { Array(UnsafeRawBufferPointer(start: $0, count: message.pointee.key_len)) }
        self.value = message.pointee.payload.map {
            Array(UnsafeRawBufferPointer(start: $0, count: message.pointee.len))
        }
        self.headers = []
        self.timestampMilliseconds = rd_kafka_message_timestamp(message, nil)
        var list: OpaquePointer?
        guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return }
        var index = 0
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(list, index, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            if let name {
                let bytes = value.map { Array(UnsafeRawBufferPointer(start: $0, count: size)) } ?? []
                self.headers.append(Header(name: String(cString: name), value: bytes))
            }
            index += 1
        }
    }
}
