import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import WireProtocol

/// Kafka as its protocol is: producer ids and epochs, transactions with markers, `read_committed`, and the hole in it:
/// the request that ends a transaction names only producer id and epoch, so a late copy of it can end a later one.
final class SimulatedKafka: @unchecked Sendable {
    /// A transaction that stays open longer is aborted by the broker.
    static let transactionTimeout = Duration.seconds(15)

    struct Partition: Hashable {
        var topic: String
        var number: Int32
    }

    struct Producer: Equatable {
        var id: Int64
        var epoch: Int16
    }

    enum State: Equatable {
        case open
        case committed
        case aborted
    }

    struct Record {
        var offset: Int64
        var producer: Producer
        /// Counts the transactions of the transactional id.
        var transaction: UInt64
        var state: State
        var outgoing: OutgoingRecord
    }

    private struct Coordinator {
        var producer: Producer
        var transaction: UInt64 = 0
        var isOpen = false
        /// How the last one ended, while its producer epoch lasts: an end that comes again is answered alike.
        var lastEnd: State?
        /// What the open transaction has written, in order.
        var written: [(partition: Partition, offset: Int64)] = []
    }

    let simulator: Simulator
    var isDown = false
    /// Of a hundred ends of a transaction, so many are answered late, and a copy of the request arrives later still.
    var lateEndPercent = 0
    /// Of a thousand produce requests, so many fail.
    var produceFailsPerMille = 0
    /// Topics that answer with an error that does not pass.
    var forbiddenTopics: Set<String> = []
    /// Topics whose partitions have no leader.
    var leaderlessTopics: Set<String> = []
    /// Topics that the brokers do not know for now.
    var forgottenTopics: Set<String> = []
    /// Topics that have leaders, which take no record: too few replicas follow.
    var closedTopics: Set<String> = []
    /// Bytes that a topic takes in one batch, at most; of topics that are not here, any number.
    var batchBytesMax: [String: Int] = [:]
    /// Called for every record when its transaction commits.
    var committed: (SimulatedKafka.Partition, SimulatedKafka.Record) -> Void = { _, _ in }

    private(set) var logs: [Partition: [Record]] = [:]
    /// Offsets of open records, in order: what a reader may not pass.
    private var open: [Partition: [Int64]] = [:]
    private var coordinators: [String: Coordinator] = [:]
    /// How often rare things happened, by name.
    private var happened: [String: Int] = [:]
    private var groupOffsets: [Partition: Int64] = [:]
    private var nextProducerID: Int64 = 1000
    private var random: SplitMix64

    init(simulator: Simulator, seed: UInt64) {
        self.simulator = simulator
        self.random = SplitMix64(seed: seed)
    }

