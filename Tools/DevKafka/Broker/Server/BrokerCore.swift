import EscapementModel
import JSON
import Logging
import NIOCore

/// What all brokers of the cluster share and decide: topics, groups, transactions, faults.
///
/// Sendable: everything is touched on `loop` only, and each door from outside checks that. One loop serves all
/// brokers, so a request is applied as one step and no state is ever seen half changed.
final class BrokerCore: @unchecked Sendable {
    /// Partitions of all topics; more are refused.
    static let partitionsMax = 4096

    let loop: any EventLoop
    let configuration: ClusterConfiguration
    let logger: Logger
    let clocks = SystemClocks()
    var brokers: [Broker]
    var topics: [String: Topic] = [:]
    var groups: [String: ConsumerGroup] = [:]
    var offsets = OffsetTable()
    var transactions = TransactionTable()
    var faults = FaultTable()
    var credentials: Credentials
    /// A transaction's markers are written so much later than its end is decided and answered.
    var markerDelayMilliseconds: Int64 = 0
    /// Refuse transactional records in partitions that were not added to the transaction, as Kafka 3.6 and later.
    var verifiesTransactions = true
    var clusterID = ""
    var connections: [ObjectIdentifier: Connection] = [:]
    private var nextProducerID: Int64 = 1000
    private var nextTopicNumber: Int64 = 1
    private var journal: StateJournal?
    private var isStopped = false

    init(
        loop: any EventLoop, configuration: ClusterConfiguration, brokers: [Broker], logger: Logger
    ) {
        self.loop = loop
        self.configuration = configuration
        self.credentials = configuration.credentials
        self.logger = logger
        self.brokers = brokers
    }

    // MARK: - Start and stop

    /// Reads what the data folder holds and finishes the transactions that were decided.
    func start() throws {
        self.loop.preconditionInEventLoop()
        let folder = self.configuration.dataFolder
        try LogFile.makeDirectory(folder)
        try LogFile.makeDirectory("\(folder)/topics")
        var entries: [String: JSONValue] = [:]
        let journal = try StateJournal(path: "\(folder)/state.journal") { self.restore($0, topics: &entries) }
        self.journal = journal
        if self.clusterID.isEmpty {
            var random = SystemRandomNumberGenerator()
            self.clusterID = "\(UID.random(using: &random))".filter { $0 != "-" }
        }
        for (name, entry) in entries.sorted(by: { $0.key < $1.key }) { try self.open(topic: name, entry) }
        try journal.rewrite(self.snapshot)
        self.electLeaders(prefersFirst: true)
        for transaction in self.transactions.transactions.values.sorted(by: { $0.id < $1.id })
        where transaction.isDecided {
            self.finish(transaction.id)
        }
        self.scheduleTick()
    }

    func stop() {
        self.loop.preconditionInEventLoop()
        self.isStopped = true
        for topic in self.topics.values {
            for partition in topic.partitions { for wait in partition.waits.values { wait.giveUp() } }
        }
        self.topics = [:]
        self.journal = nil
    }

    private func restore(_ entry: JSONValue, topics: inout [String: JSONValue]) {
        switch entry["type"]?.stringValue {
        case "cluster": self.clusterID = entry["id"]?.stringValue ?? ""
        case "producer-ids": self.nextProducerID = entry["next"]?.integerValue ?? self.nextProducerID
        case "topic": if let name = entry["name"]?.stringValue { topics[name] = entry }
        case "topic-gone":
            if let name = entry["name"]?.stringValue {
                topics[name] = nil
                self.offsets.forget(topic: name)
                self.transactions.forget(topic: name)
            }
        case "transaction": if let transaction = Transaction(json: entry) { self.transactions.restore(transaction) }
        case "offset", "pending-offset": self.offsets.restore(entry)
        case "pending-gone":
            if let producerID = entry["producer"]?.integerValue { _ = self.offsets.takePending(of: producerID) }
        default: return
        }
        if let number = entry["number"]?.integerValue { self.nextTopicNumber = max(self.nextTopicNumber, number + 1) }
    }

    private var snapshot: [JSONValue] {
        [
            ["type": "cluster", "id": .string(self.clusterID)],
            ["type": "producer-ids", "next": .integer(self.nextProducerID)],
        ] + self.topics.values.sorted { $0.name < $1.name }.map(\.json)
            + self.transactions.transactions.values.sorted { $0.id < $1.id }.map(\.json) + self.offsets.entries
    }

