import DevKafka
import KafkaClient
import ServiceConfiguration
import Testing

/// What Escapement relies on, asked of a real Kafka where the environment names one. One after another: a shared
/// cluster is not to be loaded.
@Suite(.serialized) struct LiveKafkaTests {
    // One test for each: a case of a test with arguments that is left out would show as passed.

    @Test func `PLAIN logs in, and a wrong password does not`() async throws { try await Self.tryOut(.plain) }

    @Test func `SCRAM-SHA-256 logs in, and a wrong password does not`() async throws {
        try await Self.tryOut(.scramSHA256)
    }

    @Test func `SCRAM-SHA-512 logs in, and a wrong password does not`() async throws {
        try await Self.tryOut(.scramSHA512)
    }

    @Test func `OAUTHBEARER logs in, and a wrong token does not`() async throws { try await Self.tryOut(.oauthBearer) }

    @Test func `GSSAPI logs in, and not at a service that nobody knows`() async throws {
        try await Self.tryOut(.gssapi)
    }

    /// Logs in by a mechanism, and does not with wrong credentials. One that cannot be tried, and need not, is shown as
    /// cancelled with the reason.
    private static func tryOut(_ mechanism: KafkaSettings.Mechanism) async throws {
        var reason: String?
        try await LiveKafka.with { kafka, topic async throws in
            let obstacle = try await Self.obstacle(to: mechanism, kafka, topic)
            if kafka.requires(mechanism) {
                #expect(obstacle == nil, "\(mechanism.rawValue) was not tried")
            } else {
                reason = obstacle
            }
        }
        // Not within: the topic has still to be deleted, and what is cancelled does nothing more.
        if let reason { try Test.cancel("\(reason)") }
    }

    /// - Returns: why the mechanism could not be tried; `nil` when it was.
    private static func obstacle(
        to mechanism: KafkaSettings.Mechanism, _ kafka: LiveKafka, _ topic: String
    ) async throws -> String? {
        guard let (right, wrong) = kafka.logins(by: mechanism) else {
            return "the environment holds nothing to log in with by \(mechanism.rawValue)"
        }
        let monitor = kafka.monitor(wrong)
        let refused = try KafkaAdmin(settings: wrong, logger: LiveKafka.logger, health: monitor)
        await #expect(throws: KafkaError.self) { try await refused.metadata(timeout: .seconds(5)) }
        await refused.close()
        let reason = monitor.reason ?? ""
        // What comes before the credentials, with the mechanisms that there are.
        if reason.contains("mechanism handshake failed") { return reason }
        let isRefused = reason.contains("SASL authentication failed")
        // A broker may also hang up on a mechanism that it does not enable.
        if !isRefused, !kafka.requires(mechanism) { return reason }
        #expect(isRefused, "\(reason)")
        let admin = try kafka.admin(right)
        var obstacle: String?
        do {
            // Each client begins with a broker of its own choice.
            try await kafka.eventually("\(mechanism.rawValue) shows the topic") {
                try await admin.metadata(topic: topic, timeout: LiveKafka.patience).topics.map(\.partitionCount) == [1]
            }
        } catch  where !kafka.requires(mechanism) {
            // Enabled, but not for this account.
            obstacle = "\(error)"
        }
        await admin.close()
        return obstacle
    }

