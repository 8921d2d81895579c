import EscapementModel
import KafkaClient
import Logging
import Synchronization

/// Counts what a `read_committed` consumer of a topic sees.
final class TopicReader: Sendable {
    struct Fire: Sendable {
        var id: String
        var key: String
        /// The due instant, as the record says it.
        var time: String
        var value: String
        var headers: [String: String]
        /// Fires of one partition are in the order of their offsets.
        var partition: Int32
    }

    private struct State {
        var consumer: KafkaConsumer
        var next: [KafkaPartition: Int64] = [:]
        var fires: [Fire] = []
    }

    private let topic: String
    private let partitions: Int32
    private let state: Mutex<State>

    init(_ settings: KafkaClientSettings, topic: String, partitions: Int32) async throws {
        self.topic = topic
        self.partitions = partitions
        let consumer = try Self.consumer(settings)
        self.state = Mutex(State(consumer: consumer))
        var offsets: [KafkaPartition: KafkaOffset] = [:]
        for partition in 0..<partitions { offsets[KafkaPartition(topic, partition)] = .beginning }
        try await consumer.assign(offsets)
    }

    private static func consumer(_ settings: KafkaClientSettings) throws -> KafkaConsumer {
        try KafkaConsumer(
            settings: settings, group: "integration", logger: Logger(label: "integration"),
            health: KafkaHealthMonitor(settings: settings) { _ in })
    }

    /// All fires read so far.
    var all: [Fire] { self.state.withLock { $0.fires } }

    /// Reads what is there now.
    func read() async throws -> [Fire] {
        let consumer = self.state.withLock { $0.consumer }
        let messages = try await consumer.poll(max: 10_000, timeout: .milliseconds(300))
        func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }
        self.state.withLock { state in
            for message in messages {
                state.next[message.partition] = message.offset + 1
                state.fires.append(
                    Fire(
                        id: text(message.header("ce_id")), key: text(message.key),
                        time: text(message.header("ce_time")), value: text(message.value),
                        headers: Dictionary(
                            message.headers.map { ($0.name, text($0.value)) }, uniquingKeysWith: { first, _ in first }),
                        partition: message.partition.partition))
            }
        }
        return self.all
    }

    /// Reads until `condition` holds of all that was read.
    func until(_ what: String, _ condition: ([Fire]) -> Bool) async throws {
        try await Eventually.holds(what) { condition(try await self.read()) }
    }

    /// Goes on where it stood, after Kafka has come back elsewhere.
    func reconnect(to stack: Stack) async throws {
        let consumer = try Self.consumer(try stack.kafkaSettings())
        let (former, next) = self.state.withLock { state in
            let former = state.consumer
            state.consumer = consumer
            return (former, state.next)
        }
        await former.close()
        var offsets: [KafkaPartition: KafkaOffset] = [:]
        for number in 0..<self.partitions {
            let partition = KafkaPartition(self.topic, number)
            offsets[partition] = next[partition].map { .at($0) } ?? .beginning
        }
        try await consumer.assign(offsets)
    }

    func close() async { await self.state.withLock { $0.consumer }.close() }
}
