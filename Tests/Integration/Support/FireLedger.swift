import EscapementModel
import KafkaClient
import Logging
import Synchronization

/// Every fire that a `read_committed` consumer of a topic has seen, in little memory: for hundreds of thousands.
final class FireLedger: Sendable {
    struct Entry: Sendable {
        /// `namespace/name`.
        var key: String
        var id: String
        /// The due instant.
        var due: WallInstant
        /// When it was given to Kafka.
        var sent: WallInstant
        var lane: Int
        /// Of the journal entry that settled it.
        var sequence: UInt64
    }

    private struct State {
        var entries: [Entry] = []
        var countByKey: [String: Int] = [:]
    }

    private let consumer: KafkaConsumer
    private let state = Mutex(State())

    init(_ stack: Stack, topic: String, partitions: Int32) async throws {
        let settings = try stack.kafkaSettings()
        self.consumer = try KafkaConsumer(
            settings: settings, group: "ledger", logger: Logger(label: "integration"),
            health: KafkaHealthMonitor(settings: settings) { _ in })
        var offsets: [KafkaPartition: KafkaOffset] = [:]
        for partition in 0..<partitions { offsets[KafkaPartition(topic, partition)] = .beginning }
        try await self.consumer.assign(offsets)
    }

    var entries: [Entry] { self.state.withLock { $0.entries } }
    /// How many different keys were seen.
    var keyCount: Int { self.state.withLock { $0.countByKey.count } }
    func count(of key: String) -> Int { self.state.withLock { $0.countByKey[key] ?? 0 } }

    /// Reads what is there now.
    func read() async throws {
        let messages = try await self.consumer.poll(max: 10_000, timeout: .milliseconds(300))
        func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }
        let read = messages.map { message in
            Entry(
                key: text(message.key), id: text(message.header("ce_id")),
                due: WallInstant(text: text(message.header("ce_time"))) ?? .distantPast,
                sent: WallInstant(text: text(message.header("ce_recordedtime"))) ?? .distantPast,
                lane: Int(text(message.header("esc-lane"))) ?? -1,
                sequence: UInt64(text(message.header("esc-seq"))) ?? 0)
        }
        self.state.withLock { state in
            state.entries += read
            for entry in read { state.countByKey[entry.key, default: 0] += 1 }
        }
    }

    /// The longest that one call reads.
    static let drainMax = Duration.seconds(900)

    /// Reads until nothing has come for `silence`, or `isDone` holds; what is missing then is missing.
    func drain(silence: Duration, until isDone: () -> Bool) async throws {
        let clock = ContinuousClock()
        let deadline = clock.now.advanced(by: Self.drainMax)
        var heardAt = clock.now
        while !isDone(), clock.now < min(deadline, heardAt.advanced(by: silence)) {
            let before = self.state.withLock { $0.entries.count }
            try await self.read()
            if self.state.withLock({ $0.entries.count }) > before { heardAt = clock.now }
        }
    }

    func close() async { await self.consumer.close() }
}
