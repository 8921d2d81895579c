import CRDKafka
import Synchronization

/// The topics that an instance produces to. A record that names its topic by handle is not looked up by name, and an
/// instance that has one asks at once where the partitions are: without, the first record waits for the look at unknown
/// topics that it takes once a second.
final class KafkaTopics: Sendable {
    /// A topic as the instance knows it.
    final class Topic: @unchecked Sendable {
        let name: String
        /// Only passed on; librdkafka guards what it stands for.
        let handle: OpaquePointer

        fileprivate init(_ name: String, _ handle: OpaquePointer) {
            self.name = name
            self.handle = handle
        }

        deinit { rd_kafka_topic_destroy(self.handle) }
    }

    /// Topics kept; beyond that all are forgotten, and asked for anew.
    private static let countMax = 10_000

    private let known = Mutex<[String: Topic]>([:])

    /// - Throws: `KafkaError` for a name that no topic can have.
    func topic(_ name: String, of instance: OpaquePointer) throws(KafkaError) -> Topic {
        if let topic = self.known.withLock({ $0[name] }) { return topic }
        guard let handle = rd_kafka_topic_new(instance, name, nil) else {
            throw KafkaError(KafkaErrorCode(rd_kafka_last_error()))
        }
        let topic = Topic(name, handle)
        // What is forgotten is freed outside the lock. Two may make the same at once: both are good.
        _ = self.known.withLock { known -> [String: Topic] in
            let forgotten = known.count >= Self.countMax ? known : [:]
            if !forgotten.isEmpty { known = [:] }
            known[name] = topic
            return forgotten
        }
        return topic
    }

    /// Before the instance goes: a handle that is freed after it would touch what is gone. No record may be handed over
    /// any more.
    func close() {
        _ = self.known.withLock { known in
            defer { known = [:] }
            return known
        }
    }
}
