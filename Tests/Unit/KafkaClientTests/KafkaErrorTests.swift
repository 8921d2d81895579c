import KafkaClient
import Testing

@Suite struct KafkaErrorTests {
    @Test(arguments: [KafkaErrorCode.fenced, .producerFenced, .invalidProducerEpoch])
    func `every fencing error is one, whatever its flags say`(code: KafkaErrorCode) {
        #expect(code.isFenced)
        #expect(KafkaError(code, isRetriable: true).isFenced)
        #expect(!KafkaError(code).isRetriable)
    }

    @Test(arguments: [
        KafkaErrorCode.messageTooLarge, .batchTooLarge, .unknownTopic, .unknownTopicOrPartition, .unknownPartition,
        .invalidTopic, .topicAuthorizationFailed, .invalidRecord, .policyViolation,
    ])
    func `what is wrong with a record does not pass by waiting`(code: KafkaErrorCode) {
        #expect(code.isPermanentForRecord)
        #expect(!KafkaError(code).isRetriable)
    }

    @Test(arguments: [KafkaErrorCode.transport, .timedOut, .messageTimedOut, .allBrokersDown, .queueFull])
    func `what is wrong with the brokers may`(code: KafkaErrorCode) {
        #expect(!code.isPermanentForRecord && !code.isFenced)
        #expect(KafkaError(code).isRetriable)
    }
}
