import DevKafka
import DispatcherKafka
import EscapementModel
import Foundation
import KafkaClient
import Logging
import ServiceConfiguration
import TLS

/// The Kafka that the live suite runs against: the one that the environment names, or dev Kafka in this process.
///
/// By the variables that a dispatcher takes: `KAFKA_BOOTSTRAP_SERVERS`, `KAFKA_SECURITY_PROTOCOL`,
/// `KAFKA_SASL_MECHANISM`, certificates, `KAFKA_PROPERTY_…` and the rest of docs/configuration-reference.md. Topics
/// are created and deleted under a random name, so the account needs the rights to do so. A password has to be good for
/// each mechanism with passwords that the brokers enable.
final class LiveKafka: Sendable {
    /// How long a call may take before the test fails.
    static let patience = Duration.seconds(30)
    static let isNamed = ProcessInfo.processInfo.environment["KAFKA_BOOTSTRAP_SERVERS"] != nil
    private static let user = "live"
    private static let password = "live-password"
    /// A password, a token and a service's name that nobody has.
    private static let wrong = "certainly-not-it"
    /// Not a signed one: dev Kafka is told which tokens to take.
    private static let token = "live-token"

    /// Dev Kafka, when it is the one.
    let dev: DevKafkaCluster?
    private let base: KafkaClientSettings
    private let run = UUID().uuidString.lowercased().prefix(8)

    private init(dev: DevKafkaCluster?, _ base: KafkaClientSettings) {
        self.dev = dev
        self.base = base
    }

