package import DispatcherService
package import EscapementModel
import KafkaClient
package import ServiceConfiguration
import Synchronization

/// Makes the producers of lanes, for the delivery mode of the cluster.
package final class KafkaLaneProducers: LaneProducerFactory {
    private let connection: KafkaConnection
    private let cluster: String
    private let topics: [String]
    private let mode: DeliveryMode
    private let clocks: any Clocks
    private let seed: UInt64
    private let recycled: @Sendable () -> Void
    private let shared: SharedProducer

    /// - Parameter topics: where most records go: their partitions are looked up before the first one.
    package init(
        connection: KafkaConnection, cluster: String, topics: [String], mode: DeliveryMode, clocks: any Clocks,
        seed: UInt64,
        recycled: @escaping @Sendable () -> Void
    ) {
        self.connection = connection
        self.cluster = cluster
        self.topics = topics
        self.mode = mode
        self.clocks = clocks
        self.seed = seed
        self.recycled = recycled
        self.shared = SharedProducer(connection: connection)
    }

    package func makeProducer(for lane: LaneID, epoch: Epoch) -> any LaneProducer {
        let seed = self.seed ^ UInt64(lane.rawValue) << 48 ^ epoch.rawValue
        switch self.mode {
        case .exactlyOnce:
            return TransactionalProducer(
                lane: lane,
                sessions: KafkaTransactionSessions(
                    connection: self.connection, cluster: self.cluster, topics: self.topics),
                clocks: self.clocks, seed: seed, recycled: self.recycled)
        case .atLeastOnce:
            return AtLeastOnceProducer(producer: self.shared, clocks: self.clocks, seed: seed)
        }
    }
}

/// One idempotent producer for all lanes of the process; replaced when it breaks for good, and when the brokers take
/// nothing while its certificates have changed.
package final class SharedProducer: RecordProducer {
    /// Beside those of every producer, and also overridden by the user's own properties.
    static let defaults: [KafkaClientSettings.Property] = [
        // A topic that is away is found out soon, and holds up nobody else for longer.
        .init("message.timeout.ms", "5000")
    ]

    private let connection: KafkaConnection
    private let current = Mutex<KafkaProducer?>(nil)
    private let sizes = Mutex(BatchSizes())

    package init(connection: KafkaConnection) { self.connection = connection }

    package func produce(_ records: [OutgoingRecord], handedOver: @Sendable () -> Void) async -> [RecordDelivery] {
        let producer: KafkaProducer
        do throws(KafkaError) {
            producer = try self.usable()
        } catch {
            let delivery = RecordDelivery.unavailable("\(error)")
            return Array(repeating: delivery, count: records.count)
        }
        var sizes = self.sizes.withLock { $0 }
        let deliveries = await DecidingProducer { records, handedOver in
            await producer.produce(OutgoingRecords(records), handedOver: handedOver)
                .map { RecordDelivery($0, isFenced: false) }
        }.produce(records, sizes: &sizes, handedOver: handedOver)
        self.sizes.withLock { $0.merge(sizes) }
        if deliveries.contains(where: { if case .unavailable = $0 { true } else { false } }) {
            self.retire(producer)
        }
        return deliveries
    }

    private func usable() throws(KafkaError) -> KafkaProducer {
        try self.current.withLock { current throws(KafkaError) in
            if let current, current.fatalReason == nil { return current }
            let made = try KafkaProducer(
                settings: self.connection.settings.withDefaults(Self.defaults), logger: self.connection.logger,
                health: self.connection.monitor)
            current = made
            return made
        }
    }

    /// Gives up a client that fails while its certificates have been replaced.
    private func retire(_ failed: KafkaProducer) {
        guard failed.holdsOldCertificates else { return }
        self.current.withLock { current in
            if current === failed { current = nil }
        }
    }
}

