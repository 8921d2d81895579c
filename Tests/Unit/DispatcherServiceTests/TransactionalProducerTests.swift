import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import Synchronization
import Testing

@Suite struct TransactionalProducerTests {
    private let topics: FakeTopics
    private let producer: TransactionalProducer
    private let journalTopic = "escapement.test.journal"

    init() {
        self.topics = FakeTopics(missing: ["gone"], recordBytesMax: 1000)
        self.producer = TransactionalProducer(
            lane: LaneID(0), sessions: self.topics, clocks: SkippingClocks(), seed: 1)
    }

    private func fire(_ text: String, topic: String = "fires") -> OutgoingRecord {
        OutgoingRecord(topic: topic, key: nil, value: ByteBuffer(string: text))
    }

    /// Publishes and writes one journal record that holds the fates as text.
    private func publish(_ records: [OutgoingRecord]) async throws(PublishError) -> Settlement {
        let publication = Publication(
            records,
            settle: { fates in
                let refused = zip(records, fates).filter { if case .refused = $1 { true } else { false } }.map(\.0)
                return Settlement(
                    settledAt: .distantPast,
                    deadLetters: refused.map { OutgoingRecord(topic: "dead", key: nil, value: $0.value) },
                    journal: [
                        OutgoingRecord(
                            topic: self.journalTopic, partition: 0, key: nil,
                            value: ByteBuffer(string: "\(fates.count)"))
                    ])
            })
        return try await self.producer.publish(publication)
    }

    private func texts(_ topic: String) -> [String] { self.topics.committed(topic).map { String(buffer: $0.value) } }

