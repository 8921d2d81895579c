import DispatcherService
import KafkaClient
import NIOCore

extension KafkaRecordBatch {
    /// The records, packed.
    init(_ records: [OutgoingRecord]) {
        self.init(
            reservingBytes: records.reduce(0) { $0 + $1.value.readableBytes + $1.headers.bytes.count + 64 })
        self.reserve(records: records.count, headers: records.reduce(0) { $0 + $1.headers.spans.count })
        for record in records {
            let spans = record.headers.spans
            record.value.withUnsafeReadableBytes { value in
                self.append(
                    topic: record.topic, partition: record.partition, key: record.key, value: value,
                    packed: record.headers.bytes, headerCount: spans.count
                ) { (spans[$0].nameCount, spans[$0].valueCount) }
            }
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
