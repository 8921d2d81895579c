import DevKafka
import DispatcherKafka
import DispatcherService
import EscapementModel
import NIOCore
import Testing

@Suite struct AtLeastOnceTests {
    @Test func `without transactions fires come before their journal entry, and lost answers double nothing`()
        async throws
    {
        try await KafkaFixture.with { fixture in
            let producer = AtLeastOnceProducer(
                producer: SharedProducer(connection: fixture.connection), clocks: SystemClocks(), seed: 1)
            let journal = PublishingRules.journalTopic(of: KafkaFixture.cluster)
            for number in 0..<3 {
                try await fixture.broker.order(Fault(.dropAnswer, api: .produce))
                let publication = Publication(
                    [KafkaFixture.record("\(number)"), KafkaFixture.record(String(repeating: "x", count: 2_000_000))],
                    settle: { fates in
                        let delivered = fates.count { if case .delivered = $0 { true } else { false } }
                        return Settlement(
                            settledAt: .distantPast,
                            journal: [
                                OutgoingRecord(
                                    topic: journal, partition: 0, key: nil,
                                    value: ByteBuffer(string: "\(delivered)/\(fates.count)"))
                            ])
                    })
                _ = try await producer.publish(publication)
            }
            #expect(try await fixture.texts("escapement.fires", isCommittedOnly: false) == ["0", "1", "2"])
            #expect(try await fixture.texts(journal) == ["1/2", "1/2", "1/2"])
        }
    }
}
