import DispatcherDomain
import DispatcherService
import EscapementModel
import MemberLink
import Observability
import Synchronization
import Testing
import TestSupport
import WireProtocol

/// A journal with nothing to record.
private struct IdleFeed: JournalFeed {
    let clocks: any Clocks

    func committed(_ lanes: [LaneID]) async throws(JournalError) -> [LaneID: Int64] { [:] }
    func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64 { 0 }
    func follow(_ lanes: [LaneID: Int64]) async throws(JournalError) {}
    func commit(_ offsets: [LaneID: Int64]) async throws(JournalError) {}

    func next(max: Int, timeout: Duration) async throws(JournalError) -> [(lane: LaneID, record: StoredJournalRecord)] {
        do { try await self.clocks.sleep(for: timeout) } catch { throw JournalError(.unavailable, "stopped") }
        return []
    }
}

/// A leader that gives lane 0 to whoever comes, under one epoch, and remembers what it is told.
private final class OneLaneLeader: Sendable {
    static let address = PeerAddress(host: "c", port: 7300)
    static let epoch = Epoch(3)

    private struct State {
        var lastBeat: WireProtocol.Heartbeat?
        var released: [LaneReleased] = []
        var link: (any MessageLink)?
    }

    private let state = Mutex(State())

    var lastBeat: WireProtocol.Heartbeat? { self.state.withLock { $0.lastBeat } }
    var released: [LaneReleased] { self.state.withLock { $0.released } }

    func revoke() {
        let link = self.state.withLock { $0.link }
        link?.send(LaneRevoke(leaderEpoch: Epoch(1), lane: LaneID(0), epoch: Self.epoch))
    }

    func run(_ network: InMemoryNetwork, _ clocks: any Clocks) async {
        let listener = network.listen(
            at: Self.address, as: PeerIdentity(cluster: "test", role: .coordinator, node: NodeID("c")))
        for await link in listener.links {
            for await frame in link.frames { try? self.answer(frame, on: link, clocks) }
        }
    }

    private func answer(_ frame: Frame, on link: any MessageLink, _ clocks: any Clocks) throws(WireError) {
        switch MessageKind(rawValue: frame.kind) {
        case .hello:
            self.state.withLock { $0.link = link }
            link.send(
                HelloAck(
                    version: 1, incarnation: Incarnation(UID(high: 9, low: 9)), leaderEpoch: Epoch(1), build: "1",
                    clock: clocks.wallNow()))
            link.send(LaneAssign(leaderEpoch: Epoch(1), lane: LaneID(0), epoch: Self.epoch))
        case .heartbeat:
            let beat = try frame.decode(WireProtocol.Heartbeat.self)
            self.state.withLock { $0.lastBeat = beat }
            link.send(HeartbeatAck(leaderEpoch: Epoch(1), clock: clocks.wallNow(), drained: false))
        case .laneReleased:
            let released = try frame.decode(LaneReleased.self)
            self.state.withLock { $0.released.append(released) }
        default: break
        }
    }
}

/// A whole dispatcher beside the fake broker and a leader of one lane.
@Suite struct DispatcherTests {
    private let network = InMemoryNetwork()
    private let clocks = TestSupport.ManualClocks()
    private let topics = FakeTopics()
    private let leader = OneLaneLeader()
    private let dispatcher: Dispatcher

    init() {
        let identity = PeerIdentity(cluster: "test", role: .dispatcher, node: NodeID("dispatcher-1"))
        self.dispatcher = Dispatcher(
            description: MemberDescription(
                cluster: "test", incarnation: Incarnation(UID(high: 2, low: 2)), listenAddress: "d:7400",
                shardCount: 4, laneCount: 1, build: "1"),
            parts: Dispatcher.Parts(
                lanes: LaneShell.Environment(
                    producers: LaneFixture.Producers(topics: self.topics, clocks: self.clocks, isTransactional: true),
                    journal: self.topics, parked: self.topics,
                    keeper: ParkedKeeper(probe: self.topics, web: nil, clocks: self.clocks), clocks: self.clocks,
                    rules: Samples.rules, metrics: DispatcherMetrics(MetricsRegistry()), logger: Samples.logger,
                    seed: 1),
                feed: IdleFeed(clocks: self.clocks), store: AbsentStore(),
                listener: self.network.listen(at: PeerAddress(host: "d", port: 7400), as: identity),
                connector: self.network.connector(as: identity), coordinators: { [OneLaneLeader.address] },
                form: .native(indexPrefix: "activations"),
                health: Health(logger: Samples.logger, metrics: MetricsRegistry()), logger: Samples.logger,
                kafkaTrouble: { nil }, deadLetter: { _, _ in }))
    }

    /// Runs the dispatcher and its leader while `body` watches.
    private func running(_ body: () async throws -> Void) async throws {
        let tasks = [
            Task { [leader, network, clocks] in await leader.run(network, clocks) },
            Task { [dispatcher] in await dispatcher.run() },
        ]
        defer { for task in tasks { task.cancel() } }
        try await body()
    }

