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

    /// `nil` for a name that no topic can have: librdkafka's last error says why.
    func topic(_ name: String, of instance: OpaquePointer) -> Topic? {
        self.known.withLock { known in
            if let topic = known[name] { return topic }
            guard let handle = rd_kafka_topic_new(instance, name, nil) else { return nil }
            if known.count >= Self.countMax { known.removeAll() }
            let topic = Topic(name, handle)
            known[name] = topic
            return topic
        }
    }

    /// Before the instance goes: it waits for its handles.
    func close() { self.known.withLock { $0.removeAll() } }
}
