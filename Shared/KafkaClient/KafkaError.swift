import CRDKafka

/// An error code of Kafka's protocol (positive) or of librdkafka itself (negative).
package struct KafkaErrorCode: RawRepresentable, Hashable, Sendable {
    package var rawValue: Int32
    package init(rawValue: Int32) { self.rawValue = rawValue }

    init(_ code: rd_kafka_resp_err_t) { self.rawValue = Int32(code.rawValue) }

    package static let none = KafkaErrorCode(RD_KAFKA_RESP_ERR_NO_ERROR)
    package static let authentication = KafkaErrorCode(RD_KAFKA_RESP_ERR__AUTHENTICATION)
    package static let saslAuthenticationFailed = KafkaErrorCode(RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED)
    package static let tls = KafkaErrorCode(RD_KAFKA_RESP_ERR__SSL)
    package static let resolve = KafkaErrorCode(RD_KAFKA_RESP_ERR__RESOLVE)
    package static let transport = KafkaErrorCode(RD_KAFKA_RESP_ERR__TRANSPORT)
    package static let allBrokersDown = KafkaErrorCode(RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
    package static let queueFull = KafkaErrorCode(RD_KAFKA_RESP_ERR__QUEUE_FULL)
    package static let timedOut = KafkaErrorCode(RD_KAFKA_RESP_ERR__TIMED_OUT)
    package static let timedOutInQueue = KafkaErrorCode(RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE)
    package static let messageTimedOut = KafkaErrorCode(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT)
    package static let destroyed = KafkaErrorCode(RD_KAFKA_RESP_ERR__DESTROY)
    package static let purged = KafkaErrorCode(RD_KAFKA_RESP_ERR__PURGE_QUEUE)
    package static let invalidArgument = KafkaErrorCode(RD_KAFKA_RESP_ERR__INVALID_ARG)
    package static let fatal = KafkaErrorCode(RD_KAFKA_RESP_ERR__FATAL)
    package static let fenced = KafkaErrorCode(RD_KAFKA_RESP_ERR__FENCED)
    package static let producerFenced = KafkaErrorCode(RD_KAFKA_RESP_ERR_PRODUCER_FENCED)
    package static let invalidProducerEpoch = KafkaErrorCode(RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH)
    package static let unknownTopic = KafkaErrorCode(RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
    package static let unknownPartition = KafkaErrorCode(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
    package static let unknownTopicOrPartition = KafkaErrorCode(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
    package static let invalidTopic = KafkaErrorCode(RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
    package static let groupAuthorizationFailed = KafkaErrorCode(RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED)
    package static let clusterAuthorizationFailed = KafkaErrorCode(RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
    package static let transactionalIDAuthorizationFailed = KafkaErrorCode(
        RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    package static let topicAuthorizationFailed = KafkaErrorCode(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
    package static let messageTooLarge = KafkaErrorCode(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
    package static let batchTooLarge = KafkaErrorCode(RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE)
    package static let invalidRecord = KafkaErrorCode(RD_KAFKA_RESP_ERR_INVALID_RECORD)
    package static let policyViolation = KafkaErrorCode(RD_KAFKA_RESP_ERR_POLICY_VIOLATION)
    package static let topicAlreadyExists = KafkaErrorCode(RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    package static let offsetOutOfRange = KafkaErrorCode(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
    package static let invalidTransactionState = KafkaErrorCode(RD_KAFKA_RESP_ERR_INVALID_TXN_STATE)
    package static let partitionEnd = KafkaErrorCode(RD_KAFKA_RESP_ERR__PARTITION_EOF)

    /// librdkafka's name: `MSG_SIZE_TOO_LARGE`, `_TRANSPORT`.
    package var name: String { String(cString: rd_kafka_err2name(self.code)) }

    /// A sentence for people.
    package var text: String { String(cString: rd_kafka_err2str(self.code)) }

    var code: rd_kafka_resp_err_t { rd_kafka_resp_err_t(rawValue: .init(self.rawValue)) }

    /// Nobody was heard: there is no connection, or no answer in time.
    package var isSilence: Bool {
        switch self {
        case .timedOut, .timedOutInQueue, .transport, .resolve, .tls, .authentication, .allBrokersDown: true
        default: false
        }
    }

    /// The owner of the `transactional.id` is another one now, or the producer's epoch is over: whatever
    /// else librdkafka says about the error, what this producer does counts no more.
    package var isFenced: Bool { self == .fenced || self == .producerFenced || self == .invalidProducerEpoch }

    /// A right is missing: waiting does not mend it.
    package var isAuthorization: Bool {
        switch self {
        case .topicAuthorizationFailed, .groupAuthorizationFailed, .clusterAuthorizationFailed,
            .transactionalIDAuthorizationFailed:
            true
        default: false
        }
    }

    /// The record itself, or its topic, is refused: sending it again changes nothing.
    package var isPermanentForRecord: Bool {
        switch self {
        case .messageTooLarge, .batchTooLarge, .unknownTopic, .unknownTopicOrPartition, .unknownPartition,
            .invalidTopic, .topicAuthorizationFailed, .invalidRecord, .policyViolation:
            true
        default: false
        }
    }
}

extension KafkaErrorCode: CustomStringConvertible {
    package var description: String { self.name }
}

/// Why a call to Kafka failed.
package struct KafkaError: Error, Equatable {
    package var code: KafkaErrorCode
    /// The same call may succeed later.
    package var isRetriable: Bool
    /// The client instance cannot be used any more; make a new one.
    package var isFatal: Bool
    /// The transaction under way can only be aborted.
    package var requiresAbort = false
    /// What went wrong, for the log; no secrets.
    package var detail: String

    package init(_ code: KafkaErrorCode, detail: String = "", isRetriable: Bool? = nil, isFatal: Bool = false) {
        self.code = code
        self.isFatal = isFatal || code == .fatal
        self.isRetriable =
            isRetriable ?? !(code.isPermanentForRecord || code.isFenced || code == .invalidArgument || self.isFatal)
        self.detail = detail.isEmpty ? code.text : detail
    }

    package var isFenced: Bool { self.code.isFenced }
}

extension KafkaError {
    /// Takes an error object over and frees it.
    init(taking error: OpaquePointer) {
        defer { rd_kafka_error_destroy(error) }
        self.init(
            KafkaErrorCode(rd_kafka_error_code(error)), detail: String(cString: rd_kafka_error_string(error)),
            isRetriable: rd_kafka_error_is_retriable(error) != 0, isFatal: rd_kafka_error_is_fatal(error) != 0)
        self.requiresAbort = rd_kafka_error_txn_requires_abort(error) != 0
    }
}

extension KafkaError: CustomStringConvertible {
    package var description: String { "\(self.code.name): \(self.detail)" }
}
