import DispatcherDomain
import EscapementModel
import NIOCore
import Synchronization
import Testing

@testable import DispatcherService

/// Brokers judge batches: who is refused beside others may be innocent.
@Suite struct BatchSizesTests {
    private let topics = FakeTopics()

    private func record(_ byteCount: Int, _ topic: String = "small") -> OutgoingRecord {
        OutgoingRecord(topic: topic, key: nil, value: ByteBuffer(repeating: 0x20, count: byteCount))
    }

    private func producer(isTransactional: Bool) -> any LaneProducer {
        isTransactional
            ? TransactionalProducer(lane: LaneID(0), sessions: self.topics, clocks: SkippingClocks(), seed: 1)
            : AtLeastOnceProducer(
                producer: DecidingTopics(topics: self.topics), clocks: SkippingClocks(), seed: 1)
    }

    /// As the Kafka client is used without transactions.
    private final class DecidingTopics: RecordProducer {
        private let topics: FakeTopics
        private let sizes = Mutex(BatchSizes())

        init(topics: FakeTopics) { self.topics = topics }

        func produce(_ records: [OutgoingRecord], handedOver: @Sendable () -> Void) async -> [RecordDelivery] {
            var sizes = self.sizes.withLock { $0 }
            let topics = self.topics
            let deliveries = await DecidingProducer { await topics.produce($0, handedOver: $1) }
                .produce(records, sizes: &sizes, handedOver: handedOver)
            self.sizes.withLock { $0.merge(sizes) }
            return deliveries
        }
    }

    private func publish(
        _ records: [OutgoingRecord], _ producer: any LaneProducer, deadLetters: [OutgoingRecord] = []
    ) async throws -> (fates: [RecordFate], lost: [String]) {
        let seen = Mutex<[RecordFate]>([])
        let settlement = try await producer.publish(
            Publication(
                records,
                settle: { fates in
                    seen.withLock { $0 = fates }
                    return Settlement(
                        settledAt: .distantPast, deadLetters: deadLetters,
                        journal: [OutgoingRecord(topic: "j", partition: 0, key: nil, value: ByteBuffer(string: "j"))])
                }))
        return (seen.withLock { $0 }, settlement.lostLetters)
    }

    private func isTooLarge(_ fate: RecordFate) -> Bool {
        if case .refused(.tooLarge, _, _) = fate { true } else { false }
    }

    @Test(arguments: [true, false])
    func `only the fire that is too large itself fails`(isTransactional: Bool) async throws {
        self.topics.state.withLock { $0.batchBytesMax = ["small": 2000] }
        let producer = self.producer(isTransactional: isTransactional)
        try await producer.begin(confirm: { _ in .stands })
        var records = (0..<40).map { _ in self.record(500) }
        records.insert(self.record(3000), at: 17)
        records += [self.record(5000, "large")]
        let (fates, _) = try await self.publish(records, producer)
        #expect(fates.indices.filter { self.isTooLarge(fates[$0]) } == [17])
        #expect(self.topics.committed("small").count == 40)
        #expect(self.topics.committed("large").count == 1)
        #expect(self.topics.committed("j").count == 1)
    }

    @Test(arguments: [true, false])
    func `many that are too large themselves do not take an attempt each`(isTransactional: Bool) async throws {
        self.topics.state.withLock { $0.batchBytesMax = ["small": 2000] }
        let producer = self.producer(isTransactional: isTransactional)
        try await producer.begin(confirm: { _ in .stands })
        let records = (0..<200).map { self.record($0 % 2 == 0 ? 3000 : 500) }
        let (fates, _) = try await self.publish(records, producer)
        #expect(fates.indices.filter { self.isTooLarge(fates[$0]) } == fates.indices.filter { $0 % 2 == 0 })
        #expect(self.topics.sessionCount < 20)
        #expect(self.topics.committed("small").count == 100)
        // The next publish asks again: more may be allowed meanwhile.
        self.topics.state.withLock { $0.batchBytesMax = [:] }
        let (later, _) = try await self.publish(records, producer)
        #expect(!later.contains { self.isTooLarge($0) })
    }

    @Test(arguments: [true, false])
    func `fires that are too large together go in parts, and later ones at once so`(isTransactional: Bool) async throws
    {
        self.topics.state.withLock { $0.batchBytesMax = ["small": 2000] }
        let producer = self.producer(isTransactional: isTransactional)
        try await producer.begin(confirm: { _ in .stands })
        let records = (0..<100).map { _ in self.record(500) }
        let (first, _) = try await self.publish(records, producer)
        #expect(!first.contains { self.isTooLarge($0) })
        let sessions = self.topics.sessionCount
        let (second, _) = try await self.publish(records, producer)
        #expect(!second.contains { self.isTooLarge($0) })
        #expect(self.topics.sessionCount == sessions, "what was learnt is remembered")
        #expect(self.topics.committed("small").count == 200)
    }

    @Test(arguments: [true, false])
    func `dead letters that are too large together are all written`(isTransactional: Bool) async throws {
        self.topics.state.withLock { $0.batchBytesMax = ["dead": 2000] }
        let producer = self.producer(isTransactional: isTransactional)
        try await producer.begin(confirm: { _ in .stands })
        let letters = (0..<10).map { _ in self.record(700, "dead") }
        let (_, lost) = try await self.publish([self.record(1)], producer, deadLetters: letters)
        #expect(lost.isEmpty)
        #expect(self.topics.committed("dead").count == 10)
    }

    @Test func `records are cut where the next one would not fit`() {
        var sizes = BatchSizes()
        let records = [self.record(100), self.record(1, "other"), self.record(100), self.record(900), self.record(1)]
        #expect(sizes.groups(records) == [0..<5])
        #expect(sizes.groups([]) == [])
        let refused = RecordDelivery.refused(.tooLarge, detail: "")
        let taken = RecordDelivery.delivered(partition: 0, offset: 0)
        #expect(sizes.undecided(records, [taken, refused, taken, refused, taken]) == [], "each was alone")
        #expect(sizes.undecided(records, [refused, taken, refused, taken, taken]) == [0, 2])
        #expect(sizes.groups(records) == [0..<2, 2..<3, 3..<4, 4..<5])
        #expect(sizes.undecided([records[3]], [refused]) == [])
    }
}
