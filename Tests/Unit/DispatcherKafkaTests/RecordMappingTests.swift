import DispatcherService
import KafkaClient
import Testing

@testable import DispatcherKafka

@Suite struct RecordMappingTests {
    /// Brokers forget a topic for a moment while they start: whether it is missing shows while its fires wait.
    @Test(arguments: [KafkaErrorCode.unknownTopic, .unknownTopicOrPartition])
    func `a topic that is not known is no reason to give a record up`(code: KafkaErrorCode) {
        #expect(RecordDelivery(KafkaDelivery(code: code), isFenced: false) == .unavailable(code.text))
    }

    @Test(arguments: [
        (KafkaErrorCode.unknownPartition, RecordRefusal.unknownTopic), (.invalidTopic, .unknownTopic),
        (.topicAuthorizationFailed, .forbiddenTopic), (.messageTooLarge, .tooLarge),
    ])
    func `what never changes is refused`(code: KafkaErrorCode, refusal: RecordRefusal) {
        #expect(
            RecordDelivery(KafkaDelivery(code: code), isFenced: false) == .refused(refusal, detail: code.text))
    }

    @Test func `nothing of a fenced producer counts but what was delivered`() {
        #expect(
            RecordDelivery(KafkaDelivery(code: .messageTooLarge), isFenced: true)
                == .fenced(KafkaErrorCode.messageTooLarge.text))
        #expect(
            RecordDelivery(KafkaDelivery(code: .none, partition: 1, offset: 2), isFenced: true)
                == .delivered(partition: 1, offset: 2))
    }
}
