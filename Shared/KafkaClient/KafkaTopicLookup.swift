import CRDKafka
import Logging
import Synchronization

/// Asks about topics by name, and creates none of them.
///
/// A broker may create a topic that a producer asks about; a consumer's questions forbid it. librdkafka keeps every
/// name that it was asked about and goes on asking, once a second while the topic is unknown, so the instance is made
/// for the first question and replaced when it has too many names.
final class KafkaTopicLookup: Sendable {
    /// Names that one instance is asked about.
    private static let namesMax = 100
    private static let defaults: [KafkaClientSettings.Property] = [
        // A connection that idled too long is closed by the broker, which is no news.
        .init("log.connection.close", "false")
    ]
    private static let forced: [KafkaClientSettings.Property] = [.init("allow.auto.create.topics", "false")]

    private struct Current {
        var handle: KafkaHandle
        var names: Set<String>
    }

    private let settings: KafkaClientSettings
    private let logger: Logger
    private let health: KafkaHealthMonitor
    private let current = Mutex<Current?>(nil)

    init(settings: KafkaClientSettings, logger: Logger, health: KafkaHealthMonitor) {
        self.settings = settings.withDefaults(Self.defaults).forcing(Self.forced)
        self.logger = logger
        self.health = health
    }

    /// What a broker says of the topic; the code is `unknownTopicOrPartition` or `topicAuthorizationFailed` where it
    /// says nothing else. Blocks; one call at a time.
    func topic(_ name: String, _ milliseconds: Int32) throws(KafkaError) -> KafkaMetadata.Topic? {
        let handle = try self.handle(for: name)
        guard let topic = rd_kafka_topic_new(handle.pointer, name, nil) else {
            // Too long for any topic.
            return KafkaMetadata.Topic(
                name: name, partitionCount: 0, leaderlessCount: 0, leaderIDs: [], replicaCount: 0, code: .invalidTopic)
        }
        defer { rd_kafka_topic_destroy(topic) }
        var answer: UnsafePointer<rd_kafka_metadata>?
        let code = KafkaErrorCode(rd_kafka_metadata(handle.pointer, 0, topic, &answer, milliseconds))
        guard code == .none, let answer else { throw KafkaError(code) }
        defer { rd_kafka_metadata_destroy(answer) }
        return KafkaMetadata(copying: answer.pointee).topics.first { $0.name == name }
    }

    /// See `KafkaHandle`.
    var holdsOldCertificates: Bool { self.current.withLock { $0?.handle }?.holdsOldCertificates ?? false }

    /// Frees the instance; returns at once. No call may be under way.
    func requestClose() { self.take()?.requestClose() }

    /// Frees the instance. No call may be under way.
    func close() async { await self.take()?.close() }

    private func take() -> KafkaHandle? {
        self.current.withLock { current in
            defer { current = nil }
            return current?.handle
        }
    }

    private func handle(for name: String) throws(KafkaError) -> KafkaHandle {
        try self.current.withLock { current throws(KafkaError) in
            if let known = current, known.names.contains(name) || known.names.count < Self.namesMax {
                current?.names.insert(name)
                return known.handle
            }
            let made = try KafkaHandle(.consumer, settings: self.settings, logger: self.logger, health: self.health)
            current?.handle.requestClose()
            current = Current(handle: made, names: [name])
            return made
        }
    }
}
