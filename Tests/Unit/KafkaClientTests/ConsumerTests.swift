import DevKafka
import KafkaClient
import Testing

@Suite struct ConsumerTests {
    @Test func `committed offsets and records outlive a restart`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t", partitions: 2)
            let producer = try kafka.producer()
            #expect(await producer.produce(KafkaRecordBatch("t", "a", "b", "c")).allSatisfy(\.isDelivered))
            await producer.close()
            let place = KafkaPartition("t", 0)
            let consumer = try Self.consumer(kafka)
            #expect(try await consumer.committed([place], timeout: KafkaFixture.patience) == [:])
            try await consumer.commit([place: 2])
            await consumer.close()

            let again = try await kafka.restarted()
            let next = try Self.consumer(again)
            #expect(try await next.committed([place], timeout: KafkaFixture.patience) == [place: 2])
            let marks = try await next.watermarks(of: place, timeout: KafkaFixture.patience)
            #expect(marks.low == 0 && marks.high == 3)
            try await next.assign([place: .at(2)])
            #expect(try await Self.first(next).map { String(decoding: $0.value ?? [], as: UTF8.self) } == "c")
            await next.close()
            await again.cluster.stop()
        }
    }

    @Test func `an offset behind the end of a log that lost its tail is out of range`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let producer = try kafka.producer()
            for value in ["a", "b", "c"] {
                #expect(await producer.produce(KafkaRecordBatch("t", value)).allSatisfy(\.isDelivered))
            }
            await producer.close()
            #expect(try await kafka.cluster.loseTail(of: TopicPartition("t", 0), count: 2) == 2)
            let consumer = try Self.consumer(kafka)
            try await consumer.assign([KafkaPartition("t", 0): .at(3)])
            let failure = await #expect(throws: KafkaError.self) { _ = try await Self.first(consumer) }
            #expect(failure?.code == .offsetOutOfRange)
            await consumer.close()
        }
    }

    @Test func `topics are created with settings, once`() async throws {
        try await KafkaFixture.with(brokers: 3) { kafka async throws in
            let settings = kafka.settings()
            let admin = try KafkaAdmin(
                settings: settings, logger: KafkaFixture.logger, health: kafka.monitor(settings))
            let topic = KafkaNewTopic(
                name: "journal", partitionCount: 4, replicationFactor: 3,
                settings: [.init("cleanup.policy", "delete"), .init("retention.ms", "604800000")])
            #expect(try await admin.create(topic, timeout: KafkaFixture.patience))
            #expect(try await admin.create(topic, timeout: KafkaFixture.patience) == false)
            let metadata = try await admin.metadata(topic: "journal", timeout: KafkaFixture.patience)
            #expect(metadata.brokerCount == 3)
            #expect(metadata.topics.map(\.partitionCount) == [4])
            var wrong = topic
            wrong.name = "other"
            wrong.settings = [.init("no.such.setting", "1")]
            let failure = await #expect(throws: KafkaError.self) {
                _ = try await admin.create(wrong, timeout: KafkaFixture.patience)
            }
            #expect(failure?.detail.contains("no.such.setting") == true, "\(String(describing: failure))")
            await admin.close()
        }
    }

    private static func consumer(_ kafka: KafkaFixture) throws -> KafkaConsumer {
        let settings = kafka.settings()
        return try KafkaConsumer(
            settings: settings, group: "recorder", logger: KafkaFixture.logger, health: kafka.monitor(settings))
    }

    /// The next record, waited for.
    private static func first(_ consumer: KafkaConsumer) async throws -> KafkaMessage? {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: KafkaFixture.patience)
        while clock.now < deadline {
            if let message = try await consumer.poll(max: 1, timeout: .milliseconds(200)).first { return message }
        }
        return nil
    }
}
