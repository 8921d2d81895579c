import DispatcherDomain
import DispatcherElasticsearch
import DispatcherKafka
import DispatcherService
import Discovery
import EscapementModel
import HTTPServer
import KafkaClient
import Logging
import MemberLink
import NIOPosix
import Observability
import ServiceConfiguration
import ServiceLifecycle
import TLS
import Telemetry
import Transport

/// Chooses the implementation behind every port, in one place.
struct DispatcherAssembly {
    private let configuration: DispatcherConfiguration
    private let observability: Observability
    private let clocks = SystemClocks()

    init(_ configuration: DispatcherConfiguration, observability: Observability) {
        self.configuration = configuration
        self.observability = observability
    }

    /// Binds the listener for tickers and builds everything.
    ///
    /// - Throws: `ConfigurationRefusal` for what a restart does not mend; `LinkError` when the address is taken.
    func services() async throws -> [any Service] {
        let common = self.configuration.common
        let logger = self.observability.logger("dispatcher")
        var random = SystemRandomNumberGenerator()
        let contexts = try MemberContexts(common.tls, now: self.clocks.wallNow())
        let listener = try await TransportListener.bind(
            to: PeerAddress(host: common.clusterListen.host, port: common.clusterListen.port),
            contexts: contexts.server,
            admitting: PeerPolicy(cluster: common.cluster.name, roles: [.ticker]),
            group: MultiThreadedEventLoopGroup.singleton, logger: logger)
        let readyFile = ReadyFile(
            path: common.readyFile, role: Role.dispatcher.rawValue, instance: common.instance,
            listeners: ["admin", "cluster"])
        let advertised = common.advertise ?? PeerAddress(host: common.instance, port: listener.address.port)
        let kafka = try self.kafka()
        let discovery = try DiscoveryService(common, clocks: self.clocks, logger: logger, seed: random.next())
        let dispatcher = self.dispatcher(
            description: MemberDescription(
                cluster: common.cluster.name, incarnation: Incarnation(.random(using: &random)),
                listenAddress: advertised.description, shardCount: UInt32(common.cluster.shardCount),
                laneCount: UInt32(common.cluster.laneCount), build: BuildInformation.version, zone: common.zone,
                instance: common.instance, deliveryMode: self.configuration.deliveryMode.rawValue),
            kafka: kafka, listener: listener, discovery: discovery,
            connector: TransportConnector(
                cluster: common.cluster.name, contexts: contexts.client, group: MultiThreadedEventLoopGroup.singleton),
            logger: logger, seed: random.next())
        let admin = AdminServer(
            host: common.adminListen.host, port: common.adminListen.port, observability: self.observability,
            onBound: { port in
                logger.info("admin port open", event: "admin_listening", [LogKey.address: .string("\(port)")])
                do {
                    try readyFile.note("cluster", port: listener.address.port)
                    try readyFile.note("admin", port: port)
                } catch {
                    logger.error(
                        "the ready file is not written", event: "ready_file_failed",
                        [LogKey.error: .string("\(error)")])
                }
            })
        let traces: [any Service] =
            TraceExporter(common.telemetry, observability: self.observability, clocks: self.clocks).map { [$0] } ?? []
        let services: [any Service] = [
            admin, CertificateWatch(slots: [contexts.server, contexts.client], clocks: self.clocks, logger: logger),
            discovery,
            KafkaKeeper(
                topics: { [configuration] replicaCount in
                    ClusterTopics(
                        cluster: configuration.common.cluster.name, laneCount: configuration.common.cluster.laneCount,
                        defaultTopic: configuration.defaultTopic, deadLetterTopic: configuration.deadLetterTopic,
                        replicaCount: replicaCount)
                }, connection: kafka, health: self.observability.health,
                clocks: self.clocks, logger: logger),
            DispatcherRun(dispatcher: dispatcher, drainLimit: common.drainLimit),
        ]
        return traces + services
    }

    private func kafka() throws(ConfigurationRefusal) -> KafkaConnection {
        let connection = KafkaConnection(
            self.configuration.kafka,
            tokens: KafkaTokens.source(for: self.configuration.kafka, clocks: self.clocks), clocks: self.clocks,
            health: self.observability.health,
            logger: self.observability.logger("kafka"))
        try connection.check(self.configuration.deliveryMode, cluster: self.configuration.common.cluster.name)
        return connection
    }

