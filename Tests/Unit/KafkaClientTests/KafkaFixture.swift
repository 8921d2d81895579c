import DevKafka
import EscapementModel
import Foundation
import KafkaClient
import Logging
import Synchronization
import TLS

/// Dev Kafka in this process for one test, and clients of ours for it.
final class KafkaFixture: Sendable {
    static let user = "escapement"
    static let password = "correct horse"
    /// How long a call may take before the test fails.
    static let patience = Duration.seconds(20)

    let folder: String
    let cluster: DevKafkaCluster
    let servers: String
    private let security: ClusterConfiguration.Security
    private let authority: String?

    private init(
        folder: String, cluster: DevKafkaCluster, servers: String, security: ClusterConfiguration.Security,
        authority: String?
    ) {
        self.folder = folder
        self.cluster = cluster
        self.servers = servers
        self.security = security
        self.authority = authority
    }

    /// Runs `body` against a fresh cluster, which is stopped and removed afterwards.
    static func with(
        brokers: Int = 1, security: ClusterConfiguration.Security = .plaintext,
        _ body: (KafkaFixture) async throws -> Void
    ) async throws {
        let folder = NSTemporaryDirectory() + "escapement-kafka-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let fixture = try await Self.start(in: folder, brokers: brokers, security: security)
        do {
            try await body(fixture)
        } catch {
            await fixture.cluster.stop()
            throw error
        }
        await fixture.cluster.stop()
    }

    static func start(
        in folder: String, brokers: Int = 1, security: ClusterConfiguration.Security = .plaintext
    ) async throws -> KafkaFixture {
        var configuration = ClusterConfiguration(
            listeners: Array(repeating: .init(host: "127.0.0.1", port: 0), count: brokers), security: security,
            credentials: Credentials(passwords: [Self.user: Self.password], bearerTokens: ["a.b.c": "bearer"]),
            dataFolder: "\(folder)/data")
        var authorityFile: String?
        if security.hasTLS {
            let start = SystemClocks().wallNow().advanced(by: .seconds(-60))
            let authority = try CertificateAuthority(name: "Test", notBefore: start, validity: .seconds(3600))
            let leaf = try authority.issue(
                CertificateRequest(
                    commonName: "kafka", ipAddresses: ["127.0.0.1"], usages: [.server], notBefore: start,
                    validity: .seconds(3500)))
            configuration.tls = TLSConfiguration(
                role: .server, authentication: .serverOnly, certificateChain: .pem(leaf.certificatePEM),
                privateKey: .pem(leaf.privateKeyPEM), minimumVersion: .tls12)
            let file = "\(folder)/ca.pem"
            try authority.certificatePEM.write(toFile: file, atomically: true, encoding: .utf8)
            authorityFile = file
        }
        let cluster = try await DevKafkaCluster.start(configuration, logger: Self.logger)
        return KafkaFixture(
            folder: folder, cluster: cluster, servers: await cluster.bootstrapServers, security: security,
            authority: authorityFile)
    }

    /// The same data with new listeners, as after a restart.
    func restarted() async throws -> KafkaFixture {
        await self.cluster.stop()
        return try await Self.start(in: self.folder, security: self.security)
    }

    // MARK: - Clients

    static var logger: Logger { Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }) }

    func settings(
        mechanism: String? = nil, password: String = KafkaFixture.password,
        more: [KafkaClientSettings.Property] = []
    ) -> KafkaClientSettings {
        var properties: [KafkaClientSettings.Property] = [
            .init("bootstrap.servers", self.servers), .init("security.protocol", self.security.rawValue),
        ]
        if self.security.hasSASL {
            properties.append(.init("sasl.mechanism", mechanism ?? "SCRAM-SHA-512"))
            properties.append(.init("sasl.username", Self.user))
        }
        if let authority = self.authority { properties.append(.init("ssl.ca.location", authority)) }
        let hasSASL = self.security.hasSASL
        return KafkaClientSettings(properties: properties + more) {
            hasSASL ? [.init("sasl.password", password)] : []
        }
    }

    func monitor(_ settings: KafkaClientSettings) -> KafkaHealthMonitor {
        KafkaHealthMonitor(settings: settings) { _ in }
    }

    func producer(_ settings: KafkaClientSettings? = nil) throws -> KafkaProducer {
        let settings = settings ?? self.settings()
        return try KafkaProducer(settings: settings, logger: Self.logger, health: self.monitor(settings))
    }

    /// An initialized producer of a `transactional.id`.
    func transactional(
        _ id: String, more: [KafkaClientSettings.Property] = []
    ) async throws -> KafkaTransactionalProducer {
        let settings = self.settings(more: more)
        let producer = try KafkaTransactionalProducer(
            settings: settings, transactionalID: id, logger: Self.logger, health: self.monitor(settings))
        try await producer.initialize(timeout: Self.patience)
        return producer
    }

    /// Values of a partition from its beginning, as a consumer of this isolation gets them, until `last` arrives.
    func consume(
        _ topic: String, until last: String, isolation: String = "read_committed"
    ) async throws -> [String] {
        let settings = self.settings(more: [.init("isolation.level", isolation)])
        let consumer = try KafkaConsumer(
            settings: settings, group: "test", logger: Self.logger, health: self.monitor(settings))
        try await consumer.assign([KafkaPartition(topic, 0): .beginning])
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.patience)
        var values: [String] = []
        while values.last != last, clock.now < deadline {
            values += try await consumer.poll(max: 100, timeout: .milliseconds(200)).map {
                String(decoding: $0.value ?? [], as: UTF8.self)
            }
        }
        await consumer.close()
        return values
    }
}

extension KafkaRecordBatch {
    /// Records with these values for partition 0 of a topic.
    init(_ topic: String, _ values: String...) {
        self.init()
        for value in values {
            self.append(topic: topic, partition: 0, key: [UInt8]?.none, value: Array(value.utf8))
        }
    }
}

/// Keeps what is logged.
final class LogLines: LogHandler {
    private let lines = Mutex<[String]>([])

    var all: [String] { self.lines.withLock { $0 } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }

    func log(event: LogEvent) { self.lines.withLock { $0.append("\(event.message) \(event.metadata ?? [:])") } }
}