    @Test func `transactions are seen whole, or not at all by readers of committed records`() async throws {
        try await LiveKafka.with { kafka, topic async throws in
            let producer = try await kafka.transactional("lane")
            try await producer.begin()
            #expect(await producer.produce(KafkaRecordBatch(topic, "a", "b")).allSatisfy(\.isDelivered))
            try await producer.commit(timeout: LiveKafka.patience)
            try await producer.begin()
            #expect(await producer.produce(KafkaRecordBatch(topic, "aborted")).allSatisfy(\.isDelivered))
            try await producer.abort(timeout: LiveKafka.patience)
            await producer.close()
            let plain = try kafka.producer()
            #expect(await plain.produce(KafkaRecordBatch(topic, "end")).allSatisfy(\.isDelivered))
            await plain.close()
            #expect(try await kafka.consume(topic, until: "end") == ["a", "b", "end"])
            #expect(
                try await kafka.consume(topic, until: "end", isolation: "read_uncommitted")
                    == ["a", "b", "aborted", "end"])
        }
    }

    @Test func `a zombie of a lane is fenced and what it wrote is aborted`() async throws {
        try await LiveKafka.with { kafka, topic async throws in
            let zombie = try await kafka.transactional("lane")
            try await zombie.begin()
            #expect(await zombie.produce(KafkaRecordBatch(topic, "zombie")).allSatisfy(\.isDelivered))
            let owner = try await kafka.transactional("lane")
            let failure = await #expect(throws: KafkaError.self) {
                try await zombie.commit(timeout: LiveKafka.patience)
            }
            #expect(failure?.isFenced == true || zombie.isFenced, "\(String(describing: failure))")
            try await owner.begin()
            #expect(await owner.produce(KafkaRecordBatch(topic, "owner")).allSatisfy(\.isDelivered))
            try await owner.commit(timeout: LiveKafka.patience)
            #expect(try await kafka.consume(topic, until: "owner") == ["owner"])
            await zombie.close()
            await owner.close()
        }
    }

    @Test func `a record with 10 MB of headers is refused and the next one is taken`() async throws {
        try await LiveKafka.with { kafka, topic async throws in
            // Above what the client itself would let pass, so that the broker is asked.
            let producer = try kafka.producer([.init("message.max.bytes", "20000000")])
            var batch = KafkaRecordBatch()
            batch.append(topic: topic, partition: 0, key: [UInt8]?.none, value: [1]) { headers in
                for number in 0..<10 {
                    headers.add("h\(number)", [UInt8](repeating: UInt8(number), count: 1_048_576))
                }
            }
            let refused = await producer.produce(batch)
            #expect(refused.map(\.code) == [.messageTooLarge])
            await producer.close()
            let next = try kafka.producer()
            #expect(await next.produce(KafkaRecordBatch(topic, "small")).allSatisfy(\.isDelivered))
            await next.close()
            #expect(try await kafka.consume(topic, until: "small") == ["small"])
        }
    }

    @Test func `a topic that is deleted under way fails its records for good`() async throws {
        try await LiveKafka.with { kafka, topic async throws in
            let doomed = "\(topic)-doomed"
            let admin = try kafka.admin()
            #expect(
                try await admin.create(
                    KafkaNewTopic(name: doomed, partitionCount: 1, replicationFactor: -1),
                    timeout: LiveKafka.patience))
            try await kafka.awaitTopic(doomed)
            // Otherwise the client hopes for half a minute that a broker will remember it.
            let producer = try kafka.producer([.init("topic.metadata.propagation.max.ms", "1000")])
            #expect(await producer.produce(KafkaRecordBatch(doomed, "a")).allSatisfy(\.isDelivered))
            #expect(try await admin.delete(topic: doomed, timeout: LiveKafka.patience))
            // A producer's question about a topic makes it again where brokers are set so: nothing fails then.
            if try await !kafka.createsTopicsByItself(admin) {
                // The answer comes before all brokers have dropped it.
                try await kafka.eventually("the topic is unknown") {
                    try await admin.delete(topic: doomed, timeout: LiveKafka.patience) == false
                }
                try await kafka.eventually("its records are refused") {
                    await producer.produce(KafkaRecordBatch(doomed, "b")).allSatisfy { !$0.isDelivered }
                }
            }
            #expect(await producer.produce(KafkaRecordBatch(topic, "other")).allSatisfy(\.isDelivered))
            await producer.close()
            await admin.close()
        }
    }

    @Test(.enabled(if: !LiveKafka.isNamed, "a broker is restarted only where it is ours"))
    func `a broker restart is ridden out`() async throws {
        try await LiveKafka.with { kafka, topic async throws in
            let cluster = try #require(kafka.dev)
            let producer = try await kafka.transactional("lane")
            for round in 1...3 {
                let leader = try #require(try await cluster.leader(of: TopicPartition(topic, 0)))
                try await producer.begin()
                #expect(await producer.produce(KafkaRecordBatch(topic, "\(round)")).allSatisfy(\.isDelivered))
                try await cluster.setBroker(leader, isUp: false)
                try await producer.commit(timeout: LiveKafka.patience)
                try await cluster.setBroker(leader, isUp: true)
            }
            await producer.close()
            #expect(try await kafka.consume(topic, until: "3") == ["1", "2", "3"])
        }
    }
}
