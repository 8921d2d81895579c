import Discovery
import EscapementModel
import HTTPServer
import Logging
import MemberLink
import NIOPosix
import Observability
import Scheduling
import ServiceConfiguration
import ServiceLifecycle
import TLS
import TickerService
import Transport

/// Chooses the implementation behind every port, in one place.
struct TickerAssembly {
    private let configuration: TickerConfiguration
    private let observability: Observability
    private let clocks = SystemClocks()

    init(_ configuration: TickerConfiguration, observability: Observability) {
        self.configuration = configuration
        self.observability = observability
    }

    /// - Throws: `ConfigurationRefusal` for what a restart does not mend.
    func services() throws -> [any Service] {
        let common = self.configuration.common
        let logger = self.observability.logger("ticker")
        var random = SystemRandomNumberGenerator()
        let contexts = try MemberContexts(common.tls, now: self.clocks.wallNow())
        let discovery = try DiscoveryService(common, clocks: self.clocks, logger: logger, seed: random.next())
        let zones = ZoneDatabase(directory: common.zoneInfoDirectory)
        let node = TickerNode(
            settings: TickerSettings(
                member: MemberDescription(
                    cluster: common.cluster.name, incarnation: Incarnation(.random(using: &random)),
                    listenAddress: "", shardCount: UInt32(common.cluster.shardCount),
                    laneCount: UInt32(common.cluster.laneCount), build: BuildInformation.version, zone: common.zone,
                    instance: common.instance),
                horizon: self.configuration.horizon, timersMax: self.configuration.timersMax,
                payloadBytesMax: self.configuration.payloadBytesMax,
                drainTimeout: common.drainLimit, seed: random.next()),
            connector: TransportConnector(
                cluster: common.cluster.name, contexts: contexts.client,
                group: MultiThreadedEventLoopGroup.singleton),
            coordinators: { await discovery.addresses() }, clocks: self.clocks,
            zones: zones, observability: self.observability)
        let readyFile = ReadyFile(
            path: common.readyFile, role: Role.ticker.rawValue, instance: common.instance, listeners: ["admin"])
        let admin = AdminServer(
            host: common.adminListen.host, port: common.adminListen.port, observability: self.observability,
            onBound: { port in
                logger.info("admin port open", event: "admin_listening", [LogKey.address: .string("\(port)")])
                do {
                    try readyFile.note("admin", port: port)
                } catch {
                    logger.error(
                        "the ready file is not written", event: "ready_file_failed", [LogKey.error: .string("\(error)")]
                    )
                }
            })
        return [
            admin, CertificateWatch(slots: [contexts.client], clocks: self.clocks, logger: logger),
            ZoneWatch(zones: zones, clocks: self.clocks, observability: self.observability) { node.zonesChanged($0) },
            discovery, TickerRun(node: node),
        ]
    }
}

/// The ticker as a service: a graceful shutdown hands its shards over.
private struct TickerRun: Service {
    let node: TickerNode

    func run() async throws { try await self.node.run() }
}