    var rarities: [(name: String, count: Int)] {
        self.happened.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    func note(_ name: String) { self.happened[name, default: 0] += 1 }

    func heal() {
        self.isDown = false
        self.lateEndPercent = 0
        self.produceFailsPerMille = 0
        self.leaderlessTopics = []
        self.closedTopics = []
        self.forgottenTopics = []
        self.batchBytesMax = [:]
    }

    func bringBack(_ topic: String) {
        self.leaderlessTopics.remove(topic)
        self.closedTopics.remove(topic)
        self.forgottenTopics.remove(topic)
    }

    func isAway(_ topic: String) -> Bool {
        self.leaderlessTopics.contains(topic) || self.closedTopics.contains(topic)
            || self.forgottenTopics.contains(topic)
    }

    // MARK: The brokers

    /// InitProducerId: raises the epoch and aborts what is open.
    func initialize(_ transactionalID: String) -> Producer {
        guard var coordinator = self.coordinators[transactionalID] else {
            self.nextProducerID += 1
            let producer = Producer(id: self.nextProducerID, epoch: 0)
            self.coordinators[transactionalID] = Coordinator(producer: producer)
            return producer
        }
        if coordinator.isOpen {
            self.note("fenced_open_transaction")
            self.finish(&coordinator, .aborted)
        }
        coordinator.producer.epoch += 1
        coordinator.lastEnd = nil
        self.coordinators[transactionalID] = coordinator
        return coordinator.producer
    }

    /// AddPartitionsToTxn, which comes before every produce: the transaction is open from here on. False when the
    /// producer is fenced.
    func addPartitions(_ transactionalID: String, by producer: Producer) -> Bool {
        guard var coordinator = self.coordinators[transactionalID],
            coordinator.producer == producer
                || (Defence.producerFence.isRemoved && coordinator.producer.id == producer.id)
        else { return false }
        if coordinator.isOpen { return true }
        coordinator.isOpen = true
        coordinator.transaction += 1
        coordinator.lastEnd = nil
        let started = coordinator.transaction
        self.coordinators[transactionalID] = coordinator
        self.simulator.after(Self.transactionTimeout) { self.timeOut(transactionalID, started) }
        return true
    }

    /// Produce, of one record. `nil` when the producer is fenced.
    func append(
        _ outgoing: OutgoingRecord, _ partition: Partition, by producer: Producer, _ transactionalID: String
    ) -> Int64? {
        guard self.addPartitions(transactionalID, by: producer), var coordinator = self.coordinators[transactionalID]
        else {
            self.note("fenced_record")
            return nil
        }
        let offset = Int64(self.logs[partition]?.count ?? 0)
        self.logs[partition, default: []].append(
            Record(
                offset: offset, producer: coordinator.producer, transaction: coordinator.transaction, state: .open,
                outgoing: outgoing))
        coordinator.written.append((partition, offset))
        self.open[partition, default: []].append(offset)
        self.coordinators[transactionalID] = coordinator
        return offset
    }

    /// EndTxn.
    func end(_ transactionalID: String, _ producer: Producer, _ state: State) -> EndAnswer {
        guard var coordinator = self.coordinators[transactionalID],
            coordinator.producer == producer
                || (Defence.producerFence.isRemoved && coordinator.producer.id == producer.id)
        else {
            self.note("fenced_end")
            return .fenced
        }
        guard coordinator.isOpen else {
            // The same end once more; also the end of a transaction without records.
            return coordinator.lastEnd == nil || coordinator.lastEnd == state ? .done : .invalidState
        }
        self.finish(&coordinator, state)
        self.coordinators[transactionalID] = coordinator
        return .done
    }

    /// A copy of the request that ends a transaction arrives behind the one that did.
    fileprivate func endLate(_ transactionalID: String, _ producer: Producer, _ state: State) {
        let isOpen = self.coordinators[transactionalID]?.isOpen ?? false
        let answer = self.end(transactionalID, producer, state)
        self.note(answer == .done ? (isOpen ? "late_end_took_effect" : "late_end_repeated") : "late_end_refused")
    }

    enum EndAnswer {
        case done
        case fenced
        case invalidState
    }

    private func timeOut(_ transactionalID: String, _ transaction: UInt64) {
        guard var coordinator = self.coordinators[transactionalID], coordinator.isOpen,
            coordinator.transaction == transaction
        else { return }
        self.note("transaction_timed_out")
        self.finish(&coordinator, .aborted)
        coordinator.producer.epoch += 1
        coordinator.lastEnd = nil
        self.coordinators[transactionalID] = coordinator
    }

    private func finish(_ coordinator: inout Coordinator, _ state: State) {
        coordinator.isOpen = false
        coordinator.lastEnd = state
        let written = coordinator.written
        coordinator.written = []
        for (partition, offset) in written {
            self.logs[partition]?[Int(offset)].state = state
            self.open[partition]?.removeAll { $0 == offset }
        }
        guard state == .committed else { return }
        for (partition, offset) in written {
            if let record = self.logs[partition]?[Int(offset)] { self.committed(partition, record) }
        }
    }

    /// What `read_committed` sees: nothing at or behind the first open record.
    func readCommitted(_ partition: Partition, from: Int64, max: Int) -> [Record] {
        var found: [Record] = []
        for record in (self.logs[partition] ?? []).dropFirst(Int(Swift.max(0, from))) {
            if record.state == .open || found.count >= max { break }
            if record.state == .committed { found.append(record) }
        }
        return found
    }

    /// The offset behind which something is still open.
    func lastStableOffset(_ partition: Partition) -> Int64 {
        self.open[partition]?.first ?? Int64(self.logs[partition]?.count ?? 0)
    }

    // MARK: Clients

    fileprivate func drawLatency() -> Duration { .microseconds(Int.random(in: 300...6000, using: &self.random)) }
    fileprivate func draws(_ share: Int, of whole: Int) -> Bool {
        share > 0 && Int.random(in: 0..<whole, using: &self.random) < share
    }

    func sessions(on host: Host, cluster: String) -> SimulatedSessions {
        SimulatedSessions(kafka: self, host: host, cluster: cluster)
    }

    func journal(on host: Host, topic: String) -> SimulatedJournal {
        SimulatedJournal(kafka: self, host: host, topic: topic)
    }

    fileprivate func commitOffset(_ partition: Partition, _ offset: Int64) { self.groupOffsets[partition] = offset }
    fileprivate func groupOffset(_ partition: Partition) -> Int64? { self.groupOffsets[partition] }
}

/// Transactional producers of one process.
struct SimulatedSessions: TransactionSessionFactory {
    let kafka: SimulatedKafka
    let host: Host
    let cluster: String