    /// Lets time pass until the condition holds; a test fails that waits for longer than twice the pause of an idle lane.
    private func until(_ what: Comment, _ condition: () -> Bool) async throws {
        let end = self.clocks.monotonicNow().advanced(by: LaneShell.restateEvery * 2)
        while !condition(), self.clocks.monotonicNow() < end { await self.clocks.advance(by: .milliseconds(100)) }
        try #require(condition(), what)
    }

    private func loseLaneWithUnreadableJournal() async throws {
        try await self.until("the lane is published") { self.entries == 1 }
        self.topics.state.withLock { $0.isJournalUnreadable = true }
        self.topics.inject(.produceFenced)
        try await self.until("it is lost and in trouble") {
            self.leader.lastBeat?.holdings.first?.isTroubled == true
        }
    }

    private var barriers: Int {
        self.topics.journal().count { if case .barrier = $0.body { true } else { false } }
    }

    private var entries: Int { self.topics.journal().count - self.barriers }

    @Test func `a lane that nobody else took is taken over again, without the leader`() async throws {
        try await self.running {
            try await self.until("the lane is published") { self.entries == 1 }
            self.network.sever(OneLaneLeader.address)
            // Somebody fences the lane and writes nothing, as its own transaction that took too long does.
            self.topics.state.withLock { $0.generation += 1 }
            self.topics.inject(.produceFenced)
            try await self.until("the idle lane writes, and finds itself fenced") { self.topics.sessionCount == 2 }
            try await self.until("it is published again") { self.entries == 2 }
            #expect(self.barriers == 2, "by a takeover")
            #expect(self.topics.journal().allSatisfy { $0.laneEpoch == OneLaneLeader.epoch })
            #expect(self.dispatcher.held.map(\.epoch) == [OneLaneLeader.epoch])
        }
    }

    @Test func `a commit of unknown outcome does not need the leader either`() async throws {
        self.topics.inject(.commitUnknown(applied: true))
        try await self.running {
            try await self.until("the lane is published in the end") { self.entries == 1 }
            #expect(self.topics.sessionCount == 2)
            #expect(self.leader.released.isEmpty)
        }
    }

    @Test func `a lane that another dispatcher has is let go without fencing it`() async throws {
        try await self.running {
            try await self.until("the lane is published") { self.entries == 1 }
            let successor = LaneFixture(epoch: OneLaneLeader.epoch.next.rawValue, topics: self.topics)
            let run = Task { await successor.shell.run() }
            successor.shell.open(ShardID(0), epoch: Epoch(5), session: SessionID(1))
            await successor.replies.wait(for: .opened(SessionID(1), ShardID(0), Epoch(5), .start))
            let sessions = self.topics.sessionCount
            try await self.until("the lane is given back") { !self.leader.released.isEmpty }
            #expect(self.leader.released.first?.seenEpoch == OneLaneLeader.epoch.next)
            #expect(self.dispatcher.held.isEmpty)
            #expect(self.topics.sessionCount == sessions, "the successor is not fenced")
            successor.shell.stop()
            #expect(await run.value == .released)
        }
    }

    @Test func `a lane that is lost is not taken over again while the journal cannot be read`() async throws {
        try await self.running {
            try await self.loseLaneWithUnreadableJournal()
            #expect(self.topics.sessionCount == 1)
            #expect(self.leader.released.isEmpty)
            self.topics.state.withLock { $0.isJournalUnreadable = false }
            try await self.until("it is published again") { self.entries == 2 }
        }
    }

    @Test func `a lane that is taken away while it waits to be taken over is let go`() async throws {
        try await self.running {
            try await self.loseLaneWithUnreadableJournal()
            self.leader.revoke()
            try await self.until("it is given back") { !self.leader.released.isEmpty }
            self.topics.state.withLock { $0.isJournalUnreadable = false }
            await self.clocks.advance(by: .seconds(20))
            #expect(self.topics.sessionCount == 1)
            #expect(self.dispatcher.held.isEmpty)
        }
    }

    @Test func `a lane that cannot be published for a while is named to the leader, until it can`() async throws {
        self.topics.state.withLock { $0.isDown = true }
        try await self.running {
            try await self.until("the lane is held") { self.leader.lastBeat?.holdings.isEmpty == false }
            #expect(self.leader.lastBeat?.holdings.first?.isTroubled == false, "not at once")
            try await self.until("it is in trouble") { self.leader.lastBeat?.holdings.first?.isTroubled == true }
            self.topics.state.withLock { $0.isDown = false }
            try await self.until("it is well") { self.leader.lastBeat?.holdings.first?.isTroubled == false }
            #expect(self.leader.released.isEmpty, "the leader decides")
        }
    }
}
