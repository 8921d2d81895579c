import EscapementModel
import Logging
import MemberLink
import NIOCore
import Observability
import Synchronization
import WireProtocol

/// A coordinator's link to the one that leads: hints and questions go to it, answers come back.
///
/// Lives from the moment this process follows until it leads or stops.
final class FollowerSession: Sendable {
    private let session: LeaderSession
    private let clocks: any Clocks
    /// One for each connection: what was asked on a lost one is answered with nothing.
    private let correlator = Mutex(Correlator())

    /// - Parameter leader: the address that the leader row names now; `nil` when nobody leads, or it is ours.
    init(
        settings: CoordinatorSettings, connector: any MessageConnector, clocks: any Clocks, seed: UInt64,
        logger: Logger, leader: @escaping @Sendable () -> PeerAddress?
    ) {
        self.clocks = clocks
        var description = MemberDescription(
            cluster: settings.cluster, incarnation: settings.incarnation, listenAddress: settings.address,
            shardCount: UInt32(settings.shardCount), laneCount: UInt32(settings.laneCount),
            build: settings.build, zone: settings.zone, instance: settings.node.name)
        description.versions = settings.versions
        self.session = LeaderSession(
            description: description, connector: connector, addresses: { leader().map { [$0] } ?? [] }, clocks: clocks,
            logger: logger,
            seed: seed, heartbeat: { WireProtocol.Heartbeat(clock: clocks.wallNow(), holdings: []) })
    }

    var status: LeaderSession.Status { self.session.status }

    func run() async {
        await self.session.run { event in
            switch event {
            case .connected: break
            case .disconnected:
                let former = self.correlator.withLock { correlator in
                    defer { correlator = Correlator() }
                    return correlator
                }
                former.close()
            case .frame(let frame):
                if frame.flags.contains(.answer) {
                    self.correlator.withLock { $0 }.resolve(frame)
                } else {
                    // Views and commands are for tickers and dispatchers.
                    self.session.answer(frame, with: Unsupported(unknownKind: UInt32(frame.kind)))
                }
            }
        }
    }

    func leave() { self.session.leave("leads itself or stops") }

    /// A hint; lost without harm when there is no leader.
    func send(_ message: some WireMessage) { self.session.send(message) }

    /// Asks the leader; `nil` when there is none, or no answer in time.
    func ask(_ message: some WireMessage, within limit: Duration) async -> Frame? {
        await self.correlator.withLock { $0 }.ask(within: limit, clocks: self.clocks) { correlation in
            self.session.send(message, correlation: correlation)
        }
    }
}
