import DevKafka
import DispatcherKafka
import DispatcherService
import EscapementModel
import Foundation
import KafkaClient
import Logging
import NIOCore
import Observability
import ServiceConfiguration

/// A broker of our own and the dispatcher's answers to its ports, for one test.
struct KafkaFixture {
    static let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
    static let cluster = "test"
    static let user = "escapement"

    let broker: DevKafkaCluster
    let folder: URL
    let connection: KafkaConnection
    let health: Health

    /// Runs `body` with brokers that listen on free ports and keep their data in a folder of their own.
    static func with(
        password: Secret? = nil, credentials: Credentials? = nil, createsTopics: Bool = false, brokers: Int = 1,
        configure: (inout ClusterConfiguration) -> Void = { _ in }, _ body: (KafkaFixture) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "kafka-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        var configuration = ClusterConfiguration(
            security: credentials == nil ? .plaintext : .saslPlaintext, credentials: credentials ?? Credentials(),
            dataFolder: folder.path)
        configuration.autoCreatesTopics = createsTopics
        configuration.listeners = Array(repeating: .init(host: "127.0.0.1", port: 0), count: brokers)
        configure(&configuration)
        let broker = try await DevKafkaCluster.start(configuration, logger: self.logger)
        let observability = Observability(
            identity: ProcessIdentity(role: "dispatcher", instance: "d", cluster: self.cluster, revision: ""))
        var settings = KafkaSettings(bootstrapServers: [await broker.bootstrapServers], clientID: "test")
        if let password {
            settings.securityProtocol = .saslPlaintext
            settings.login = KafkaSettings.Login(
                mechanism: .scramSHA256, credentials: (username: self.user, password: password))
        }
        let fixture = KafkaFixture(
            broker: broker, folder: folder,
            connection: KafkaConnection(
                settings, clocks: SystemClocks(), health: observability.health, logger: self.logger),
            health: observability.health)
        do {
            if credentials == nil { try await fixture.createTopics() }
            try await body(fixture)
        } catch {
            await fixture.stop()
            throw error
        }
        await fixture.stop()
    }

    private func stop() async {
        await self.broker.stop()
        try? FileManager.default.removeItem(at: self.folder)
    }

    var topics: ClusterTopics {
        ClusterTopics(
            cluster: Self.cluster, laneCount: 2, defaultTopic: "escapement.fires",
            deadLetterTopic: "escapement.deadletters")
    }

    private func createTopics() async throws {
        for topic in self.topics.all {
            try await self.broker.createTopic(topic.name, partitions: Int32(topic.partitionCount))
        }
    }

    var sessions: KafkaTransactionSessions {
        KafkaTransactionSessions(connection: self.connection, cluster: Self.cluster, topics: ["escapement.fires"])
    }

    func producer(recycled: @escaping @Sendable () -> Void = {}) -> TransactionalProducer {
        TransactionalProducer(
            lane: LaneID(0), sessions: self.sessions, clocks: SystemClocks(), seed: 1, recycled: recycled)
    }

    func texts(_ topic: String, isCommittedOnly: Bool = true) async throws -> [String] {
        try await self.broker.records(topic, isCommittedOnly: isCommittedOnly).map(\.text)
    }

    static func record(_ text: String, topic: String = "escapement.fires") -> OutgoingRecord {
        OutgoingRecord(topic: topic, partition: 0, key: nil, value: ByteBuffer(string: text))
    }
}
