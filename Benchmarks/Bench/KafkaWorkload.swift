import EscapementModel
import Glibc
import JSON
import KafkaClient
import Logging

/// W7: records of one size through the product's Kafka client, in batches as a lane sends them.
struct KafkaWorkload {
    enum Mode: String {
        case plain
        case idempotent = "idem"
        case transactions = "txn"
    }

    /// Records of one batch, and of one transaction.
    private static let batchCount = 1000
    /// Batches under way at a time, without transactions.
    private static let batchesMax = 16

    let bootstrap: String
    let count: Int
    let size: Int
    let mode: Mode
    let linger: Int

    init(_ arguments: [String]) throws(BenchError) {
        guard arguments.count == 5, let count = Int(arguments[1]), count > 0, let size = Int(arguments[2]), size >= 0,
            let mode = Mode(rawValue: arguments[3]), let linger = Int(arguments[4]), linger >= 0
        else { throw BenchError("kafka needs BOOTSTRAP N SIZE plain|idem|txn LINGER_MS") }
        self.bootstrap = arguments[0]
        self.count = count
        self.size = size
        self.mode = mode
        self.linger = linger
    }

    func run() async throws {
        let settings = KafkaClientSettings(properties: [
            .init("bootstrap.servers", self.bootstrap), .init("linger.ms", "\(self.linger)"),
            .init("enable.idempotence", self.mode == .plain ? "false" : "true"),
        ])
        let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        let health = KafkaHealthMonitor(settings: settings) { _ in }
        var random = SplitMix64(seed: 1)
        let value = (0..<self.size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let batches = stride(from: 0, to: self.count, by: Self.batchCount).map { start in
            start..<min(self.count, start + Self.batchCount)
        }
        let produce: @Sendable (Range<Int>) async throws -> Int
        let close: @Sendable () async -> Void
        if self.mode == .transactions {
            let producer = try KafkaTransactionalProducer(
                settings: settings, transactionalID: "bench", logger: logger, health: health)
            try await producer.initialize(timeout: .seconds(20))
            produce = { numbers in
                try await producer.begin()
                let delivered = await producer.produce(Self.batch(numbers, value)).count(where: \.isDelivered)
                try await producer.commit(timeout: .seconds(20))
                return delivered
            }
            close = { await producer.close() }
        } else {
            let producer = try KafkaProducer(settings: settings, logger: logger, health: health)
            _ = await producer.produce(Self.batch(0..<1, value))
            produce = { await producer.produce(Self.batch($0, value)).count(where: \.isDelivered) }
            close = { await producer.close() }
        }
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        let width = self.mode == .transactions ? 1 : Self.batchesMax
        let delivered = try await withThrowingTaskGroup(of: Int.self) { group in
            var delivered = 0
            for (index, numbers) in batches.enumerated() {
                if index >= width { delivered += try await group.next() ?? 0 }
                group.addTask { try await produce(numbers) }
            }
            for try await more in group { delivered += more }
            return delivered
        }
        let seconds = Double(Measuring.clock(CLOCK_MONOTONIC) - wall) / 1e9
        let used = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu
        await close()
        emit(
            .record([
                "w": "W7", "peer": "escapement", "mode": .string(self.mode.rawValue), "size": .integer(self.size),
                "n": .integer(self.count), "msgs_s": .integer(Int(Double(self.count) / seconds)),
                "MB_s": .integer(Int(Double(self.count * self.size) / seconds / 1e6)),
                "cpu_ns": .integer(Int(used) / self.count), "ok": .integer(delivered),
                "failed": .integer(self.count - delivered),
            ]))
    }

    private static func batch(_ numbers: Range<Int>, _ value: [UInt8]) -> KafkaRecordBatch {
        var batch = KafkaRecordBatch(reservingBytes: numbers.count * (value.count + 16))
        for number in numbers { batch.append(topic: "t", key: "k\(number)".utf8, value: value) }
        return batch
    }
}
