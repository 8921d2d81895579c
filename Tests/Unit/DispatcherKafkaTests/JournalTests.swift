import DevKafka
import DispatcherDomain
import DispatcherKafka
import DispatcherService
import EscapementModel
import Foundation
import NIOCore
import Observability
import ServiceConfiguration
import Testing

@Suite struct JournalTests {
    private let lane = LaneID(1)

    private func append(_ number: UInt64, _ fixture: KafkaFixture, _ session: any TransactionSession) async throws {
        let record = JournalRecord(
            lane: self.lane, laneEpoch: Epoch(1), sequence: number, dispatcher: NodeID("d"), body: .entry([], []))
        try await session.begin()
        _ = await session.produce([
            OutgoingRecord(
                topic: PublishingRules.journalTopic(of: KafkaFixture.cluster), partition: 1, key: nil,
                value: JournalCodec.encode(record))
        ])
        if number.isMultiple(of: 3) { try await session.abort() } else { try await session.commit() }
    }

    /// Entries 1 to 6; 3 and 6 are aborted.
    private func write(_ fixture: KafkaFixture) async throws -> Int64 {
        for number: UInt64 in 1...6 {
            let session = try await fixture.sessions.makeSession(for: self.lane)
            try await session.initialize()
            try await self.append(number, fixture, session)
            await session.close()
        }
        let session = try await fixture.sessions.makeSession(for: self.lane)
        try await session.initialize()
        try await session.begin()
        let barrier = await session.produce([
            OutgoingRecord(
                topic: PublishingRules.journalTopic(of: KafkaFixture.cluster), partition: 1, key: nil,
                value: ByteBuffer(string: "barrier"))
        ])
        try await session.commit()
        guard case .delivered(_, let offset) = barrier[0] else {
            Issue.record("no barrier: \(barrier)")
            return 0
        }
        return offset
    }

    @Test func `a tail read sees the committed records up to the barrier and no others`() async throws {
        try await KafkaFixture.with { fixture in
            let barrier = try await self.write(fixture)
            let reader = KafkaJournalReader(connection: fixture.connection, cluster: KafkaFixture.cluster)
            #expect(try await reader.firstOffset(of: self.lane) == 0)
            let records = try await reader.read(self.lane, from: 0, through: barrier)
            #expect(records.compactMap { $0.record?.sequence } == [1, 2, 4, 5])
            let again = try await reader.read(self.lane, from: records[2].offset, through: barrier)
            #expect(again.compactMap { $0.record?.sequence } == [4, 5])
        }
    }

    @Test func `a scan sees committed records in steps, from a time, an offset or the end`() async throws {
        try await KafkaFixture.with { fixture in
            let barrier = try await self.write(fixture)
            let reader = KafkaJournalReader(connection: fixture.connection, cluster: KafkaFixture.cluster)
            let early = try await reader.scan(self.lane, from: .since(.distantPast), max: 3)
            #expect(early.records.compactMap { $0.record?.sequence } == [1, 2, 4])
            #expect(!early.isEnd && early.reachesBack)
            let rest = try await reader.scan(self.lane, from: .offset(early.next), max: 10)
            #expect(rest.records.map { $0.record?.sequence } == [5, nil])
            #expect(rest.isEnd && rest.next > barrier)
            let tail = try await reader.scan(self.lane, from: .last(2), max: 10)
            #expect(tail.records.map(\.offset) == [barrier], "the last offset is the mark of the transaction")
            let future = WallInstant(milliseconds: SystemClocks().wallNow().milliseconds + 3_600_000)
            let none = try await reader.scan(self.lane, from: .since(future), max: 10)
            #expect(none.records.isEmpty && none.isEnd && none.reachesBack)
        }
    }

