import CoordinatorAPI
import CoordinatorService
import EscapementModel
import HTTPServer
import Hummingbird
import Logging
import NIOPosix
import Observability
import PostgresStore
import Scheduling
import ServiceConfiguration
import ServiceLifecycle
import TLS
import Telemetry
import Transport

/// Chooses the implementation behind every port, in one place.
struct CoordinatorAssembly {
    private let configuration: CoordinatorConfiguration
    private let observability: Observability
    private let clocks = SystemClocks()
    private let logger: Logger

    init(_ configuration: CoordinatorConfiguration, observability: Observability) {
        self.configuration = configuration
        self.observability = observability
        self.logger = observability.logger("coordinator")
    }

    /// Binds the listener for members and builds everything. The database need not be there.
    ///
    /// - Throws: `ConfigurationRefusal` for what a restart does not mend; `LinkError` when the address is taken.
    func services() async throws -> [any Service] {
        let common = self.configuration.common
        var random = SystemRandomNumberGenerator()
        let contexts = try MemberContexts(common.tls, now: self.clocks.wallNow())
        let listener = try await TransportListener.bind(
            to: PeerAddress(host: common.clusterListen.host, port: common.clusterListen.port),
            contexts: contexts.server,
            admitting: PeerPolicy(cluster: common.cluster.name, roles: Set(Role.allCases)),
            group: MultiThreadedEventLoopGroup.singleton, logger: self.logger)
        let advertised = common.advertise ?? PeerAddress(host: common.instance, port: listener.address.port)
        let ready = ReadyNote(
            file: ReadyFile(
                path: common.readyFile, role: Role.coordinator.rawValue, instance: common.instance,
                listeners: ["admin", "api", "cluster"]), logger: self.logger)
        ready.note("cluster", listener.address.port)
        let store = self.store()
        let coordinator = Coordinator(
            settings: CoordinatorSettings(
                cluster: common.cluster.name, shardCount: common.cluster.shardCount,
                laneCount: common.cluster.laneCount, node: NodeID(common.instance),
                incarnation: Incarnation(.random(using: &random)), address: advertised.description,
                build: BuildInformation.version, zone: common.zone),
            locks: store, schedules: store, listener: listener,
            connector: TransportConnector(
                cluster: common.cluster.name, contexts: contexts.client, group: MultiThreadedEventLoopGroup.singleton),
            clocks: self.clocks, observability: self.observability, seed: random.next())
        let admin = AdminServer(
            host: common.adminListen.host, port: common.adminListen.port, observability: self.observability,
            onBound: { ready.note("admin", $0) })
        let web = try self.webContext()
        let zones = ZoneDatabase(directory: common.zoneInfoDirectory)
        let traces: [any Service] =
            TraceExporter(common.telemetry, observability: self.observability, clocks: self.clocks).map { [$0] } ?? []
        let server = self.server(store: store, cluster: coordinator, zones: zones)
        let canary =
            self.configuration.canary == .off
            ? nil
            : CanaryKeeper(
                server: server, isLeading: { coordinator.ledEpoch != nil }, metrics: self.observability.metrics,
                logger: self.observability.logger("canary"))
        self.observability.metrics.gauge(
            "escapement_canary_enabled", "1 where the canary is kept, 0 with ESCAPEMENT_CANARY off."
        ).set(canary == nil ? 0 : 1)
        // Stopped in reverse: out of rotation, then the API, the lease, and last what they stand on.
        let services: [any Service] = [
            admin, StoreRun(store: store),
            CertificateWatch(
                slots: [contexts.server, contexts.client] + (web.map { [$0] } ?? []), clocks: self.clocks,
                logger: self.logger),
            ZoneWatch(zones: zones, clocks: self.clocks, observability: self.observability),
            CoordinatorRun(coordinator: coordinator),
            self.api(server, tls: web) { ready.note("api", $0) },
            CanaryRun(keeper: canary),
            RotationPause(
                health: self.observability.health, clocks: self.clocks, drainLimit: common.drainLimit),
        ]
        return traces + services
    }

    private func store() -> PostgresStore {
        let postgres = self.configuration.postgres
        let health = self.observability.health
        health.declare(Coordinator.databaseCheck, initially: .notReady("not reached yet"))
        return PostgresStore(
            settings: PostgresConnectionSettings(applicationName: "escapement-coordinator") {
                try postgres.connectionParameters()
            },
            options: PostgresStoreOptions(schema: postgres.schema), clocks: self.clocks,
            logger: self.observability.logger("postgres"),
            onState: { state in
                switch state {
                case .connected: health.set(Coordinator.databaseCheck, .ok)
                case .lost(let reason): health.set(Coordinator.databaseCheck, .notReady(reason))
                }
            })
    }

    private func server(store: PostgresStore, cluster: Coordinator, zones: ZoneDatabase) -> APIServer {
        let configuration = self.configuration
        let common = configuration.common
        return APIServer(
            settings: APISettings(
                cluster: common.cluster.name, shardCount: common.cluster.shardCount,
                authentication: configuration.authentication == .token
                    ? .tokens(file: configuration.tokensFile ?? "") : .open), store: store, cluster: cluster,
            clocks: self.clocks,
            zones: zones, observability: self.observability
        ) { bytes, byteCountMax in
            switch Gunzip.decompress(bytes, byteCountMax: byteCountMax) {
            case .bytes(let content): .bytes(content)
            case .tooLarge: .tooLarge
            case .malformed: .malformed
            }
        }
    }

    private func api(
        _ server: APIServer, tls: TLSContextSlot?, onBound: @escaping @Sendable (Int) -> Void
    ) -> HTTPListener<APIRequestContext> {
        let configuration = self.configuration
        var limits = HTTPServerLimits()
        limits.bodyByteCountMax = server.batchByteCountMax
        return HTTPListener(
            name: "api",
            router: server.router(middleware: [
                RequestMetrics<APIRequestContext>(self.observability.metrics),
                RequestTraces<APIRequestContext>(self.observability.spans),
            ]),
            host: configuration.httpListen.host, port: configuration.httpListen.port, slot: tls, limits: limits,
            logger: self.observability.logger("api"), onBound: onBound)
    }

    /// The certificate of the API; `nil` when it is plain HTTP.
    private func webContext() throws(ConfigurationRefusal) -> TLSContextSlot? {
        guard let files = self.configuration.httpTLS else { return nil }
        do {
            return try TLSContextSlot(
                TLSConfiguration(
                    role: .server, authentication: .serverOnly, certificateChain: .file(files.certificateFile),
                    privateKey: .file(files.keyFile), applicationProtocols: ["http/1.1"], minimumVersion: .tls12,
                    releasesIdleBuffers: true), now: self.clocks.wallNow())
        } catch {
            throw ConfigurationRefusal([
                ConfigurationProblem(
                    "ESCAPEMENT_HTTP_TLS_CERT_FILE", "and its key cannot be used: \(error)",
                    remedy: "see docs/configuration.md")
            ])
        }
    }
}
