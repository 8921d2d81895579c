import DispatcherDomain
import DispatcherService
import EscapementModel
import JSON
import NIOCore
import Testing
import WireProtocol

@Suite struct JournalSearchTests {
    private let lane = LaneID(1)
    /// Of the lane, with four lanes.
    private let shard = ShardID(13)

    private func write(_ topics: FakeTopics, _ outcomes: [OutcomeRecord], settled: Int64) async {
        let state = ShardState(shard: self.shard, epoch: Epoch(1), cursor: Samples.cursor(settled))
        let entry = JournalRecord(
            lane: self.lane, laneEpoch: Epoch(1), sequence: 1, dispatcher: NodeID("dispatcher-7"),
            body: .entry([state], []))
        for value in Samples.journal(entry, outcomes, bytesMax: 300).records {
            let record = OutgoingRecord(topic: "escapement.test.journal", partition: 1, key: nil, value: value)
            _ = await topics.produce([record], handedOver: {})
        }
    }

    private func ask(
        _ topics: FakeTopics, scheduled: WallInstant, uid: UID = Samples.uid
    ) async throws -> JournalSearch.Answer {
        try await JournalSearch(journal: topics, laneCount: 4, clocks: SystemClocks()).answer(
            JournalSearch.Question(
                shard: self.shard, uid: uid, scheduled: scheduled, due: scheduled, isTimer: false))
    }

    private func outcome(_ kind: FireKind = .cron, through: Int64? = nil) -> OutcomeRecord {
        OutcomeRecord(
            id: Samples.id, kind: kind, uid: Samples.uid, generation: 3, shard: self.shard, epoch: Epoch(89),
            scheduled: Samples.due, due: Samples.due, settledAt: Samples.produced,
            outcome: through == nil ? .dispatched : .skipped, reason: through == nil ? .dispatched : .catchupLimit,
            count: through == nil ? 1 : 3, through: through.map { WallInstant(milliseconds: $0) }, namespace: "guest",
            name: "nightly-report", ticker: NodeID("ticker-1"))
    }

    @Test func `the outcome of an occurrence is found, and who wrote it`() async throws {
        let topics = FakeTopics()
        // Several parts: the outcome counts with the last record of its entry.
        await self.write(topics, [self.outcome(.manual), self.outcome()], settled: Samples.due.milliseconds)
        let answer = try await self.ask(topics, scheduled: Samples.due)
        #expect(answer.outcome?.kind == .cron, "a trigger is no occurrence")
        #expect(answer.dispatcher == NodeID("dispatcher-7"))
    }

    @Test func `a run of skipped occurrences stands for each of them`() async throws {
        let topics = FakeTopics()
        let last = Samples.due.milliseconds + 120_000
        await self.write(topics, [self.outcome(through: last)], settled: last)
        let inside = WallInstant(milliseconds: Samples.due.milliseconds + 60_000)
        #expect(try await self.ask(topics, scheduled: inside).outcome?.reason == .catchupLimit)
        #expect(try await self.ask(topics, scheduled: WallInstant(milliseconds: last + 1)).outcome == nil)
    }

    @Test func `without an outcome the cursor tells whether there should be one`() async throws {
        let topics = FakeTopics()
        #expect(try await self.ask(topics, scheduled: Samples.due).isSettled == nil, "an empty journal tells nothing")
        await self.write(topics, [], settled: Samples.due.milliseconds - 1)
        let before = try await self.ask(topics, scheduled: Samples.due)
        #expect(before.isSettled == false && before.isComplete)
        await self.write(topics, [], settled: Samples.due.milliseconds)
        #expect(try await self.ask(topics, scheduled: Samples.due).isSettled == true)
    }

    @Test func `a question over the link is answered with a document`() async throws {
        let topics = FakeTopics()
        await self.write(topics, [self.outcome()], settled: Samples.due.milliseconds)
        let queries = ActivationQueries(
            store: AbsentStore(), journal: JournalSearch(journal: topics, laneCount: 4, clocks: SystemClocks()),
            recent: RecentOutcomes(), cluster: "test", dispatcher: NodeID("d"))
        func ask(_ journal: JSONValue) async -> Result<JSONValue, ActivationQueryFailure> {
            let document: JSONValue = ["namespace": "guest", "journal": journal]
            return await queries.answer(ActivationQuery(document: ByteBuffer(bytes: document.bytes))).map {
                (try? JSONParser.parse($0.document.readableBytesView)) ?? .null
            }
        }
        let due = JSONValue.string(Samples.due.description)
        let found = try await ask([
            "shard": 13, "uid": .string(Samples.uid.hex), "scheduledAt": due, "dueAt": due, "kind": "cron",
        ]).get()
        #expect(found["items"]?[0]?["dispatcher"]?.stringValue == "dispatcher-7")
        #expect(found["journal"]?["settled"] == true)
        guard case .failure(let failure) = await ask(["shard": 13]) else {
            Issue.record("an unreadable question was answered")
            return
        }
        #expect(failure.code == "INVALID_QUERY" && failure.detail.contains("journal.uid"))
    }
}