    @Test func `the recorder's feed goes on where it was committed`() async throws {
        try await KafkaFixture.with { fixture in
            _ = try await self.write(fixture)
            let group = PublishingRules.recorderGroup(of: KafkaFixture.cluster)
            let topic = PublishingRules.journalTopic(of: KafkaFixture.cluster)
            let feed = KafkaJournalFeed(connection: fixture.connection, topic: topic, group: group)
            #expect(try await feed.committed([self.lane]).isEmpty)
            try await feed.follow([self.lane: 0])
            var seen: [StoredJournalRecord] = []
            while seen.count < 5 {
                seen += try await feed.next(max: 10, timeout: .milliseconds(200)).map(\.record)
            }
            #expect(seen.map { $0.record?.sequence } == [1, 2, 4, 5, nil])
            try await feed.commit([self.lane: seen[2].offset])
            let other = KafkaJournalFeed(connection: fixture.connection, topic: topic, group: group)
            #expect(try await other.committed([self.lane]) == [self.lane: seen[2].offset])
        }
    }

    @Test func `parked fires are read up to the end, and the end is said`() async throws {
        try await KafkaFixture.with { fixture in
            let reader = KafkaJournalReader(connection: fixture.connection, cluster: KafkaFixture.cluster)
            #expect(try await reader.readParked(self.lane, .waiting, from: 0, max: 10).records.isEmpty)
            let session = try await fixture.sessions.makeSession(for: self.lane)
            try await session.initialize()
            try await session.begin()
            _ = await session.produce(
                ["a", "b"].map {
                    OutgoingRecord(
                        topic: PublishingRules.parkedTopic(of: KafkaFixture.cluster),
                        partition: ParkedQueue.waiting.partition(of: self.lane), key: nil,
                        value: ByteBuffer(string: $0))
                })
            try await session.commit()
            let found = try await reader.readParked(self.lane, .waiting, from: 0, max: 10)
            #expect(found.records.map { String(buffer: $0.bytes) } == ["a", "b"])
            #expect(found.next >= 2)
            #expect(try await reader.readParked(self.lane, .waiting, from: found.next, max: 10).records.isEmpty)
        }
    }

    @Test func `a broker that is silent for a while is not taken for the end of the parked fires`() async throws {
        try await KafkaFixture.with { fixture in
            let reader = KafkaJournalReader(connection: fixture.connection, cluster: KafkaFixture.cluster)
            let session = try await fixture.sessions.makeSession(for: self.lane)
            try await session.initialize()
            try await session.begin()
            let parked = OutgoingRecord(
                topic: PublishingRules.parkedTopic(of: KafkaFixture.cluster),
                partition: ParkedQueue.waiting.partition(of: self.lane), key: nil,
                value: ByteBuffer(string: "a"))
            _ = await session.produce([parked])
            try await session.commit()
            try await fixture.broker.order(Fault(.delayAnswer(milliseconds: 3000), api: .fetch))
            let found = try await reader.readParked(self.lane, .waiting, from: 0, max: 10)
            #expect(found.records.map { String(buffer: $0.bytes) } == ["a"])
        }
    }

    @Test func `a refused password is said in one line, and a mended file is enough`() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "password-\(UUID().uuidString)")
        try Data("wrong\n".utf8).write(to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await KafkaFixture.with(
            password: Secret(file: folder.path), credentials: Credentials(passwords: [KafkaFixture.user: "right"])
        ) { fixture in
            let topics = fixture.topics
            let keeper = KafkaKeeper(
                topics: { _ in topics }, connection: fixture.connection, health: fixture.health,
                clocks: SystemClocks(), logger: KafkaFixture.logger)
            let run = Task { try await keeper.run() }
            func reason() -> String? {
                if case .notReady(let reason) = fixture.health.status(of: KafkaConnection.check) { reason } else { nil }
            }
            while reason()?.contains("SASL authentication failed") != true { await Task.yield() }
            #expect(reason()?.contains("for user escapement (mechanism SCRAM-SHA-256)") == true)
            #expect(reason()?.contains("wrong") == false)
            #expect(!fixture.health.readiness.isOK)
            try Data("right\n".utf8).write(to: folder)
            while fixture.health.status(of: KafkaKeeper.check) != .ok { await Task.yield() }
            #expect(fixture.health.status(of: KafkaConnection.check) == .ok)
            #expect(fixture.health.readiness.isOK)
            run.cancel()
            _ = await run.result
            #expect(try await fixture.broker.records("escapement.fires").isEmpty, "the keeper created it")
        }
    }
}