    /// Runs `body` against Kafka with a topic of one partition, which is deleted afterwards.
    static func with(_ body: (LiveKafka, _ topic: String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "escapement-live-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let kafka = try await Self.isNamed ? Self.named() : Self.own(in: folder)
        let topic = "escapement-live-\(kafka.run)"
        let admin = try kafka.admin()
        do {
            _ = try await admin.create(
                KafkaNewTopic(name: topic, partitionCount: 1, replicationFactor: -1), timeout: Self.patience)
            try await kafka.awaitTopic(topic)
            try await body(kafka, topic)
            try await kafka.delete(topic, admin)
        } catch {
            try? await kafka.delete(topic, admin)
            await admin.close()
            await kafka.dev?.stop()
            throw error
        }
        await admin.close()
        await kafka.dev?.stop()
    }

    /// Waits until brokers know the topic and its leader: an answer to its creation does not mean that yet. Asked
    /// several times by new clients, which begin with any broker.
    func awaitTopic(_ topic: String) async throws {
        for _ in 0..<3 {
            let admin = try self.admin()
            try await self.eventually("\(topic) has a leader") {
                let found = try await admin.metadata(topic: topic, timeout: Self.patience).topics.first
                return found.map { $0.code == .none && $0.partitionCount > 0 && $0.leaderlessCount == 0 } ?? false
            }
            await admin.close()
        }
    }

    /// Asks until `condition` holds, for as long as patience lasts.
    func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.patience)
        while clock.now < deadline {
            if try await condition() { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw KafkaError(.timedOut, detail: "it did not come to pass that \(what)")
    }

    /// Whether brokers make a topic again as soon as somebody asks for it, as `auto.create.topics.enable` says.
    func createsTopicsByItself(_ admin: KafkaAdmin) async throws -> Bool {
        let brokers = try await admin.metadata(timeout: Self.patience).brokerIDs
        guard let broker = brokers.min() else { return false }
        do throws(KafkaError) {
            return try await admin.settings(of: .broker(broker), timeout: Self.patience)["auto.create.topics.enable"]
                == "true"
        } catch  where error.code.isAuthorization {
            // Nobody knows: it may be so.
            return true
        }
    }

    private func delete(_ topic: String, _ admin: KafkaAdmin) async throws {
        _ = try await admin.delete(topic: topic, timeout: Self.patience)
    }

    private static func named() throws -> LiveKafka {
        let sources = ConfigurationSources(environment: ProcessInfo.processInfo.environment)
        let named = try KafkaToolConfiguration.load(from: sources).model.kafka
        var settings = KafkaClientSettings(named)
        settings.tokens = KafkaTokens.source(for: named, clocks: SystemClocks())
        return LiveKafka(dev: nil, settings)
    }

    private static func own(in folder: String) async throws -> LiveKafka {
        let start = SystemClocks().wallNow().advanced(by: .seconds(-60))
        let authority = try CertificateAuthority(name: "Live", notBefore: start, validity: .seconds(3600))
        let leaf = try authority.issue(
            CertificateRequest(
                commonName: "kafka", ipAddresses: ["127.0.0.1"], usages: [.server], notBefore: start,
                validity: .seconds(3500)))
        let file = "\(folder)/ca.pem"
        try authority.certificatePEM.write(toFile: file, atomically: true, encoding: .utf8)
        let cluster = try await DevKafkaCluster.start(
            ClusterConfiguration(
                listeners: Array(repeating: .init(host: "127.0.0.1", port: 0), count: 3), security: .saslTLS,
                tls: TLSConfiguration(
                    role: .server, authentication: .serverOnly, certificateChain: .pem(leaf.certificatePEM),
                    privateKey: .pem(leaf.privateKeyPEM), minimumVersion: .tls12),
                credentials: Credentials(
                    passwords: [Self.user: Self.password], bearerTokens: [Self.token: Self.user]),
                dataFolder: "\(folder)/data"),
            logger: Self.logger)
        return LiveKafka(
            dev: cluster,
            KafkaClientSettings(
                properties: [
                    .init("bootstrap.servers", await cluster.bootstrapServers), .init("security.protocol", "SASL_SSL"),
                    .init("sasl.mechanism", "SCRAM-SHA-512"), .init("sasl.username", Self.user),
                    .init("ssl.ca.location", file),
                ], secrets: { [.init("sasl.password", Self.password)] }))
    }

    // MARK: - Clients

    static var logger: Logger { Logger(label: "live", factory: { _ in SwiftLogNoOpLogHandler() }) }

    /// Whether a mechanism must have been tried: that of the environment, and all that dev Kafka has.
    func requires(_ mechanism: KafkaSettings.Mechanism) -> Bool {
        if self.dev != nil { return SASLMechanism(rawValue: mechanism.rawValue) != nil }
        return mechanism.rawValue == self.base.value(of: "sasl.mechanism")
    }

    /// Settings that log in by a mechanism, and such with wrong credentials; `nil` where the environment holds nothing
    /// to log in with by it.
    func logins(
        by mechanism: KafkaSettings.Mechanism
    ) -> (right: KafkaClientSettings, wrong: KafkaClientSettings)? {
        let isNamed = self.base.value(of: "sasl.mechanism") == mechanism.rawValue
        var right = self.settings([.init("sasl.mechanism", mechanism.rawValue)])
        var wrong = right
        switch mechanism {
        case .plain, .scramSHA256, .scramSHA512:
            guard self.base.value(of: "sasl.username") != nil else { return nil }
            // The password of another mechanism is not sent in clear.
            let isClear = self.base.value(of: "security.protocol") == "SASL_PLAINTEXT"
            if mechanism == .plain, isClear, !isNamed, self.dev == nil { return nil }
            wrong.secrets = { [base = self.base] in try base.secrets() + [.init("sasl.password", Self.wrong)] }
        case .oauthBearer:
            guard isNamed || self.dev != nil else { return nil }
            if self.dev != nil { right.tokens = Self.tokens(Self.token) }
            wrong.tokens = Self.tokens(Self.wrong)
        case .gssapi:
            guard isNamed else { return nil }
            wrong.secrets = { [base = self.base] in
                try base.secrets() + [.init("sasl.kerberos.service.name", Self.wrong)]
            }
        }
        return (right, wrong)
    }

    private static func tokens(_ value: String) -> KafkaClientSettings.TokenSource {
        let expiry = SystemClocks().wallNow().advanced(by: .seconds(3600)).milliseconds
        return { _ in KafkaBearerToken(value: value, principal: Self.user, expiresAtMilliseconds: expiry) }
    }

    func settings(_ more: [KafkaClientSettings.Property] = []) -> KafkaClientSettings {
        var settings = self.base
        settings.properties += more
        return settings
    }

    func monitor(_ settings: KafkaClientSettings) -> KafkaHealthMonitor {
        KafkaHealthMonitor(settings: settings) { _ in }
    }

    func admin(_ settings: KafkaClientSettings? = nil) throws -> KafkaAdmin {
        let settings = settings ?? self.settings()
        return try KafkaAdmin(settings: settings, logger: Self.logger, health: self.monitor(settings))
    }

    func producer(_ more: [KafkaClientSettings.Property] = []) throws -> KafkaProducer {
        let settings = self.settings(more)
        return try KafkaProducer(settings: settings, logger: Self.logger, health: self.monitor(settings))
    }

    /// An initialized producer of a `transactional.id` of this run.
    func transactional(_ id: String) async throws -> KafkaTransactionalProducer {
        let settings = self.settings()
        let producer = try KafkaTransactionalProducer(
            settings: settings, transactionalID: "escapement-live-\(self.run)-\(id)", logger: Self.logger,
            health: self.monitor(settings))
        try await producer.initialize(timeout: Self.patience)
        return producer
    }

    /// Values of the topic from its beginning until `last` arrives, as a consumer of this isolation gets them.
    func consume(_ topic: String, until last: String, isolation: String = "read_committed") async throws -> [String] {
        let settings = self.settings([.init("isolation.level", isolation)])
        let consumer = try KafkaConsumer(
            settings: settings, group: "escapement-live-\(self.run)", logger: Self.logger,
            health: self.monitor(settings))
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
