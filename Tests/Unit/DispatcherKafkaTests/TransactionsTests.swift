import DevKafka
import DispatcherDomain
import DispatcherKafka
import DispatcherService
import EscapementModel
import NIOCore
import Observability
import Synchronization
import Testing

@Suite struct TransactionsTests {
    private let fires = "escapement.fires"
    private let journal = PublishingRules.journalTopic(of: KafkaFixture.cluster)

    private func publish(
        _ producer: any LaneProducer, _ records: [OutgoingRecord],
        told: @escaping @Sendable ([RecordFate]) -> Void = { _ in }
    ) async throws(PublishError) {
        let publication = Publication(
            records,
            settle: { fates in
                told(fates)
                let delivered = fates.count { if case .delivered = $0 { true } else { false } }
                return Settlement(
                    settledAt: .distantPast,
                    journal: [
                        OutgoingRecord(
                            topic: PublishingRules.journalTopic(of: KafkaFixture.cluster), partition: 0, key: nil,
                            value: ByteBuffer(string: "\(delivered)/\(fates.count)"))
                    ])
            })
        _ = try await producer.publish(publication)
    }

    @Test func `a committed transaction is there as a whole, an aborted one is not`() async throws {
        try await KafkaFixture.with { fixture in
            let session = try await fixture.sessions.makeSession(for: LaneID(0))
            try await session.initialize()
            try await session.begin()
            let deliveries = await session.produce([KafkaFixture.record("a"), KafkaFixture.record("b")])
            #expect(deliveries == [.delivered(partition: 0, offset: 0), .delivered(partition: 0, offset: 1)])
            #expect(try await fixture.texts(self.fires) == [])
            try await session.commit()
            #expect(try await fixture.texts(self.fires) == ["a", "b"])
            #expect(!session.isTainted)
            try await session.begin()
            _ = await session.produce([KafkaFixture.record("c")])
            try await session.abort()
            #expect(session.isTainted, "what was aborted may have requests on their way")
            #expect(try await fixture.texts(self.fires) == ["a", "b"])
            #expect(try await fixture.texts(self.fires, isCommittedOnly: false) == ["a", "b", "c"])
        }
    }

    @Test func `a topic that is deleted and created again under way gets what comes afterwards`() async throws {
        try await KafkaFixture.with { fixture in
            let producer = fixture.producer()
            try await producer.begin(confirm: { _ in .stands })
            try await self.publish(producer, [KafkaFixture.record("before")])
            try await fixture.broker.deleteTopic(self.fires)
            try await fixture.broker.createTopic(self.fires, partitions: 2)
            for number in 0..<3 { try await self.publish(producer, [KafkaFixture.record("\(number)")]) }
            #expect(try await fixture.texts(self.fires) == ["0", "1", "2"])
            #expect(try await fixture.texts(self.journal) == ["1/1", "1/1", "1/1", "1/1"])
        }
    }

    @Test func `a zombie's transaction comes to nothing`() async throws {
        try await KafkaFixture.with { fixture in
            let zombie = try await fixture.sessions.makeSession(for: LaneID(0))
            try await zombie.initialize()
            try await zombie.begin()
            _ = await zombie.produce([KafkaFixture.record("zombie")])
            let owner = try await fixture.sessions.makeSession(for: LaneID(0))
            try await owner.initialize()
            do throws(TransactionError) {
                try await zombie.commit()
                Issue.record("a fenced producer committed")
            } catch {
                guard case .fenced = error else {
                    Issue.record("the error is \(error)")
                    return
                }
            }
            try await owner.begin()
            _ = await owner.produce([KafkaFixture.record("owner")])
            try await owner.commit()
            #expect(try await fixture.texts(self.fires) == ["owner"])
        }
    }

