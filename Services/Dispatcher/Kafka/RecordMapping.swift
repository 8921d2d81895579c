import DispatcherService
import KafkaClient
import NIOCore

/// Records of the service, as they lie: their headers are packed in the form of the client.
struct OutgoingRecords: KafkaRecords {
    let records: [OutgoingRecord]

    init(_ records: [OutgoingRecord]) { self.records = records }

    var count: Int { self.records.count }

    func forEach(_ visit: (KafkaRecord) -> Void) {
        // By reference: a record that is taken out is copied with all it holds, and the array keeps it.
        self.records.withUnsafeBufferPointer { records in
            guard let first = records.baseAddress else { return }
            for index in records.indices { Self.hand(over: first + index, to: visit) }
        }
    }

    private static func hand(over record: UnsafePointer<OutgoingRecord>, to visit: (KafkaRecord) -> Void) {
        record.pointee.value.withUnsafeReadableBytes { value in
            visit(
                KafkaRecord(
                    topic: record.pointee.topic, partition: record.pointee.partition, key: record.pointee.head.key,
                    value: value, headerCount: record.pointee.head.headerCount,
                    headers: record.pointee.head.packedHeaders))
        }
    }
}

extension RecordDelivery {
    /// What a report means for a lane.
    ///
    /// - Parameter isFenced: whether the producer as a whole is: a report then only says that it cannot go on.
    init(_ delivery: KafkaDelivery, isFenced: Bool) {
        let code = delivery.code
        if delivery.isDelivered {
            self = .delivered(partition: delivery.partition, offset: delivery.offset)
        } else if code.isFenced || isFenced {
            self = .fenced(code.text)
        } else if let refusal = RecordRefusal(code) {
            self = .refused(refusal, detail: code.text)
        } else {
            self = .unavailable(code.text)
        }
    }
}

extension RecordRefusal {
    /// `nil` for codes that say nothing about the record. That a topic is not known says nothing either: brokers forget one
    /// for a moment, and whether it stays away is found out while its fires wait.
    init?(_ code: KafkaErrorCode) {
        switch code {
        case .messageTooLarge, .batchTooLarge: self = .tooLarge
        case .unknownPartition, .invalidTopic: self = .unknownTopic
        case .topicAuthorizationFailed: self = .forbiddenTopic
        case .invalidRecord, .policyViolation, .invalidArgument: self = .invalid
        default: return nil
        }
    }
}
