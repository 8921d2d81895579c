import EscapementModel
import Logging
import NIOPosix
import Synchronization
import Transport
import WireProtocol

/// A leader that gives every lane to the dispatcher that comes, and every shard to one ticker.
final class FakeLeader: Sendable {
    let address: PeerAddress
    private let listener: TransportListener
    private let task: Task<Void, Never>
    private let greetings: AsyncStream<Hello>

    init(contexts: MemberContexts, lanes: Int, shardEpoch: Epoch, owner: Incarnation) async throws {
        let leaderEpoch = Epoch(1)
        let listener = try await TransportListener.bind(
            to: PeerAddress(host: "127.0.0.1", port: 0), contexts: contexts.server,
            admitting: PeerPolicy(cluster: FireSample.cluster, roles: [.dispatcher]),
            group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }))
        let (greetings, greeted) = AsyncStream<Hello>.makeStream()
        self.listener = listener
        self.address = listener.address
        self.greetings = greetings
        let view = ShardView(
            leaderEpoch: leaderEpoch, version: 1,
            entries: (0..<lanes).map {
                ShardView.Entry(shard: ShardID(UInt16($0)), epoch: shardEpoch, incarnation: owner)
            })
        // Ended by `stop`.
        self.task = Task {
            for await link in listener.links {
                for await frame in link.frames {
                    let now = SystemClocks().wallNow()
                    if let hello = try? frame.decode(Hello.self) {
                        link.send(
                            HelloAck(
                                version: ProtocolRange.current.highest, incarnation: Incarnation(UID(high: 9, low: 9)),
                                leaderEpoch: leaderEpoch, build: "bench", clock: now))
                        for lane in 0..<lanes {
                            link.send(
                                LaneAssign(leaderEpoch: leaderEpoch, lane: LaneID(UInt16(lane)), epoch: Epoch(1)))
                        }
                        link.send(view)
                        greeted.yield(hello)
                    } else if frame.kind == MessageKind.heartbeat.rawValue {
                        link.send(HeartbeatAck(leaderEpoch: leaderEpoch, clock: now))
                    }
                }
            }
            greeted.finish()
        }
    }

    /// Where the dispatcher listens for tickers, once it has come.
    func dispatcherPort() async throws -> Int {
        let port = await withTaskGroup(of: Int?.self) { group in
            group.addTask {
                for await hello in self.greetings { return PeerAddress(text: hello.listenAddress)?.port }
                return nil
            }
            group.addTask {
                try? await SystemClocks().sleep(for: Self.patience)
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
        guard let port else { throw BenchError("the dispatcher does not come, or does not say where it listens") }
        return port
    }

    private static let patience = Duration.seconds(30)

    func stop() async {
        self.task.cancel()
        await self.listener.close()
    }
}