    @Test func `an answer that is lost taints the session, and nothing is there twice`() async throws {
        try await KafkaFixture.with { fixture in
            let recycled = Counter()
            let producer = fixture.producer(recycled: { recycled.increment() })
            try await producer.begin(confirm: { _ in .stands })
            for number in 0..<4 {
                try await fixture.broker.order(Fault(.dropAnswer, api: .endTransaction))
                try await self.publish(producer, [KafkaFixture.record("\(number)")])
            }
            #expect(try await fixture.texts(self.fires) == ["0", "1", "2", "3"])
            #expect(try await fixture.texts(self.journal) == ["1/1", "1/1", "1/1", "1/1"])
            #expect(recycled.value >= 3)
        }
    }

    @Test func `ends of transactions that arrive again later end no other transaction`() async throws {
        try await KafkaFixture.with { fixture in
            let producer = fixture.producer()
            try await producer.begin(confirm: { _ in .stands })
            for number in 0..<10 {
                try await fixture.broker.order(Fault(.dropAnswer, api: .endTransaction))
                try await fixture.broker.order(Fault(.duplicate(afterMilliseconds: 30), api: .endTransaction))
                try await self.publish(producer, [KafkaFixture.record("\(number)")])
            }
            #expect(try await fixture.texts(self.fires) == (0..<10).map { "\($0)" })
        }
    }

    @Test func `a produce that fails is repeated by a new session, visible once`() async throws {
        try await KafkaFixture.with { fixture in
            let producer = fixture.producer()
            try await producer.begin(confirm: { _ in .stands })
            try await fixture.broker.order(Fault(.disconnect, api: .produce, count: 2))
            try await fixture.broker.order(Fault(.error(.coordinatorNotAvailable), api: .endTransaction))
            try await self.publish(producer, [KafkaFixture.record("a"), KafkaFixture.record("b")])
            #expect(try await fixture.texts(self.fires) == ["a", "b"])
            #expect(try await fixture.texts(self.journal) == ["2/2"])
        }
    }

    @Test func `leaders that move between and under transactions cost nothing and double nothing`() async throws {
        try await KafkaFixture.with(brokers: 3) { fixture in
            let producer = fixture.producer()
            try await producer.begin(confirm: { _ in .stands })
            try await fixture.broker.createTopic("moving", partitions: 3, replicas: 3)
            func moveAll(to broker: Int32) async throws {
                for number in 0..<3 as Range<Int32> {
                    try await fixture.broker.moveLeader(of: TopicPartition("moving", number), to: broker)
                }
            }
            for number in 0..<9 {
                async let published: Void = self.publish(
                    producer, (0..<5).map { KafkaFixture.record("\(number)-\($0)", topic: "moving") })
                try await moveAll(to: Int32(number % 3) + 1)
                try await published
            }
            let expected = (0..<9).flatMap { number in (0..<5).map { "\(number)-\($0)" } }
            #expect(try await fixture.texts("moving").sorted() == expected)
            #expect(try await fixture.texts(self.journal) == Array(repeating: "5/5", count: 9))
        }
    }