    @Test func `fires and journal become visible together`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        _ = try await self.publish([self.fire("a"), self.fire("b")])
        #expect(self.texts("fires") == ["a", "b"])
        #expect(self.texts(self.journalTopic) == ["2"])
        #expect(self.topics.sessionCount == 1, "one producer serves many transactions")
        _ = try await self.publish([self.fire("c")])
        #expect(self.topics.sessionCount == 1)
    }

    @Test func `a session in doubt is replaced before the next transaction`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        self.topics.inject(.taint)
        _ = try await self.publish([self.fire("a")])
        _ = try await self.publish([self.fire("b")])
        #expect(self.topics.sessionCount == 2)
        #expect(self.texts("fires") == ["a", "b"])
    }

    @Test func `what fails on the way is sent again in a new session, visible once`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        self.topics.inject(.produceUnavailable, .commitRefused, .initializeUnavailable)
        _ = try await self.publish([self.fire("a"), self.fire("b")])
        #expect(self.texts("fires") == ["a", "b"])
        #expect(self.texts(self.journalTopic) == ["2"])
        #expect(self.topics.sessionCount >= 3)
    }

    @Test func `a refused record is left out of the transaction that is sent again`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        let large = String(repeating: "x", count: 2000)
        _ = try await self.publish([self.fire("a"), self.fire("lost", topic: "gone"), self.fire(large), self.fire("b")])
        #expect(self.texts("fires") == ["a", "b"])
        #expect(self.texts("dead") == ["lost"], "the copy that is too large itself is given up")
        #expect(self.texts(self.journalTopic) == ["4"])
    }

    @Test(arguments: [FakeTopics.Fault.produceFenced, .beginFenced])
    func `any sign of fencing gives the lane up`(fault: FakeTopics.Fault) async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        self.topics.inject(fault)
        await #expect(throws: PublishError.laneLost("fenced")) { try await self.publish([self.fire("a")]) }
        #expect(self.texts("fires") == [])
    }

    @Test func `an abort that is fenced gives the lane up, and fences nobody in turn`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        self.topics.inject(.produceUnavailable)
        self.topics.state.withLock { $0.isNextAbortFenced = true }
        await #expect(throws: PublishError.laneLost("a newer producer has the transactional id")) {
            try await self.publish([self.fire("a")])
        }
        #expect(self.topics.sessionCount == 1, "another session would have fenced the new owner")
        #expect(self.texts("fires") == [])
    }

    @Test func `a second producer of the lane fences the first`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        let other = TransactionalProducer(lane: LaneID(0), sessions: self.topics, clocks: SkippingClocks(), seed: 2)
        try await other.begin(confirm: { _ in .stands })
        await #expect(throws: PublishError.laneLost("fenced")) { try await self.publish([self.fire("zombie")]) }
        #expect(self.texts("fires") == [])
    }

    /// Found by simulation: seed 225 woke a deposed owner, whose replaced session fenced the new owner and published.
    @Test func `a replaced session publishes nothing until the journal says that nobody else has`() async throws {
        let standings = Mutex<[LaneStanding]>([
            .unknown("no broker"), .stands, .moved("lane epoch 2 is in the journal"),
        ])
        try await self.producer.begin(confirm: { append in
            guard await append(self.fire("barrier", topic: self.journalTopic)) != nil else { return .unknown("lost") }
            return standings.withLock { $0.removeFirst() }
        })
        self.topics.inject(.taint)
        _ = try await self.publish([self.fire("a")])
        #expect(standings.withLock { $0.count } == 3, "the first session has nothing to confirm")
        _ = try await self.publish([self.fire("b")])
        #expect(standings.withLock { $0.count } == 1, "what is unknown is asked again, in another session")
        self.topics.inject(.taint)
        _ = try await self.publish([self.fire("c")])
        await #expect(throws: PublishError.laneLost("lane epoch 2 is in the journal")) {
            try await self.publish([self.fire("zombie")])
        }
        #expect(self.texts("fires") == ["a", "b", "c"])
    }

    @Test(arguments: [true, false])
    func `a commit whose outcome nobody knows gives the lane up`(applied: Bool) async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        self.topics.inject(.commitUnknown(applied: applied))
        await #expect(throws: PublishError.self) { try await self.publish([self.fire("a")]) }
        #expect(self.texts("fires") == (applied ? ["a"] : []), "sent again it could be there twice")
    }

    @Test func `a dead letter that is not taken is given up, and said to be`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        // Too large for its topic, and then for that of the dead letters.
        let large = self.fire(String(repeating: "x", count: 2000))
        let settlement = try await self.publish([self.fire("a"), large])
        #expect(settlement.lostLetters.count == 1, "\(settlement.lostLetters)")
        #expect(self.texts("fires") == ["a"])
        #expect(self.texts(self.journalTopic) == ["2"], "the outcome is there")
        #expect(try await self.publish([self.fire("b")]).lostLetters.isEmpty)
    }

    @Test func `a cancelled publish ends without a result`() async throws {
        try await self.producer.begin(confirm: { _ in .stands })
        for _ in 0..<100 { self.topics.inject(.produceUnavailable) }
        let task = Task { try await self.publish([self.fire("a")]) }
        task.cancel()
        await #expect(throws: PublishError.stopped) { try await task.value }
    }
}

@Suite struct AtLeastOnceProducerTests {
    private let topics = FakeTopics(missing: ["gone"])

    @Test func `only what was not taken is sent again, and the journal comes last`() async throws {
        let producer = AtLeastOnceProducer(producer: self.topics, clocks: SkippingClocks(), seed: 1)
        self.topics.inject(.produceUnavailable)
        let records =
            ["a", "b"].map { OutgoingRecord(topic: "fires", key: nil, value: ByteBuffer(string: $0)) }
            + [OutgoingRecord(topic: "gone", key: nil, value: ByteBuffer(string: "c"))]
        let seen = Mutex<[RecordFate]>([])
        let publication = Publication(
            records,
            settle: { fates in
                seen.withLock { $0 = fates }
                return Settlement(
                    settledAt: .distantPast,
                    journal: [OutgoingRecord(topic: "j", partition: 0, key: nil, value: ByteBuffer(string: "j"))])
            })
        _ = try await producer.publish(publication)
        #expect(
            seen.withLock { $0 } == [
                .delivered(partition: 0, offset: 1, attempts: 2), .delivered(partition: 0, offset: 0, attempts: 1),
                .refused(.unknownTopic, detail: "no such topic", attempts: 1),
            ])
        #expect(self.topics.committed("fires").map { String(buffer: $0.value) } == ["b", "a"])
        #expect(self.topics.committed("j").count == 1)
    }
}
