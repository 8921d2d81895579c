import DispatcherDomain
import DispatcherService
import EscapementModel
import Observability
import Synchronization
import Testing

/// Collects a lane's answers, for tests that wait for one.
final class Replies: Sendable {
    private struct State {
        var all: [LaneReply] = []
        var waiters: [(LaneReply, CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var all: [LaneReply] { self.state.withLock { $0.all } }

    func add(_ reply: LaneReply) {
        let ready = self.state.withLock { state in
            state.all.append(reply)
            let ready = state.waiters.filter { $0.0 == reply }.map(\.1)
            state.waiters.removeAll { $0.0 == reply }
            return ready
        }
        for continuation in ready { continuation.resume() }
    }

    func wait(for reply: LaneReply) async {
        await withCheckedContinuation { continuation in
            let isThere = self.state.withLock { state in
                if state.all.contains(reply) { return true }
                state.waiters.append((reply, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// A lane of the fake broker.
struct LaneFixture {
    struct Producers: LaneProducerFactory {
        let topics: FakeTopics
        let clocks: any Clocks
        let isTransactional: Bool

        func makeProducer(for lane: LaneID, epoch: Epoch) -> any LaneProducer {
            self.isTransactional
                ? TransactionalProducer(lane: lane, sessions: self.topics, clocks: self.clocks, seed: epoch.rawValue)
                : AtLeastOnceProducer(producer: self.topics, clocks: self.clocks, seed: epoch.rawValue)
        }
    }

    let topics: FakeTopics
    let clocks: ManualClocks
    let replies = Replies()
    let shell: LaneShell
    let metrics = DispatcherMetrics(MetricsRegistry())
    let troubles = Troubles()

    /// What the lane said of its troubles.
    final class Troubles: Sendable {
        private let all = Mutex<Set<LaneTrouble>>([])

        func add(_ trouble: LaneTrouble) { self.all.withLock { _ = $0.insert(trouble) } }
        func contains(_ trouble: LaneTrouble) -> Bool { self.all.withLock { $0.contains(trouble) } }
    }

    init(
        epoch: UInt64 = 1, topics: FakeTopics = FakeTopics(), clocks: ManualClocks = ManualClocks(),
        isTransactional: Bool = true,
        web: WebDelivery? = nil, checkpoint: LaneMark? = nil, lossPolicy: JournalLossPolicy = .halt,
        obstacle: @escaping @Sendable () -> String? = { nil }
    ) {
        self.topics = topics
        self.clocks = clocks
        let (replies, troubles) = (self.replies, self.troubles)
        self.shell = LaneShell(
            id: LaneID(0), epoch: Epoch(epoch), checkpoint: checkpoint,
            environment: LaneShell.Environment(
                producers: Producers(topics: topics, clocks: clocks, isTransactional: isTransactional), journal: topics,
                parked: topics,
                keeper: ParkedKeeper(probe: topics, web: web, clocks: clocks), clocks: clocks,
                rules: Samples.rules, obstacle: obstacle, lossPolicy: lossPolicy, metrics: self.metrics,
                logger: Samples.logger, seed: 1),
            reply: { replies.add($0) }, settled: { _ in }, troubled: { troubles.add($0) })
    }

    func offer(from: Cursor, to: Cursor, count: Int = 1) {
        let occurrences = (0..<count).map { index in
            Samples.occurrence(scheduled: WallInstant(milliseconds: to.cron.instant.milliseconds - Int64(index)))
        }
        self.shell.offer(
            .init(
                session: SessionID(1), shard: ShardID(0), epoch: Epoch(5), from: from, to: to, byteCount: 100,
                work: FireWork(occurrences: occurrences, ticker: NodeID("t"))))
    }
}

@Suite struct LaneShellTests {
    private let first = SessionID(1)
    private let a = Samples.cursor(Samples.due.milliseconds - 2000)
    private let b = Samples.cursor(Samples.due.milliseconds - 1000)

    @Test func `a lane is taken over with a barrier, restated, opened and published`() async {
        let fixture = LaneFixture()
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await fixture.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        fixture.offer(from: .start, to: self.a, count: 3)
        await fixture.replies.wait(for: .acknowledged(self.first, ShardID(0), Epoch(5), self.a))
        fixture.shell.stop()
        #expect(await run.value == .released)
        #expect(fixture.topics.committed("escapement.fires").count == 3)
        let journal = fixture.topics.journal()
        guard case .barrier = journal.first?.body else {
            Issue.record("the journal does not begin with a barrier")
            return
        }
        guard case .entry(let shards, let outcomes) = journal.last?.body else {
            Issue.record("the journal does not end with an entry")
            return
        }
        #expect(shards == [ShardState(shard: ShardID(0), epoch: Epoch(5), cursor: self.a)])
        #expect(outcomes.count == 3)
    }

    @Test func `a successor goes on exactly where the journal stands`() async {
        let topics = FakeTopics()
        let one = LaneFixture(epoch: 1, topics: topics)
        let firstRun = Task { await one.shell.run() }
        one.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await one.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        one.offer(from: .start, to: self.a)
        await one.replies.wait(for: .acknowledged(self.first, ShardID(0), Epoch(5), self.a))

        let two = LaneFixture(epoch: 2, topics: topics)
        let secondRun = Task { await two.shell.run() }
        two.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await two.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), self.a))

        // The predecessor is alive and does not know: what it is given now must not count.
        one.offer(from: self.a, to: self.b)
        guard case .lost = await firstRun.value else {
            Issue.record("the predecessor still believes that it owns the lane")
            return
        }
        #expect(topics.committed("escapement.fires").count == 1)
        two.shell.stop()
        #expect(await secondRun.value == .released)
    }

    @Test func `a lane whose journal holds a higher epoch is given up`() async {
        let topics = FakeTopics()
        let two = LaneFixture(epoch: 2, topics: topics)
        let run = Task { await two.shell.run() }
        two.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await two.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        two.shell.stop()
        _ = await run.value
        let late = LaneFixture(epoch: 1, topics: topics)
        #expect(await late.shell.run() == .superseded(by: Epoch(2)))
    }

    @Test(.timeLimit(.minutes(1)))
    func `a takeover that Kafka does not let through ends with the word to stop, and fences nobody after`() async {
        let fixture = LaneFixture()
        fixture.topics.state.withLock { $0.isDown = true }
        let run = Task { await fixture.shell.run() }
        // The barrier is not taken: the next attempt waits for its time.
        while !fixture.troubles.contains(.failed) { await Task.yield() }
        fixture.shell.stop()
        // Time stands still: the next attempt would never come.
        #expect(await run.value == .released)
        #expect(fixture.topics.sessionCount == 1)
    }

    /// A lane that has published once, and where it then stood.
    private func usedLane(_ topics: FakeTopics) async throws -> LaneMark {
        let fixture = LaneFixture(epoch: 1, topics: topics)
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await fixture.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        fixture.offer(from: .start, to: self.a)
        await fixture.replies.wait(for: .acknowledged(self.first, ShardID(0), Epoch(5), self.a))
        fixture.shell.stop()
        _ = await run.value
        return try #require(fixture.shell.mark)
    }

    @Test func `a lane whose journal went back before its checkpoint is halted`() async throws {
        let topics = FakeTopics()
        let mark = try await self.usedLane(topics)
        #expect(mark.shards == [ShardState(shard: ShardID(0), epoch: Epoch(5), cursor: self.a)])
        topics.loseJournal(1)
        let next = LaneFixture(epoch: 2, topics: topics, checkpoint: mark)
        let run = Task { await next.shell.run() }
        next.shell.open(ShardID(0), epoch: Epoch(6), session: self.first)
        await next.clocks.untilSleeping()
        #expect(next.metrics.lanesHalted.value == 1)
        #expect(next.replies.all.isEmpty, "nobody is let in")
        next.shell.stop()
        next.clocks.advance(by: LaneShell.obstacleEvery)
        #expect(await run.value == .released)
        #expect(next.metrics.lanesHalted.value == 0)
        #expect(topics.committed("escapement.fires").count == 1)
    }

    @Test func `by the operator's word the lane goes on from the checkpoint`() async throws {
        let topics = FakeTopics()
        let mark = try await self.usedLane(topics)
        topics.loseJournal(1)
        let next = LaneFixture(epoch: 2, topics: topics, checkpoint: mark, lossPolicy: .resume)
        let run = Task { await next.shell.run() }
        next.shell.open(ShardID(0), epoch: Epoch(6), session: self.first)
        // Not from where the shortened journal stands.
        await next.replies.wait(for: .opened(self.first, ShardID(0), Epoch(6), self.a))
        next.shell.stop()
        #expect(await run.value == .released)
    }

    @Test func `a journal that went back under way halts its lane`() async throws {
        let topics = FakeTopics()
        let fixture = LaneFixture(topics: topics)
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await fixture.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        topics.inject(.taint)
        fixture.offer(from: .start, to: self.a)
        await fixture.replies.wait(for: .acknowledged(self.first, ShardID(0), Epoch(5), self.a))
        topics.loseJournal(1)
        // The next round needs a new session, which looks at the journal first.
        fixture.offer(from: self.a, to: self.b)
        while fixture.metrics.lanesHalted.value == 0 {
            await fixture.clocks.untilSleeping()
            fixture.clocks.advance(by: .milliseconds(1))
        }
        #expect(topics.committed("escapement.fires").count == 1)
        fixture.shell.stop()
        fixture.clocks.advance(by: LaneShell.obstacleEvery)
        #expect(await run.value == .released)
    }

    @Test func `a lane begins when nothing stands in its way any more`() async {
        let obstacle = Mutex<String?>("the topics are not there")
        let topics = FakeTopics()
        let fixture = LaneFixture(topics: topics, obstacle: { obstacle.withLock { $0 } })
        let run = Task { await fixture.shell.run() }
        await fixture.clocks.untilSleeping()
        #expect(topics.sessionCount == 0)
        obstacle.withLock { $0 = nil }
        fixture.clocks.advance(by: LaneShell.obstacleEvery)
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await fixture.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        fixture.shell.stop()
        #expect(await run.value == .released)
    }

    @Test func `a takeover is tried again until Kafka answers`() async {
        let topics = FakeTopics()
        topics.inject(.initializeUnavailable)
        let fixture = LaneFixture(topics: topics)
        let run = Task { await fixture.shell.run() }
        await fixture.clocks.untilSleeping()
        fixture.clocks.advance(by: .seconds(5))
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await fixture.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        fixture.shell.stop()
        #expect(await run.value == .released)
    }

    /// Opens a shard and offers a batch that Kafka does not take.
    private func runUntilPublishWaits(_ fixture: LaneFixture) async -> Task<LaneShell.Ending, Never> {
        let run = Task { await fixture.shell.run() }
        fixture.shell.open(ShardID(0), epoch: Epoch(5), session: self.first)
        await fixture.replies.wait(for: .opened(self.first, ShardID(0), Epoch(5), .start))
        for _ in 0..<1000 { fixture.topics.inject(.produceUnavailable) }
        fixture.offer(from: .start, to: self.a)
        // The restater, the pace and the publish that waits.
        await fixture.clocks.untilSleeping(3)
        return run
    }

    @Test func `a release does not wait for ever for a publish that Kafka does not take`() async {
        let fixture = LaneFixture()
        let run = await self.runUntilPublishWaits(fixture)
        fixture.shell.stop()
        await fixture.clocks.untilSleeping(4)
        fixture.clocks.advance(by: LaneShell.releasePatience)
        #expect(await run.value == .released)
        #expect(fixture.topics.committed("escapement.fires").isEmpty)
    }

    @Test func `batches that wait are counted until they are published, or the shard is opened anew`() async {
        let fixture = LaneFixture()
        let depth = fixture.metrics.queueDepth
        let run = await self.runUntilPublishWaits(fixture)
        #expect(depth.value == 0)
        fixture.offer(from: self.a, to: self.b)
        #expect(depth.value == 1)
        fixture.shell.open(ShardID(0), epoch: Epoch(6), session: SessionID(2))
        #expect(depth.value == 0)
        run.cancel()
        _ = await run.value
        #expect(depth.value == 0)
    }
}