    @Test(arguments: [ErrorCode.producerFenced, .invalidProducerEpoch])
    func `a broker that fences a produce takes the lane away, and nobody is fenced in turn`(
        code: ErrorCode
    ) async throws {
        try await KafkaFixture.with { fixture in
            let recycled = Counter()
            let producer = fixture.producer(recycled: { recycled.increment() })
            try await producer.begin(confirm: { _ in .stands })
            try await fixture.broker.order(Fault(.error(code), api: .produce))
            let error = await #expect(throws: PublishError.self) {
                try await self.publish(producer, [KafkaFixture.record("a")])
            }
            guard case .laneLost? = error else {
                Issue.record("\(error as Any)")
                return
            }
            #expect(try await fixture.texts(self.fires).isEmpty)
            #expect(try await fixture.texts(self.journal).isEmpty)
            #expect(recycled.value == 1, "the session is closed, and no other is made")
        }
    }

    @Test func `why a lane cannot begin is told while it is tried again`() async throws {
        try await KafkaFixture.with { fixture in
            try await fixture.broker.order(
                Fault(.error(.transactionalIDAuthorizationFailed), api: .initProducerID, count: 2))
            let told = Mutex<[String]>([])
            let producer = fixture.producer()
            try await producer.begin(
                confirm: { _ in .stands }, trouble: { reason in told.withLock { $0.append(reason) } })
            #expect(told.withLock { $0 }.contains { $0.lowercased().contains("authoriz") }, "\(told.withLock { $0 })")
            try await self.publish(producer, [KafkaFixture.record("a")])
            #expect(try await fixture.texts(self.fires) == ["a"])
        }
    }

    /// Who may describe a topic and not write to it learns that when a transaction begins to use it, and no other partition
    /// of that request is tried.
    @Test func `a topic that may not be written to is left out, and the rest arrives`() async throws {
        try await KafkaFixture.with { fixture in
            try await fixture.broker.createTopic("guarded", partitions: 2)
            try await fixture.broker.order(
                Fault(.error(.topicAuthorizationFailed), api: .addPartitionsToTransaction, topic: "guarded", count: 100)
            )
            let fates = Mutex<[RecordFate]>([])
            let producer = fixture.producer()
            try await producer.begin(confirm: { _ in .stands })
            try await self.publish(
                producer,
                [KafkaFixture.record("a"), KafkaFixture.record("secret", topic: "guarded"), KafkaFixture.record("b")]
            ) { told in fates.withLock { $0 = told } }
            #expect(try await fixture.texts(self.fires) == ["a", "b"])
            #expect(try await fixture.texts("guarded") == [])
            #expect(try await fixture.texts(self.journal) == ["2/3"])
            guard case .refused(.forbiddenTopic, _, _) = fates.withLock({ $0 })[1] else {
                Issue.record("\(fates.withLock { $0 })")
                return
            }
        }
    }

    /// Brokers refuse a batch as a whole.
    @Test(arguments: [true, false])
    func `a fire that is too large for its topic takes no other with it`(isTransactional: Bool) async throws {
        try await KafkaFixture.with { fixture in
            try await fixture.broker.createTopic("small", partitions: 1, settings: ["max.message.bytes": "2000"])
            let producer: any LaneProducer =
                isTransactional
                ? fixture.producer()
                : AtLeastOnceProducer(
                    producer: SharedProducer(connection: fixture.connection), clocks: SystemClocks(), seed: 1)
            try await producer.begin(confirm: { _ in .stands })
            var texts = (0..<10).map { "\($0)" + String(repeating: "x", count: 512) }
            let small = texts
            texts.insert(String(repeating: "y", count: 3000), at: 4)
            let fates = Mutex<[RecordFate]>([])
            try await self.publish(producer, texts.map { KafkaFixture.record($0, topic: "small") }) { told in
                fates.withLock { $0 = told }
            }
            let refused = fates.withLock { fates in
                fates.indices.filter { if case .refused(.tooLarge, _, _) = fates[$0] { true } else { false } }
            }
            #expect(refused == [4])
            #expect(try await Set(fixture.texts("small")) == Set(small))
            #expect(try await fixture.texts("small").count == 10)
            #expect(try await fixture.texts(self.journal) == ["10/11"])
        }
    }

    @Test func `what Kafka never takes is left out, and the rest arrives`() async throws {
        try await KafkaFixture.with { fixture in
            let producer = fixture.producer()
            try await producer.begin(confirm: { _ in .stands })
            let large = String(repeating: "x", count: 2_000_000)
            try await self.publish(
                producer,
                [
                    KafkaFixture.record("a"), KafkaFixture.record("nobody", topic: "no such topic"),
                    KafkaFixture.record(large), KafkaFixture.record("b"),
                ])
            #expect(try await fixture.texts(self.fires) == ["a", "b"])
            #expect(try await fixture.texts(self.journal) == ["2/4"])
        }
    }
}