    func makeSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        SimulatedSession(
            kafka: self.kafka, host: self.host, transactionalID: "esc.\(self.cluster).lane.\(lane.rawValue)")
    }

    func makeTrialSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        SimulatedSession(
            kafka: self.kafka, host: self.host, transactionalID: "esc.\(self.cluster).lane.\(lane.rawValue).trial")
    }
}

/// One producer, as librdkafka behaves: it retries inside, and tells of doubts only by its taint.
final class SimulatedSession: TransactionSession, @unchecked Sendable {
    /// How long a request waits for a broker that does not answer.
    private static let requestTimeout = Duration.seconds(2)

    private let kafka: SimulatedKafka
    private let host: Host
    private let transactionalID: String
    private var producer: SimulatedKafka.Producer?
    private(set) var isTainted = false

    init(kafka: SimulatedKafka, host: Host, transactionalID: String) {
        self.kafka = kafka
        self.host = host
        self.transactionalID = transactionalID
    }

    private func reach() async throws(TransactionError) {
        await self.host.pause(self.kafka.drawLatency())
        if self.kafka.isDown {
            self.isTainted = true
            await self.host.pause(Self.requestTimeout)
            throw .unavailable("no broker answers")
        }
    }

    func initialize() async throws(TransactionError) {
        try await self.reach()
        self.producer = self.kafka.initialize(self.transactionalID)
        await self.host.pause(self.kafka.drawLatency())
    }

    func begin() async throws(TransactionError) {
        guard self.producer != nil else { throw .unavailable("not initialized") }
    }

    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery] {
        guard let producer else { return records.map { _ in .unavailable("not initialized") } }
        do throws(TransactionError) {
            try await self.reach()
        } catch {
            return records.map { _ in .unavailable("no broker answers") }
        }
        var deliveries: [RecordDelivery] = []
        let refused = self.kafka.refuseBatches(of: records, by: producer, self.transactionalID)
        for record in records {
            let partition = SimulatedKafka.Partition(of: record)
            if self.kafka.forbiddenTopics.contains(record.topic) {
                deliveries.append(.refused(.forbiddenTopic, detail: "not authorized"))
                continue
            }
            if refused.contains(partition) {
                deliveries.append(.refused(.tooLarge, detail: "the batch is too large"))
                continue
            }
            if self.kafka.isAway(record.topic)
                || self.kafka.draws(self.kafka.produceFailsPerMille, of: 1000)
            {
                self.isTainted = true
                deliveries.append(.unavailable("not leader"))
                continue
            }
            if let offset = self.kafka.append(record, partition, by: producer, self.transactionalID) {
                deliveries.append(.delivered(partition: partition.number, offset: offset))
            } else {
                deliveries.append(.fenced("a newer producer has the transactional id"))
            }
        }
        await self.host.pause(self.kafka.drawLatency())
        return deliveries
    }

    func commit() async throws(TransactionError) {
        guard let producer else { throw .unavailable("not initialized") }
        try await self.reach()
        if self.kafka.draws(self.kafka.lateEndPercent, of: 100) {
            // The request or its answer is late; the client asks again by itself and is told "done". The first copy
            // is still on its way.
            self.isTainted = true
            let delay = Duration.milliseconds(300) + self.kafka.drawLatency() * 200
            let transactionalID = self.transactionalID
            self.kafka.simulator.after(delay) { [kafka] in kafka.endLate(transactionalID, producer, .committed) }
            await self.host.pause(.milliseconds(100))
        }
        switch self.kafka.end(self.transactionalID, producer, .committed) {
        case .done: break
        case .fenced: throw .fenced("a newer producer has the transactional id")
        case .invalidState: throw .outcomeUnknown("the transaction is not open")
        }
        await self.host.pause(self.kafka.drawLatency())
    }

    func abort() async throws(TransactionError) {
        guard let producer else { return }
        self.isTainted = true
        do throws(TransactionError) { try await self.reach() } catch { return }
        if self.kafka.draws(self.kafka.lateEndPercent, of: 100) {
            let delay = Duration.milliseconds(20) + self.kafka.drawLatency() * 50
            let transactionalID = self.transactionalID
            self.kafka.simulator.after(delay) { [kafka] in kafka.endLate(transactionalID, producer, .aborted) }
        }
        let answer = self.kafka.end(self.transactionalID, producer, .aborted)
        await self.host.pause(self.kafka.drawLatency())
        if case .fenced = answer { throw .fenced("a newer producer has the transactional id") }
    }

    func close() async {}
}

/// The journal of all lanes, as a reader and as the recorder's feed, of one process.
final class SimulatedJournal: JournalReader, JournalFeed, ParkedReader, TopicProbe, @unchecked Sendable {
    private let kafka: SimulatedKafka
    private let host: Host
    private let topic: String
    private var positions: [LaneID: Int64] = [:]

