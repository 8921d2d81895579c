import DispatcherDomain
@testable import DispatcherService
import EscapementModel
import Observability
import Synchronization
import Testing
import WireProtocol

/// What becomes of fires that wait when their topic turns out to be one that they may not go to.
extension ParkedFireTests {
    private var away: String { "team.away" }
    private var other: String { "team.other" }

    private func letters(_ topics: FakeTopics) -> [OutgoingRecord] { topics.committed("escapement.deadletters") }

    private func ids(_ records: [OutgoingRecord]) -> Set<String> {
        Set(records.compactMap { record in record.headers.first { $0.name == "ce_id" }?.value })
    }

    /// Three fires for `away` wait, and behind them one for `other`.
    private func park(_ fixture: LaneFixture) async {
        fixture.topics.state.withLock { $0.leaderless = [self.away, self.other] }
        await self.publish(0..<3, self.away, fixture)
        await self.publish(self.other, fixture, from: self.cursor(2), to: self.cursor(3))
        #expect(fixture.shell.mark?.waiting.holds(self.away) == true)
        #expect(self.outcomes(fixture).isEmpty && self.letters(fixture.topics).isEmpty)
    }

    /// The three fires for `away` have failed, each once, and each has its one dead letter.
    private func expectFailures(_ fixture: LaneFixture, error: String) {
        let topics = fixture.topics
        let outcomes = self.outcomes(fixture)
        let failed = outcomes.filter { $0.outcome == .failed }
        #expect(failed.map(\.reason) == [.topicNotAllowed, .topicNotAllowed, .topicNotAllowed])
        #expect(failed.allSatisfy { $0.error.contains(error) && $0.position == nil })
        #expect(Set(outcomes.map(\.id)).count == outcomes.count, "each has one outcome")
        #expect(topics.committed(self.away).isEmpty)
        let letters = self.letters(topics)
        #expect(letters.count == 3)
        #expect(self.ids(letters) == Set(failed.map(\.id.description)))
        #expect(
            letters.allSatisfy { letter in
                letter.headers.contains(.init("esc-reason", "TOPIC_NOT_ALLOWED"))
                    && letter.headers.contains(.init("esc-topic", self.away))
                    && letter.value == Samples.template.payload
            })
        #expect(fixture.metrics.lostLetters == 0)
    }

    @Test(arguments: [true, false], [true, false])
    func `fires that wait for a topic which Kafka then forbids fail once, and hold up nobody`(
        isTransactional: Bool, isToldWhenAsked: Bool
    ) async {
        let broker = ForbiddingTopics(isToldWhenAsked: isToldWhenAsked)
        let topics = broker.topics
        let one = LaneFixture(epoch: 1, broker, isTransactional: isTransactional)
        let run = await self.started(one)
        await self.park(one)
        broker.forbid(self.away)
        topics.state.withLock { $0.leaderless = [self.other] }
        // What falls due meanwhile goes out.
        await self.publish("", one, from: self.cursor(3), to: self.cursor(4))
        #expect(topics.committed("escapement.fires").count == 1)
        await self.wait(one) { self.outcomes(one).count { $0.outcome == .failed } == 3 }
        #expect(one.shell.mark?.waiting.holds(self.other) == true, "what is away waits on")
        await self.wait(one) { one.shell.mark?.waiting.holds(self.away) == false }
        // Behind the failures the line moves on.
        topics.state.withLock { $0.leaderless = [] }
        await self.wait(one) { one.shell.mark?.waiting.isEmpty == true }
        one.shell.stop()
        #expect(await run.value == .released)
        self.expectFailures(one, error: "not authorized")
        // A successor finds nothing left to do.
        let two = LaneFixture(epoch: 2, broker, isTransactional: isTransactional)
        let secondRun = await self.started(two, at: self.cursor(4))
        await self.publish("", two, from: self.cursor(4), to: self.cursor(5))
        two.shell.stop()
        _ = await secondRun.value
        self.expectFailures(two, error: "not authorized")
        #expect(self.outcomes(two).count { $0.outcome == .dispatched } == 3)
        #expect(topics.committed("escapement.fires").count == 2)
        // Without transactions the one that found out whether the topic takes records is there twice.
        #expect(self.ids(topics.committed(self.other)).count == 1)
    }

    @Test(arguments: [true, false])
    func `fires that wait for a topic which the operator then takes off the list fail once, and hold up nobody`(
        isTransactional: Bool
    ) async {
        let broker = ForbiddingTopics(isToldWhenAsked: true)
        let topics = broker.topics
        let one = LaneFixture(epoch: 1, broker, isTransactional: isTransactional)
        let run = await self.started(one)
        await self.park(one)
        one.shell.stop()
        _ = await run.value
        // The next process has another configuration, and the topic is back.
        topics.state.withLock { $0.leaderless = [] }
        var rules = Samples.rules
        rules.topics = TopicPolicy(
            defaultTopic: rules.topics.defaultTopic, deadLetterTopic: rules.topics.deadLetterTopic,
            pattern: "team\\.other", internalPrefix: "escapement.test.")
        let two = LaneFixture(epoch: 2, broker, isTransactional: isTransactional, rules: rules)
        let secondRun = await self.started(two, at: self.cursor(3))
        await self.publish("", two, from: self.cursor(3), to: self.cursor(4))
        #expect(topics.committed("escapement.fires").count == 1)
        await self.wait(two) { two.shell.mark?.waiting.isEmpty == true }
        two.shell.stop()
        #expect(await secondRun.value == .released)
        self.expectFailures(two, error: "not on the allow list")
        #expect(self.outcomes(two).count { $0.outcome == .dispatched } == 2)
        #expect(self.ids(topics.committed(self.other)).count == 1)
    }

    /// Takes a lane over whose shard stands at `cursor`.
    private func started(_ fixture: LaneFixture, at cursor: Cursor) async -> Task<LaneShell.Ending, Never> {
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.session)
        await fixture.replies.wait(for: .opened(self.session, ShardID(0), Epoch(5), cursor))
        return run
    }
}

