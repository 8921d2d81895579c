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
    }

    private let consumer: KafkaConsumer
    private let fires = Mutex<[Fire]>([])

    init(_ settings: KafkaClientSettings, topic: String, partitions: Int32) async throws {
        let logger = Logger(label: "integration")
        self.consumer = try KafkaConsumer(
            settings: settings, group: "integration", logger: logger,
            health: KafkaHealthMonitor(settings: settings) { _ in })
        var offsets: [KafkaPartition: KafkaOffset] = [:]
        for partition in 0..<partitions { offsets[KafkaPartition(topic, partition)] = .beginning }
        try await self.consumer.assign(offsets)
    }

    /// All fires read so far.
    var all: [Fire] { self.fires.withLock { $0 } }

    /// Reads what is there now.
    func read() async throws -> [Fire] {
        let messages = try await self.consumer.poll(max: 10_000, timeout: .milliseconds(300))
        let read = messages.map { message in
            func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }
            return Fire(
                id: text(message.header("ce_id")), key: text(message.key), time: text(message.header("ce_time")),
                value: text(message.value),
                headers: Dictionary(
                    message.headers.map { ($0.name, text($0.value)) }, uniquingKeysWith: { first, _ in first }))
        }
        self.fires.withLock { $0 += read }
        return self.all
    }

    /// Reads until `condition` holds of all that was read.
    func until(_ what: String, _ condition: ([Fire]) -> Bool) async throws {
        try await Eventually.holds(what) { condition(try await self.read()) }
    }

    func close() async { await self.consumer.close() }
}