    init(kafka: SimulatedKafka, host: Host, topic: String) {
        self.kafka = kafka
        self.host = host
        self.topic = topic
    }

    private func partition(_ lane: LaneID) -> SimulatedKafka.Partition {
        SimulatedKafka.Partition(topic: self.topic, number: Int32(lane.rawValue))
    }

    private func reach() async throws(JournalError) {
        await self.host.pause(self.kafka.drawLatency())
        if self.kafka.isDown { throw JournalError(.unavailable, "no broker answers") }
    }

    func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64 {
        try await self.reach()
        return 0
    }

    func read(_ lane: LaneID, from: Int64, through: Int64) async throws(JournalError) -> [StoredJournalRecord] {
        try await self.reach()
        // A consumer waits until its position passes `through`; an open transaction before it ends some day.
        while through < .max, self.kafka.lastStableOffset(self.partition(lane)) < through {
            await self.host.pause(.milliseconds(20))
            if self.kafka.isDown { throw JournalError(.unavailable, "no broker answers") }
        }
        return self.kafka.readCommitted(self.partition(lane), from: from, max: .max)
            .filter { $0.offset < through }.map(Self.stored)
    }

    /// Knows no times: everything was written after any instant.
    func scan(_ lane: LaneID, from start: JournalStart, max: Int) async throws(JournalError) -> JournalStretch {
        try await self.reach()
        let end = self.kafka.lastStableOffset(self.partition(lane))
        let from: Int64 =
            switch start {
            case .since: 0
            case .offset(let offset): offset
            case .last(let count): Swift.max(0, end - count)
            }
        let records = self.kafka.readCommitted(self.partition(lane), from: from, max: max).map(Self.stored)
        let next = records.count < max ? end : records.last.map { $0.offset + 1 } ?? end
        return JournalStretch(records: records, next: next, isEnd: next >= end, reachesBack: true)
    }

    func readParked(
        _ lane: LaneID, _ queue: ParkedQueue, from: Int64, max: Int
    ) async throws(JournalError) -> ParkedStretch {
        try await self.reach()
        let partition = SimulatedKafka.Partition(
            topic: SimulatedCluster.parkedTopic, number: queue.partition(of: lane))
        let end = self.kafka.lastStableOffset(partition)
        let found = self.kafka.readCommitted(partition, from: from, max: max)
        let next = found.count < max ? Swift.max(from, end) : found.last.map { $0.offset + 1 } ?? from
        return ParkedStretch(
            records: found.map { .init(offset: $0.offset, bytes: $0.outgoing.value) }, next: next, isEnd: next >= end)
    }

    func standing(of topic: String) async -> TopicStanding {
        await self.host.pause(self.kafka.drawLatency())
        if self.kafka.isDown { return .silent }
        if self.kafka.forbiddenTopics.contains(topic) { return .refused }
        if self.kafka.forgottenTopics.contains(topic) { return .unknown }
        return self.kafka.leaderlessTopics.contains(topic) ? .leaderless : .ready
    }

    func reachesLeaders(of topic: String) async -> Bool { true }

    static func stored(_ record: SimulatedKafka.Record) -> StoredJournalRecord {
        StoredJournalRecord(offset: record.offset, record: try? JournalCodec.decode(record.outgoing.value))
    }

    func committed(_ lanes: [LaneID]) async throws(JournalError) -> [LaneID: Int64] {
        try await self.reach()
        var found: [LaneID: Int64] = [:]
        for lane in lanes { found[lane] = self.kafka.groupOffset(self.partition(lane)) }
        return found
    }

    func follow(_ lanes: [LaneID: Int64]) async throws(JournalError) { self.positions = lanes }

    func next(
        max: Int, timeout: Duration
    ) async throws(JournalError) -> [(lane: LaneID, record: StoredJournalRecord)] {
        try await self.reach()
        for attempt in 0..<2 {
            var found: [(lane: LaneID, record: StoredJournalRecord)] = []
            for lane in self.positions.keys.sorted() {
                for record in self.kafka.readCommitted(
                    self.partition(lane), from: self.positions[lane] ?? 0, max: max - found.count)
                {
                    found.append((lane, Self.stored(record)))
                    self.positions[lane] = record.offset + 1
                }
            }
            if !found.isEmpty { return found }
            if attempt == 0 { await self.host.pause(timeout) }
        }
        return []
    }

    func commit(_ offsets: [LaneID: Int64]) async throws(JournalError) {
        try await self.reach()
        for lane in offsets.keys.sorted() { self.kafka.commitOffset(self.partition(lane), offsets[lane] ?? 0) }
    }
}