    private func open(topic name: String, _ entry: JSONValue) throws {
        var settings = TopicSettings()
        for member in entry["settings"]?.objectValue ?? [] {
            if let value = member.value.stringValue { try settings.set(member.name, to: value) }
        }
        let number = entry["number"]?.integerValue ?? 0
        var partitions: [Partition] = []
        for (index, stored) in (entry["partitions"]?.arrayValue ?? []).enumerated() {
            // The cluster may have fewer brokers than at its last start.
            let count = Int32(self.brokers.count)
            var replicas: [Int32] = []
            for value in stored["replicas"]?.arrayValue ?? [] {
                let id = (Int32(clamping: value.integerValue ?? 1) - 1) % count + 1
                if !replicas.contains(id) { replicas.append(id) }
            }
            let log = try PartitionLog(path: self.path(of: name, number, index))
            if log.tornByteCount > 0 {
                self.logger.warning(
                    "a log had a torn end",
                    metadata: ["topic": "\(name)", "partition": "\(index)", "count": "\(log.tornByteCount)"])
            }
            partitions.append(
                Partition(
                    log: log, replicas: replicas, leader: Partition.noLeader,
                    leaderEpoch: Int32(clamping: stored["epoch"]?.integerValue ?? 0)))
        }
        self.topics[name] = Topic(name: name, number: number, settings: settings, partitions: partitions)
    }

    // MARK: - What the parts share

    /// Milliseconds of the monotonic clock.
    var now: Int64 { self.clocks.monotonicNow().nanoseconds / 1_000_000 }
    /// Milliseconds since 1970.
    var wallNow: Int64 { self.clocks.wallNow().milliseconds }

    /// Makes `entry` outlive the process. A journal that cannot be written ends the broker's usefulness: said loudly.
    func record(_ entry: JSONValue) {
        guard let journal = self.journal else { return }
        do {
            try journal.append(entry)
            if journal.isLong { try journal.rewrite(self.snapshot) }
        } catch {
            self.logger.critical("the state journal cannot be written", metadata: ["error": "\(error)"])
        }
    }

    func takeProducerID() -> Int64 {
        defer { self.nextProducerID += 1 }
        self.record(["type": "producer-ids", "next": .integer(self.nextProducerID + 1)])
        return self.nextProducerID
    }

    func takeTopicNumber() -> Int64 {
        defer { self.nextTopicNumber += 1 }
        return self.nextTopicNumber
    }

    func path(of topic: String, _ number: Int64, _ partition: Int) -> String {
        "\(self.configuration.dataFolder)/topics/\(Topic.fileName(topic, number, partition))"
    }

    func schedule(milliseconds: Int64, _ body: @escaping () -> Void) {
        if milliseconds <= 0 { return body() }
        self.loop.assumeIsolated().scheduleTask(in: .milliseconds(milliseconds)) {
            if !self.isStopped { body() }
        }
    }

    /// The broker that coordinates a group or a `transactional.id`; `nil` while none is up.
    func coordinator(of key: String) -> Broker? {
        var hash: UInt32 = 2_166_136_261
        for byte in key.utf8 { hash = (hash ^ UInt32(byte)) &* 16_777_619 }
        let first = Int(hash % UInt32(self.brokers.count))
        return (self.brokers[first...] + self.brokers[..<first]).first(where: \.isUp)
    }

    /// Why this broker does not coordinate `key`; `nil` when it does.
    func coordinatorRefusal(_ key: String, _ request: Request) -> ErrorCode? {
        if let code = request.injected?.take() { return code }
        return self.coordinator(of: key)?.id == request.broker ? nil : .notCoordinator
    }

    private func scheduleTick() {
        self.schedule(milliseconds: max(1, self.configuration.tickMilliseconds)) {
            self.tick()
            self.scheduleTick()
        }
    }

    private func tick() {
        let now = self.now
        for group in self.groups.values { group.tick(now: now) }
        for id in self.transactions.expired(now: self.wallNow) {
            self.transactions.abort(id)
            self.recordTransaction(id)
            self.logger.info("a transaction timed out", metadata: ["transactional_id": "\(id)"])
            self.finishLater(id)
        }
    }
}
