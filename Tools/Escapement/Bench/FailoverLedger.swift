import EscapementModel
import KafkaClient
import Logging
import Synchronization

/// What a `read_committed` consumer sees of the benchmark's schedules, and when.
final class FailoverLedger: Sendable {
    struct Arrival: Sendable {
        var schedule: Int
        var dueMilliseconds: Int64
        /// From the due instant until the consumer had the record, in milliseconds.
        var lateness: Int64
    }

    private struct Occurrence: Hashable {
        var schedule: Int
        var dueMilliseconds: Int64
    }

    private struct State {
        var arrivals: [Arrival] = []
        var ids: Set<String> = []
        var occurrences: Set<Occurrence> = []
        var doubled = 0
        var failure: String?
        /// By schedule: the last due instant seen.
        var latest: [Int: Int64] = [:]
    }

    private static let pollMax = 1000
    private let consumer: KafkaConsumer
    private let prefix: String
    private let state = Mutex(State())

    /// - Parameter prefix: of the records' keys; a number follows.
    init(settings: KafkaClientSettings, topic: String, partitions: Int32, prefix: String) async throws {
        self.prefix = prefix
        var settings = settings
        settings.properties.append(.init("isolation.level", "read_committed"))
        self.consumer = try KafkaConsumer(
            settings: settings, group: "failover-bench",
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }),
            health: KafkaHealthMonitor(settings: settings) { _ in })
        var offsets: [KafkaPartition: KafkaOffset] = [:]
        for partition in 0..<partitions { offsets[KafkaPartition(topic, partition)] = .beginning }
        try await self.consumer.assign(offsets)
    }

    /// Reads until the task is cancelled.
    func run() async {
        let clocks = SystemClocks()
        while !Task.isCancelled {
            do {
                let messages = try await self.consumer.poll(max: Self.pollMax, timeout: .milliseconds(100))
                let now = clocks.wallNow()
                self.state.withLock { state in for message in messages { self.take(message, now, &state) } }
            } catch {
                self.state.withLock { $0.failure = "\(error)" }
                do { try await clocks.sleep(for: .milliseconds(100)) } catch { break }
            }
        }
        await self.consumer.close()
    }

    private func take(_ message: KafkaMessage, _ now: WallInstant, _ state: inout State) {
        func text(_ bytes: [UInt8]?) -> String { String(decoding: bytes ?? [], as: UTF8.self) }
        guard let due = WallInstant(text: text(message.header("ce_time"))),
            let schedule = Int(text(message.key).dropFirst(self.prefix.count))
        else { return }
        let isNewID = state.ids.insert(text(message.header("ce_id"))).inserted
        // An occurrence under two ids is no repetition that a consumer could recognise: as bad as one.
        let isNew = state.occurrences.insert(Occurrence(schedule: schedule, dueMilliseconds: due.milliseconds)).inserted
        guard isNewID, isNew else {
            state.doubled += 1
            return
        }
        state.arrivals.append(
            Arrival(
                schedule: schedule, dueMilliseconds: due.milliseconds, lateness: now.milliseconds - due.milliseconds))
        state.latest[schedule] = max(state.latest[schedule] ?? 0, due.milliseconds)
    }

    /// Records whose id or whose occurrence had been there before.
    var doubled: Int { self.state.withLock { $0.doubled } }
    var failure: String? { self.state.withLock { $0.failure } }

    /// Whether every one of `count` schedules has fired for an instant at or after `due`.
    func haveAllFired(_ count: Int, since due: WallInstant) -> Bool {
        self.state.withLock { state in
            (0..<count).allSatisfy { (state.latest[$0] ?? 0) >= due.milliseconds }
        }
    }

    /// Arrivals due from `start` and before `end`.
    func arrivals(from start: WallInstant, to end: WallInstant) -> [Arrival] {
        self.state.withLock { state in
            state.arrivals.filter { $0.dueMilliseconds >= start.milliseconds && $0.dueMilliseconds < end.milliseconds }
        }
    }
}
