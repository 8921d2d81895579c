import EscapementModel
import MemberLink
import NIOCore
import Observability
import Scheduling
import Synchronization
import Testing
import TestSupport
import TickerService
import WireProtocol

/// A real ticker between a leader and a dispatcher that tests play, on clocks and a network in memory.
final class Stage: Sendable {
    static let cluster = "test"
    static let shard = ShardID(3)
    static let laneCount = 2
    static let lane = Stage.shard.lane(of: Stage.laneCount)

    let clocks = ManualClocks()
    let network = InMemoryNetwork()
    let leader: FakeLeader
    let dispatcher: FakeDispatcher
    let node: TickerNode
    let observability: Observability
    private let task: Mutex<Task<Void, any Error>?> = Mutex(nil)

    private init() {
        self.leader = FakeLeader(network: self.network, clocks: self.clocks)
        self.dispatcher = FakeDispatcher(network: self.network, clocks: self.clocks, incarnation: 1)
        self.observability = Observability(
            identity: ProcessIdentity(role: "ticker", instance: "ticker-1", cluster: Self.cluster), format: .json,
            sink: LogSink { _ in })
        let address = self.leader.address
        self.node = TickerNode(
            settings: TickerSettings(
                member: MemberDescription(
                    cluster: Self.cluster, incarnation: Incarnation(UID(high: 1, low: 1)), listenAddress: "",
                    shardCount: 8, laneCount: UInt32(Self.laneCount), build: "test"),
                horizon: .seconds(60), drainTimeout: .seconds(5), seed: 1),
            connector: self.network.connector(
                as: PeerIdentity(cluster: Self.cluster, role: .ticker, node: NodeID("ticker-1"))),
            coordinators: { [address] }, clocks: self.clocks, zones: ZoneDatabase(source: nil),
            observability: self.observability, drive: .task)
    }

    /// Runs `body` with a ticker that runs, and ends everything after it.
    ///
    /// - Parameter leaderVersion: the protocol version that the leader agrees on.
    static func run(leaderVersion: UInt32 = 1, _ body: (Stage) async throws -> Void) async throws {
        let stage = Stage()
        stage.leader.speak(version: leaderVersion)
        stage.leader.start()
        stage.dispatcher.start()
        // Cancelled below.
        let running = Task { try await stage.node.run() }
        stage.task.withLock { $0 = running }
        let result: Result<Void, any Error>
        do {
            try await body(stage)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        running.cancel()
        await stage.leader.stop()
        await stage.dispatcher.stop()
        _ = await running.result
        try result.get()
    }

    var now: WallInstant { self.clocks.wallNow() }

    /// How long the machine may take for it, however busy it is: simulated time can run ahead of threads that wait for a
    /// processor.
    private static let patience = Duration.seconds(10)

    /// Lets time pass until `condition` holds; gives up when both `limit` and the machine's patience are over.
    func until(
        _ what: String, limit: Duration = .seconds(20), step: Duration = .milliseconds(10),
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool
    ) async throws {
        var passed = Duration.zero
        let deadline = ContinuousClock.now.advanced(by: Self.patience)
        while !condition() {
            guard passed < limit || ContinuousClock.now < deadline else {
                Issue.record("never: \(what)", sourceLocation: sourceLocation)
                throw StageError()
            }
            await self.clocks.advance(by: step)
            passed += step
        }
    }

    struct StageError: Error {}

    /// The present value of a metric without labels.
    func metric(_ name: String) -> Double? {
        self.observability.metrics.exposition().split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            .flatMap { Double($0.dropFirst(name.count + 1)) }
    }

    /// The ticker owns the shard and the lane can be reached.
    func assign(epoch: UInt64 = 1, view: UInt64 = 1) async throws {
        try await self.until("the ticker greets the leader") { self.leader.isConnected }
        self.leader.send(self.dispatcher.view(version: view))
        self.leader.send(ShardAssign(leaderEpoch: Epoch(1), shard: Self.shard, epoch: Epoch(epoch)))
    }

    func timer(_ number: UInt64, dueIn milliseconds: Int64, revision: UInt64 = 1) -> TimerVersion {
        TimerVersion(
            uid: UID(high: 9, low: number), revision: Revision(revision),
            due: self.now.advanced(by: .milliseconds(milliseconds)), endedRevision: nil, expireAfterMilliseconds: 0,
            template: ByteBuffer(string: "timer \(number)"))
    }

    func everySecond(_ number: UInt64, revision: UInt64 = 1, template: ByteBuffer? = nil) -> ScheduleVersion {
        ScheduleVersion(
            uid: UID(high: 5, low: number), generation: 1, kind: .interval, createdRevision: Revision(revision),
            replaces: false, from: self.now, endedRevision: nil, until: nil, createdAt: self.now,
            when: ByteBuffer(string: #"{"every":"1s"}"#), misfire: MisfireFields(),
            template: template ?? ByteBuffer(string: "schedule \(number)"))
    }
}
