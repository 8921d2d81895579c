import DevKafka
import DispatcherDomain
import DispatcherKafka
import DispatcherService
import EscapementModel
import NIOCore
import Observability
import ServiceConfiguration
import Testing

/// Lanes over brokers that lose what they acknowledged.
@Suite struct JournalLossTests {
    private func lane(
        _ epoch: UInt64, _ fixture: KafkaFixture, _ metrics: DispatcherMetrics, checkpoint: LaneMark?,
        lossPolicy: JournalLossPolicy, reply: @escaping @Sendable (LaneReply) -> Void = { _ in }
    ) -> LaneShell {
        let clocks = SystemClocks()
        let journal = KafkaJournalReader(connection: fixture.connection, cluster: KafkaFixture.cluster)
        return LaneShell(
            id: LaneID(0), epoch: Epoch(epoch), checkpoint: checkpoint,
            environment: LaneShell.Environment(
                producers: KafkaLaneProducers(
                    connection: fixture.connection, cluster: KafkaFixture.cluster, topics: ["escapement.fires"],
                    mode: .exactlyOnce, clocks: clocks, seed: 1, recycled: {}),
                journal: journal, parked: journal,
                keeper: ParkedKeeper(
                    probe: KafkaTopicProbe(connection: fixture.connection, clocks: clocks), web: nil, clocks: clocks),
                clocks: clocks,
                rules: PublishingRules(
                    cluster: KafkaFixture.cluster, dispatcher: NodeID("d"),
                    topics: TopicPolicy(
                        defaultTopic: "escapement.fires", deadLetterTopic: "escapement.deadletters", pattern: "",
                        internalPrefix: "escapement.test.")), lossPolicy: lossPolicy, metrics: metrics,
                logger: KafkaFixture.logger, seed: 1),
            reply: reply, settled: { _ in })
    }

    /// Runs a lane until `isDone` of it holds, and stops it.
    private func run(_ lane: LaneShell, until isDone: () -> Bool) async throws {
        let run = Task { await lane.run() }
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: .seconds(30))
        while !isDone(), clock.now < deadline { try await Task.sleep(for: .milliseconds(10)) }
        #expect(isDone())
        lane.stop()
        _ = await run.value
    }

    @Test func `parked fires that are gone are counted, and the lane goes on behind them`() async throws {
        try await KafkaFixture.with { fixture in
            let session = try await fixture.sessions.makeSession(for: LaneID(0))
            try await session.initialize()
            try await session.begin()
            let parked = TopicPartition(
                PublishingRules.parkedTopic(of: KafkaFixture.cluster), ParkedQueue.deliveries.partition(of: LaneID(0)))
            _ = await session.produce(
                (0..<4).map {
                    OutgoingRecord(
                        topic: parked.topic, partition: parked.partition, key: nil, value: ByteBuffer(string: "\($0)"))
                })
            try await session.commit()
            try await fixture.broker.loseHead(of: parked, before: 3)
            let metrics = DispatcherMetrics(MetricsRegistry())
            let lane = self.lane(1, fixture, metrics, checkpoint: nil, lossPolicy: .halt)
            // The last one is still there: nobody can read it, and it is settled.
            try await self.run(lane) { lane.mark?.deliveries == SettledOffsets(next: 5) }
            #expect(metrics.parkedLost.value == 3)
        }
    }

    @Test func `a journal that lost its tail halts the next owner, and nobody after it by the operator's word`()
        async throws
    {
        try await KafkaFixture.with { fixture in
            let metrics = DispatcherMetrics(MetricsRegistry())
            let first = self.lane(1, fixture, metrics, checkpoint: nil, lossPolicy: .halt)
            try await self.run(first) { first.mark != nil }
            let mark = try #require(first.mark)
            let journal = PublishingRules.journalTopic(of: KafkaFixture.cluster)
            // The restatement and its commit marker.
            #expect(try await fixture.broker.loseTail(of: TopicPartition(journal, 0), count: 2) >= 2)
            let second = self.lane(2, fixture, metrics, checkpoint: mark, lossPolicy: .halt)
            try await self.run(second) { metrics.lanesHalted.value == 1 }
            #expect(second.mark == nil)
            let third = self.lane(3, fixture, metrics, checkpoint: mark, lossPolicy: .resume)
            try await self.run(third) { third.mark != nil }
            #expect(try #require(third.mark).sequence == mark.sequence + 1)
            // From then on the journal is ahead of the checkpoint again.
            let fourth = self.lane(4, fixture, metrics, checkpoint: mark, lossPolicy: .halt)
            try await self.run(fourth) { fourth.mark != nil }
        }
    }
}