/// The fake broker behind rights: records for some topics are refused.
private final class ForbiddingTopics: TransactionSessionFactory, RecordProducer, TopicProbe {
    let topics = FakeTopics()
    /// Whether the right to ask about a topic is missing with the one to write to it; otherwise only writing shows it.
    private let isToldWhenAsked: Bool
    private let forbidden = Mutex<Set<String>>([])

    init(isToldWhenAsked: Bool) { self.isToldWhenAsked = isToldWhenAsked }

    func forbid(_ topic: String) { self.forbidden.withLock { _ = $0.insert(topic) } }

    private func forbids(_ topic: String) -> Bool { self.forbidden.withLock { $0.contains(topic) } }

    /// What `produce` says of the records that are not forbidden, and the refusals of the others, in order.
    fileprivate func judged(
        _ records: [OutgoingRecord], _ produce: ([OutgoingRecord]) async -> [RecordDelivery]
    ) async -> [RecordDelivery] {
        let isForbidden = records.map { self.forbids($0.topic) }
        let allowed = zip(records, isForbidden).filter { !$0.1 }.map(\.0)
        var deliveries = (allowed.isEmpty ? [] : await produce(allowed))[...]
        return isForbidden.map { isForbidden in
            isForbidden ? .refused(.forbiddenTopic, detail: "not authorized") : deliveries.removeFirst()
        }
    }

    func produce(_ records: [OutgoingRecord], handedOver: @Sendable () -> Void) async -> [RecordDelivery] {
        defer { handedOver() }
        return await self.judged(records) { await self.topics.produce($0, handedOver: {}) }
    }

    func makeSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        ForbiddingSession(broker: self, session: try await self.topics.makeSession(for: lane))
    }

    func makeTrialSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        ForbiddingSession(broker: self, session: try await self.topics.makeTrialSession(for: lane))
    }

    func standing(of topic: String) async -> TopicStanding {
        self.isToldWhenAsked && self.forbids(topic) ? .refused : await self.topics.standing(of: topic)
    }

    func reachesLeaders(of topic: String) async -> Bool { await self.topics.reachesLeaders(of: topic) }
}

private struct ForbiddingSession: TransactionSession {
    let broker: ForbiddingTopics
    let session: any TransactionSession

    var isTainted: Bool { self.session.isTainted }
    func initialize() async throws(TransactionError) { try await self.session.initialize() }
    func begin() async throws(TransactionError) { try await self.session.begin() }
    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery] {
        await self.broker.judged(records) { await self.session.produce($0) }
    }
    func commit() async throws(TransactionError) { try await self.session.commit() }
    func abort() async throws(TransactionError) { try await self.session.abort() }
    func close() async { await self.session.close() }
}

private struct ForbiddingProducers: LaneProducerFactory {
    let broker: ForbiddingTopics
    let clocks: ManualClocks
    let isTransactional: Bool

    func makeProducer(for lane: LaneID, epoch: Epoch) -> any LaneProducer {
        self.isTransactional
            ? TransactionalProducer(lane: lane, sessions: self.broker, clocks: self.clocks, seed: epoch.rawValue)
            : AtLeastOnceProducer(producer: self.broker, clocks: self.clocks, seed: epoch.rawValue)
    }
}

extension LaneFixture {
    /// A lane of the fake broker behind rights.
    fileprivate init(
        epoch: UInt64, _ broker: ForbiddingTopics, isTransactional: Bool, rules: PublishingRules = Samples.rules
    ) {
        self.topics = broker.topics
        self.clocks = ManualClocks()
        let (replies, troubles) = (self.replies, self.troubles)
        self.shell = LaneShell(
            id: LaneID(0), epoch: Epoch(epoch),
            environment: LaneShell.Environment(
                producers: ForbiddingProducers(
                    broker: broker, clocks: self.clocks, isTransactional: isTransactional),
                journal: self.topics, parked: self.topics,
                keeper: ParkedKeeper(probe: broker, web: nil, clocks: self.clocks), clocks: self.clocks, rules: rules,
                metrics: self.metrics, logger: Samples.logger, seed: 1),
            reply: { replies.add($0) }, settled: { _ in }, troubled: { troubles.add($0) })
    }
}
