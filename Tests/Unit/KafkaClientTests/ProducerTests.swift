import DevKafka
import KafkaClient
import Testing

@Suite struct ProducerTests {
    @Test func `records arrive once and in order when answers are lost and requests repeated`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let producer = try kafka.producer()
            try await kafka.cluster.order(Fault(.dropAnswer, api: .produce, count: 2))
            try await kafka.cluster.order(Fault(.duplicate(afterMilliseconds: 0), api: .produce, count: 2))
            try await kafka.cluster.order(Fault(.error(.notLeaderOrFollower), api: .produce, count: 2))
            var expected: [String] = []
            for number in 0..<20 {
                expected.append("v\(number)")
                let deliveries = await producer.produce(KafkaRecordBatch("t", "v\(number)"))
                #expect(deliveries.map(\.offset) == [Int64(number)])
            }
            #expect(try await kafka.cluster.pendingFaultCount == 0)
            #expect(try await kafka.cluster.records("t").map(\.text) == expected)
            await producer.close()
        }
    }

    @Test func `a record above the topic's limit is refused for good and the next one is taken`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t", settings: ["max.message.bytes": "2000"])
            let producer = try kafka.producer()
            let refused = await producer.produce(KafkaRecordBatch("t", String(repeating: "x", count: 5000)))
            #expect(refused.map(\.code) == [.messageTooLarge])
            #expect(refused[0].code.isPermanentForRecord)
            await producer.close()
            let next = try kafka.producer()
            #expect(await next.produce(KafkaRecordBatch("t", "small")).allSatisfy(\.isDelivered))
            await next.close()
        }
    }

    @Test func `keys meet the partitions that Kafka's own clients choose`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.createTopic("t", partitions: 8)
            let producer = try kafka.producer()
            var batch = KafkaRecordBatch()
            // murmur2 of the key, modulo the partitions, as the Java client has it.
            for key in ["21", "foobar", "a-little-bit-long-string"] {
                batch.append(topic: "t", key: Array(key.utf8), value: [1])
            }
            let hashes: [Int32] = [-973_932_308, -790_332_482, -985_981_536]
            let deliveries = await producer.produce(batch)
            #expect(deliveries.map(\.partition) == hashes.map { ($0 & Int32.max) % 8 })
            await producer.close()
        }
    }

    @Test func `a broker that goes away and comes back delays records and loses none`() async throws {
        try await KafkaFixture.with(brokers: 3) { kafka async throws in
            try await kafka.cluster.createTopic("t", replicas: 2)
            let place = TopicPartition("t", 0)
            let producer = try kafka.producer()
            #expect(await producer.produce(KafkaRecordBatch("t", "a")).allSatisfy(\.isDelivered))
            let leader = try #require(try await kafka.cluster.leader(of: place))
            try await kafka.cluster.setBroker(leader, isUp: false)
            let other = try #require(try await kafka.cluster.leader(of: place))
            #expect(other != leader)
            #expect(await producer.produce(KafkaRecordBatch("t", "b")).allSatisfy(\.isDelivered))
            try await kafka.cluster.setBroker(other, isUp: false)
            #expect(try await kafka.cluster.leader(of: place) == nil)
            async let waiting = producer.produce(KafkaRecordBatch("t", "c"))
            try await kafka.cluster.setBroker(leader, isUp: true)
            #expect(await waiting.allSatisfy(\.isDelivered))
            try await kafka.cluster.setBroker(other, isUp: true)
            #expect(try await kafka.cluster.records("t").map(\.text) == ["a", "b", "c"])
            await producer.close()
        }
    }

    @Test func `too few replicas refuse records that want all acknowledgements`() async throws {
        try await KafkaFixture.with(brokers: 2) { kafka async throws in
            try await kafka.cluster.createTopic("t", replicas: 2, settings: ["min.insync.replicas": "2"])
            let producer = try kafka.producer(
                kafka.settings(more: [.init("message.timeout.ms", "1000")]))
            let leader = try #require(try await kafka.cluster.leader(of: TopicPartition("t", 0)))
            try await kafka.cluster.setBroker(leader == 1 ? 2 : 1, isUp: false)
            let refused = await producer.produce(KafkaRecordBatch("t", "a"))
            #expect(refused.allSatisfy { !$0.isDelivered })
            #expect(try await kafka.cluster.records("t").isEmpty)
            await producer.close()
        }
    }

    @Test func `a topic that stays unknown is a permanent failure where topics are not created by use`() async throws {
        try await KafkaFixture.with { kafka async throws in
            try await kafka.cluster.order(
                Fault(.error(.unknownTopicOrPartition), api: .metadata, topic: "nix", count: 1000))
            let producer = try kafka.producer(
                kafka.settings(more: [.init("topic.metadata.propagation.max.ms", "1000")]))
            let refused = await producer.produce(KafkaRecordBatch("nix", "a"))
            #expect(refused.allSatisfy { $0.code.isPermanentForRecord }, "\(refused)")
            await producer.close()
        }
    }
}