    private func dispatcher(
        description: MemberDescription, kafka: KafkaConnection, listener: TransportListener,
        discovery: DiscoveryService, connector: TransportConnector, logger: Logger, seed: UInt64
    ) -> Dispatcher {
        let configuration = self.configuration
        let common = configuration.common
        let metrics = DispatcherMetrics(self.observability.metrics)
        let keys = KeyDirectories(
            whisk: configuration.whiskKeysDirectory, secrets: configuration.webSecretsDirectory, logger: logger)
        let web =
            configuration.webTargets == .off
            ? nil
            : WebDelivery(
                sender: CurlWebSender(
                    authorityFile: configuration.webAuthorityFile,
                    allowsPrivate: configuration.webTargets == .all,
                    requestsPerHostMax: configuration.webRequestsPerHostMax, clocks: self.clocks), keys: keys,
                whiskHost: configuration.whiskHost,
                clocks: self.clocks)
        let journal = KafkaJournalReader(connection: kafka, cluster: common.cluster.name)
        let rules = PublishingRules(
            cluster: common.cluster.name, dispatcher: NodeID(common.instance),
            topics: TopicPolicy(
                defaultTopic: configuration.defaultTopic, deadLetterTopic: configuration.deadLetterTopic,
                pattern: configuration.topicAllow, internalPrefix: "escapement.\(common.cluster.name)."),
            format: EventFormat(
                mode: EventFormat.Mode(rawValue: configuration.format.rawValue) ?? .binary,
                sourcePrefix: configuration.cloudEventsSource,
                whisk: configuration.whiskTopic.map {
                    EventFormat.Whisk(topic: $0, cluster: common.cluster.name, keys: keys)
                }), payloads: PayloadRecording(rawValue: configuration.payloadStorage.rawValue) ?? .digest,
            sha256: .libcrypto, spans: FireSpans(self.observability.spans))
        let deadLetters = ActivationDeadLetters(
            producer: SharedProducer(connection: kafka), topic: configuration.deadLetterTopic, clocks: self.clocks,
            logger: logger)
        let environment = LaneShell.Environment(
            producers: KafkaLaneProducers(
                connection: kafka, cluster: common.cluster.name,
                topics: [rules.journalTopic, configuration.defaultTopic], mode: configuration.deliveryMode,
                clocks: self.clocks, seed: seed, recycled: { metrics.producersRecycled.increment() }),
            journal: journal, parked: journal,
            keeper: ParkedKeeper(
                probe: KafkaTopicProbe(connection: kafka, clocks: clocks), web: web,
                places: WebPlaces(hostCountMax: configuration.webRequestsPerHostMax), clocks: self.clocks),
            clocks: self.clocks,
            rules: rules, obstacle: { kafka.obstacle },
            lossPolicy: configuration.journalLoss == .resume ? .resume : .halt, metrics: metrics, logger: logger,
            seed: seed)
        return Dispatcher(
            description: description,
            parts: Dispatcher.Parts(
                lanes: environment,
                feed: KafkaJournalFeed(
                    connection: kafka, topic: rules.journalTopic,
                    group: PublishingRules.recorderGroup(of: common.cluster.name)),
                store: ElasticsearchActivationStore(
                    configuration.elasticsearch, form: ActivationForm(configuration.activations),
                    retentionDays: configuration.activations.retentionDays,
                    logger: self.observability.logger("elasticsearch")),
                listener: listener, connector: connector, coordinators: { await discovery.addresses() },
                form: ActivationForm(configuration.activations), health: self.observability.health, logger: logger,
                kafkaTrouble: { kafka.trouble }, deadLetter: { try await deadLetters.keep($0, because: $1) }))
    }
}

/// The dispatcher as a service: a graceful shutdown drains it.
private struct DispatcherRun: Service {
    /// Kept of the drain limit for what comes after the lanes: the goodbye, closing connections.
    static let reserve = Duration.seconds(1)

    let dispatcher: Dispatcher
    let drainLimit: Duration

    func run() async throws {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await self.dispatcher.run()
                return true
            }
            group.addTask {
                do { try await gracefulShutdown() } catch { return false }
                await self.dispatcher.drain(limit: max(self.drainLimit - Self.reserve, self.drainLimit / 2))
                return false
            }
            for await isOver in group where isOver { group.cancelAll() }
        }
    }
}
