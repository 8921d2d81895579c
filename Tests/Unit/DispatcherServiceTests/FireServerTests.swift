import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import Observability
import Testing
import TestSupport
import WireProtocol

@Suite struct FireServerTests {
    private let network = InMemoryNetwork()
    private let clocks = ManualClocks()
    private let board: ViewBoard
    private let server: FireServer
    private let listener: InMemoryListener
    private let incarnation = Incarnation(UID(high: 1, low: 1))

    init() { self.init(shardCount: 16, laneCount: 4) }

    private init(shardCount: UInt32, laneCount: UInt32) {
        let address = PeerAddress(host: "d", port: 7400)
        self.board = ViewBoard(clocks: self.clocks)
        self.server = FireServer(
            identity: FireServer.Identity(
                cluster: "test", shardCount: shardCount, laneCount: laneCount,
                incarnation: Incarnation(UID(high: 2, low: 2)),
                build: "1"), board: self.board, clocks: self.clocks, metrics: DispatcherMetrics(MetricsRegistry()),
            logger: Samples.logger)
        self.listener = self.network.listen(
            at: address, as: PeerIdentity(cluster: "test", role: .dispatcher, node: NodeID("d")))
    }

    private func connect(as role: Role = .ticker) async throws -> any MessageLink {
        try await self.network.connector(as: PeerIdentity(cluster: "test", role: role, node: NodeID("t")))
            .connect(to: PeerAddress(host: "d", port: 7400), expecting: .dispatcher)
    }

    private func hello(cluster: String = "test", lanes: UInt32 = 4) -> Hello {
        Hello(
            cluster: cluster, incarnation: self.incarnation, listenAddress: "", shardCount: 16, laneCount: lanes,
            build: "1", zone: "", weight: 100, clock: self.clocks.wallNow())
    }

    /// Runs the server while `body` talks to it.
    private func serving(_ body: () async throws -> Void) async throws {
        let run = Task { await self.server.run(self.listener) }
        defer { run.cancel() }
        try await body()
    }

    @Test func `a ticker of the cluster is greeted`() async throws {
        try await self.serving {
            let link = try await self.connect()
            link.send(self.hello())
            var frames = link.frames.makeAsyncIterator()
            let answer = try #require(await frames.next()).decode(HelloAck.self)
            #expect(answer.build == "1")
        }
    }

    @Test(arguments: [("other", UInt32(4)), ("test", 5)])
    func `another cluster or other settings are refused with the reason`(cluster: String, lanes: UInt32) async throws {
        try await self.serving {
            let link = try await self.connect()
            link.send(self.hello(cluster: cluster, lanes: lanes))
            var frames = link.frames.makeAsyncIterator()
            let answer = try #require(await frames.next()).decode(HelloRefused.self)
            #expect(answer.code == .settingsMismatch)
        }
    }

    @Test func `only tickers have business here`() async throws {
        try await self.serving {
            let link = try await self.connect(as: .tool)
            link.send(self.hello())
            var frames = link.frames.makeAsyncIterator()
            let answer = try #require(await frames.next()).decode(HelloRefused.self)
            #expect(answer.code == .roleNotAllowed)
        }
    }

    @Test func `an open that the leader's view does not name is refused after a bounded wait`() async throws {
        try await self.serving {
            let link = try await self.connect()
            link.send(self.hello())
            var frames = link.frames.makeAsyncIterator()
            _ = await frames.next()
            link.send(Open(shard: ShardID(3), epoch: Epoch(1)))
            // The greeting's deadline and the wait for a view.
            await self.clocks.untilSleeping(2)
            self.clocks.advance(by: FireServer.viewWaitMax)
            let answer = try #require(await frames.next()).decode(FireRefused.self)
            #expect(answer.code == .notLaneOwner)
            #expect(answer.shard == ShardID(3))
        }
    }

    /// A ticker of the first protocol version, whose part is replayed byte by byte.
    @Test func `a ticker of version 1 is greeted and answered as it always was`() async throws {
        let own = FireServerTests(shardCount: 8, laneCount: 2)
        try await own.serving {
            let link = try await own.connect()
            link.send(try RecordedFrame.read(TranscriptOfVersion1.Ticker.hello))
            var frames = link.frames.makeAsyncIterator()
            #expect(try #require(await frames.next()).decode(HelloAck.self).version == 1)
            link.send(try RecordedFrame.read(TranscriptOfVersion1.Lane.open))
            await own.clocks.untilSleeping(2)
            own.clocks.advance(by: FireServer.viewWaitMax)
            let answer = try #require(await frames.next())
            #expect(answer.kind == (try RecordedFrame.read(TranscriptOfVersion1.Lane.fireRefused)).kind)
            #expect(try answer.decode(FireRefused.self).shard == ShardID(3))
        }
    }

    @Test func `a connection that does not greet is closed`() async throws {
        try await self.serving {
            let link = try await self.connect()
            await self.clocks.untilSleeping()
            self.clocks.advance(by: FireServer.helloMax)
            var frames = link.frames.makeAsyncIterator()
            #expect(await frames.next() == nil)
        }
    }
}
