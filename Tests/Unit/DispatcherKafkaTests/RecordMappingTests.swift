import DispatcherService
import KafkaClient
import NIOCore
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

    @Test func `records are handed over as they lie`() {
        struct Seen: Equatable {
            var topic: String
            var partition: Int32?
            var key: [UInt8]?
            var value: [UInt8]
            var headerCount: Int
            var headers: [UInt8]
        }
        let headers: [OutgoingRecord.Header] = [.init("a", "1"), .init("long-name", ""), .init("", "x")]
        let records = OutgoingRecords([
            OutgoingRecord(topic: "t", partition: 3, key: nil, value: ByteBuffer(string: "v")),
            OutgoingRecord(topic: "u", key: "", headers: headers, value: ByteBuffer()),
            OutgoingRecord(topic: "t", key: "a key of more than fifteen", value: ByteBuffer(string: "w")),
        ])
        var seen: [Seen] = []
        records.forEach { record in
            seen.append(
                Seen(
                    topic: record.topic, partition: record.partition, key: record.key.map(Array.init),
                    value: Array(record.value), headerCount: record.headerCount, headers: Array(record.headers)))
        }
        func count(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number, Array.init) }
        let packed =
            count(1) + count(1) + Array("a\u{0}1".utf8) + count(9) + count(0) + Array("long-name\u{0}".utf8)
            + count(0) + count(1) + Array("\u{0}x".utf8)
        #expect(
            seen == [
                Seen(topic: "t", partition: 3, key: nil, value: Array("v".utf8), headerCount: 0, headers: []),
                Seen(topic: "u", partition: nil, key: [], value: [], headerCount: 3, headers: packed),
                Seen(
                    topic: "t", partition: nil, key: Array("a key of more than fifteen".utf8), value: Array("w".utf8),
                    headerCount: 0, headers: []),
            ])
        OutgoingRecords([]).forEach { _ in Issue.record("there is none") }
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