/// Sessions whose transactional id is the lane's own: the latest to initialize is the lane's publisher.
package struct KafkaTransactionSessions: TransactionSessionFactory {
    private let connection: KafkaConnection
    private let cluster: String
    private let topics: [String]

    /// - Parameter topics: looked up before the first transaction.
    package init(connection: KafkaConnection, cluster: String, topics: [String]) {
        self.connection = connection
        self.cluster = cluster
        self.topics = topics
    }

    package func makeSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        try self.session("\(Self.prefix(of: self.cluster))\(lane)", self.topics)
    }

    package func makeTrialSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        try self.session("\(Self.prefix(of: self.cluster))\(lane).trial", [])
    }

    /// What the transactional ids of all lanes begin with.
    static func prefix(of cluster: String) -> String { "esc.\(cluster).lane." }

    private func session(_ id: String, _ topics: [String]) throws(TransactionError) -> any TransactionSession {
        do throws(KafkaError) {
            return KafkaTransactionSession(
                try KafkaTransactionalProducer(
                    settings: self.connection.settings, transactionalID: id, logger: self.connection.logger,
                    health: self.connection.monitor), topics: topics)
        } catch {
            throw .unavailable("\(error)")
        }
    }
}

/// One transactional producer as a session.
final class KafkaTransactionSession: TransactionSession {
    /// How long a transactional id may take to be initialized: an open transaction of the one before has to end.
    static let initializeMax = Duration.seconds(15)
    static let prepareMax = Duration.seconds(1)
    /// How long a commit may take until its outcome is looked up in the journal instead.
    static let commitMax = Duration.seconds(10)
    /// How long an abort may take until the successor is left to do it.
    static let abortMax = Duration.seconds(2)

    private let producer: Mutex<KafkaTransactionalProducer?>
    private let topics: [String]

    init(_ producer: KafkaTransactionalProducer, topics: [String]) {
        self.producer = Mutex(producer)
        self.topics = topics
    }

    var isTainted: Bool { self.producer.withLock { $0?.doubt != nil } }

    func initialize() async throws(TransactionError) {
        let producer = try self.open()
        do throws(KafkaError) {
            // First, because an initialization that begins before a connection is there waits for a timer of half a
            // second. What is not learnt now is learnt with the first record.
            try await producer.prepare(topics: self.topics, timeout: Self.prepareMax)
        } catch {
            if error.isFatal { throw self.failure(error, producer) }
        }
        do throws(KafkaError) {
            try await producer.initialize(timeout: Self.initializeMax)
        } catch {
            throw self.failure(error, producer)
        }
    }

    func begin() async throws(TransactionError) {
        let producer = try self.open()
        do throws(KafkaError) { try await producer.begin() } catch { throw self.failure(error, producer) }
    }

    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery] {
        guard let producer = self.producer.withLock({ $0 }) else {
            return Array(repeating: .unavailable("the session is closed"), count: records.count)
        }
        let deliveries = await producer.produce(OutgoingRecords(records))
        let isFenced = producer.isFenced
        return deliveries.map { RecordDelivery($0, isFenced: isFenced) }
    }

    func commit() async throws(TransactionError) {
        let producer = try self.open()
        do throws(KafkaError) {
            try await producer.commit(timeout: Self.commitMax)
        } catch {
            if error.isFenced || producer.isFenced { throw .fenced("\(error)") }
            // The broker said no, and nothing suggests that an earlier copy of the request was answered otherwise.
            if error.requiresAbort, producer.doubt == nil { throw .unavailable("\(error)") }
            throw .outcomeUnknown("\(error)")
        }
    }

    func abort() async throws(TransactionError) {
        guard let producer = self.producer.withLock({ $0 }) else { return }
        do throws(KafkaError) {
            try await producer.abort(timeout: Self.abortMax)
        } catch {
            if error.isFenced || producer.isFenced { throw .fenced("\(error)") }
            // What else fails here is done by the next session's `initialize`.
        }
    }

    func close() async { self.producer.withLock { $0 = nil } }

    private func open() throws(TransactionError) -> KafkaTransactionalProducer {
        guard let producer = self.producer.withLock({ $0 }) else { throw .unavailable("the session is closed") }
        return producer
    }

    private func failure(_ error: KafkaError, _ producer: KafkaTransactionalProducer) -> TransactionError {
        error.isFenced || producer.isFenced ? .fenced("\(error)") : .unavailable("\(error)")
    }
}
