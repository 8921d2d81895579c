import DispatcherDomain
import DispatcherService
import EscapementModel
import NIOCore
import Synchronization

/// A broker that knows topics, transactions and fencing, and does what a test tells it to do wrong.
final class FakeTopics: TransactionSessionFactory, RecordProducer, JournalReader, ParkedReader, TopicProbe {
    struct Stored {
        var record: OutgoingRecord
        var isCommitted: Bool
        /// Whether its transaction is over.
        var isSettled: Bool
        var writtenAt: WallInstant?
    }

    enum Fault {
        case initializeUnavailable
        case beginFenced
        case produceUnavailable
        case produceFenced
        /// The commit fails and is not applied.
        case commitRefused
        /// Nobody hears the answer.
        case commitUnknown(applied: Bool)
        /// The commit succeeds, and the session is in doubt.
        case taint
    }

    struct State {
        var partitions: [String: [Stored]] = [:]
        var generation = 0
        var faults: [Fault] = []
        var sessions = 0
        var aborts = 0
        var isNextAbortFenced = false
        /// Topics whose partitions have no leader.
        var leaderless: Set<String> = []
        /// Nobody answers.
        var isDown = false
        /// Nobody answers who reads the journal.
        var isJournalUnreadable = false
        /// Topics that are led by a broker which does not answer.
        var outOfReach: Set<String> = []
        /// Topics that have a leader, which takes no record.
        var closed: Set<String> = []
        /// Topics that the broker does not know for now.
        var forgotten: Set<String> = []
        /// Bytes of the values of a topic that go together, at most.
        var batchBytesMax: [String: Int] = [:]
        /// What records say of when they were written.
        var writtenAt: WallInstant?
        /// The first parked records that still exist, by partition.
        var parkedLow: [Int32: Int64] = [:]
    }

    let state = Mutex(State())
    /// Topics that do not exist.
    let missing: Set<String>
    let recordBytesMax: Int

    init(missing: Set<String> = [], recordBytesMax: Int = 1_000_000) {
        self.missing = missing
        self.recordBytesMax = recordBytesMax
    }

    func inject(_ faults: Fault...) { self.state.withLock { $0.faults += faults } }

    var sessionCount: Int { self.state.withLock { $0.sessions } }

    /// What a reader of committed records sees of a topic, all partitions.
    func committed(_ topic: String) -> [OutgoingRecord] {
        self.state.withLock { state in
            state.partitions.sorted { $0.key < $1.key }.filter { $0.key.hasPrefix("\(topic)/") }
                .flatMap { $0.value.filter(\.isCommitted).map(\.record) }
        }
    }

    /// The committed journal as records.
    func journal(_ topic: String = "escapement.test.journal") -> [JournalRecord] {
        self.committed(topic).compactMap { try? JournalCodec.decode($0.value) }
    }

    /// Loses the last records of the journal of lane 0, as an election of a replica that lags does.
    func loseJournal(_ count: Int, _ topic: String = "escapement.test.journal") {
        self.state.withLock { $0.partitions["\(topic)/0"]?.removeLast(count) }
    }

    func takeFault(_ matches: (Fault) -> Bool) -> Fault? {
        self.state.withLock { state in
            guard let index = state.faults.firstIndex(where: matches) else { return nil }
            return state.faults.remove(at: index)
        }
    }

    func makeSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        self.state.withLock { $0.sessions += 1 }
        return FakeSession(self)
    }

    func makeTrialSession(for lane: LaneID) async throws(TransactionError) -> any TransactionSession {
        FakeTrial(self)
    }

    func delivery(_ record: OutgoingRecord, isCommitted: Bool) -> RecordDelivery {
        let isAway = self.state.withLock { state in
            state.isDown || [state.leaderless, state.closed, state.forgotten].contains { $0.contains(record.topic) }
        }
        if isAway { return .unavailable("no leader") }
        if self.missing.contains(record.topic) { return .refused(.unknownTopic, detail: "no such topic") }
        if record.value.readableBytes > self.recordBytesMax { return .refused(.tooLarge, detail: "too large") }
        let partition = record.partition ?? 0
        return self.state.withLock { state in
            let key = "\(record.topic)/\(partition)"
            state.partitions[key, default: []].append(
                Stored(
                    record: record, isCommitted: isCommitted, isSettled: isCommitted, writtenAt: state.writtenAt))
            return .delivered(partition: partition, offset: Int64(state.partitions[key, default: []].count - 1))
        }
    }

    /// Refuses those that are too large together, as a broker does with a batch.
    func refused(_ records: [OutgoingRecord]) -> Set<String> {
        let bounds = self.state.withLock { $0.batchBytesMax }
        return Set(
            bounds.filter { topic, max in
                records.filter { $0.topic == topic }.reduce(0) { $0 + $1.value.readableBytes } > max
            }.keys)
    }

    func settle(_ positions: [(key: String, offset: Int)], isCommitted: Bool) {
        self.state.withLock { state in
            for position in positions {
                state.partitions[position.key]?[position.offset].isCommitted = isCommitted
                state.partitions[position.key]?[position.offset].isSettled = true
            }
        }
    }

    // MARK: RecordProducer, without transactions

    func produce(_ records: [OutgoingRecord], handedOver: @Sendable () -> Void) async -> [RecordDelivery] {
        defer { handedOver() }
        let refused = self.refused(records)
        return records.map { record in
            if refused.contains(record.topic) { return .refused(.tooLarge, detail: "a batch too large") }
            let fault = self.takeFault {
                switch $0 {
                case .produceUnavailable, .produceFenced: true
                default: false
                }
            }
            switch fault {
            case nil: return self.delivery(record, isCommitted: true)
            case .produceFenced: return .fenced("fenced")
            default: return .unavailable("away")
            }
        }
    }

    // MARK: Parked fires

    func readParked(
        _ lane: LaneID, _ queue: ParkedQueue, from: Int64, max: Int
    ) async throws(JournalError) -> ParkedStretch {
        self.state.withLock { state in
            let all = state.partitions["escapement.test.parked/\(queue.partition(of: lane))"] ?? []
            var records: [ParkedStretch.Record] = []
            let low = state.parkedLow[queue.partition(of: lane)] ?? 0
            let from = Swift.max(from, low)
            var next = from
            for (offset, stored) in all.enumerated().dropFirst(Int(from)) where records.count < max {
                guard stored.isSettled else { break }
                next = Int64(offset) + 1
                guard stored.isCommitted else { continue }
                records.append(
                    .init(offset: Int64(offset), bytes: stored.record.value, writtenAt: stored.writtenAt))
            }
            return ParkedStretch(records: records, next: next, isEnd: next == all.count, low: low)
        }
    }

    func standing(of topic: String) async -> TopicStanding {
        self.state.withLock { state in
            if state.isDown { return .silent }
            if state.leaderless.contains(topic) { return .leaderless }
            if state.forgotten.contains(topic) { return .unknown }
            return self.missing.contains(topic) ? .refused : .ready
        }
    }

    func reachesLeaders(of topic: String) async -> Bool { self.state.withLock { !$0.outOfReach.contains(topic) } }

    // MARK: JournalReader

    func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64 { 0 }

    func read(_ lane: LaneID, from: Int64, through: Int64) async throws(JournalError) -> [StoredJournalRecord] {
        self.state.withLock { state in
            let all = state.partitions["escapement.test.journal/\(lane)"] ?? []
            return (from..<through).compactMap { offset in
                let stored = all[Int(offset)]
                guard stored.isCommitted else { return nil }
                return StoredJournalRecord(offset: offset, record: try? JournalCodec.decode(stored.record.value))
            }
        }
    }

    /// Knows no times: everything was written after any instant.
    func scan(_ lane: LaneID, from start: JournalStart, max: Int) async throws(JournalError) -> JournalStretch {
        if self.state.withLock({ $0.isJournalUnreadable }) { throw JournalError(.unavailable, "no answer") }
        let end = Int64(self.state.withLock { $0.partitions["escapement.test.journal/\(lane)"] ?? [] }.count)
        let from: Int64 =
            switch start {
            case .since: 0
            case .offset(let offset): offset
            case .last(let count): Swift.max(0, end - count)
            }
        let records = try await self.read(lane, from: from, through: end).prefix(max)
        let next = records.count < max ? end : records.last.map { $0.offset + 1 } ?? end
        return JournalStretch(records: Array(records), next: next, isEnd: next >= end, reachesBack: true)
    }
}

/// One transactional producer against `FakeTopics`.
final class FakeSession: TransactionSession {
    private struct State {
        var generation = 0
        var open: [(key: String, offset: Int)]?
        var isTainted = false
    }

    private let topics: FakeTopics
    private let state = Mutex(State())

    init(_ topics: FakeTopics) { self.topics = topics }

    var isTainted: Bool { self.state.withLock { $0.isTainted } }

    private func isCurrent() -> Bool {
        let generation = self.state.withLock { $0.generation }
        return self.topics.state.withLock { $0.generation == generation }
    }

    func initialize() async throws(TransactionError) {
        let fault = self.topics.takeFault { if case .initializeUnavailable = $0 { true } else { false } }
        if fault != nil { throw .unavailable("away") }
        let generation = self.topics.state.withLock { state in
            state.generation += 1
            // What an earlier session left open is aborted.
            for (key, partition) in state.partitions {
                for offset in partition.indices where !partition[offset].isSettled {
                    state.partitions[key]?[offset].isSettled = true
                }
            }
            return state.generation
        }
        self.state.withLock { $0.generation = generation }
    }

    func begin() async throws(TransactionError) {
        let fault = self.topics.takeFault { if case .beginFenced = $0 { true } else { false } }
        if fault != nil || !self.isCurrent() { throw .fenced("fenced") }
        self.state.withLock { $0.open = [] }
    }

    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery] {
        guard self.isCurrent() else { return records.map { _ in .fenced("fenced") } }
        let refused = self.topics.refused(records)
        return records.map { record in
            if refused.contains(record.topic) { return .refused(.tooLarge, detail: "a batch too large") }
            let fault = self.topics.takeFault {
                switch $0 {
                case .produceUnavailable, .produceFenced: true
                default: false
                }
            }
            switch fault {
            case .produceFenced: return .fenced("fenced")
            case nil:
                let delivery = self.topics.delivery(record, isCommitted: false)
                if case .delivered(let partition, let offset) = delivery {
                    self.state.withLock { $0.open?.append(("\(record.topic)/\(partition)", Int(offset))) }
                }
                return delivery
            default: return .unavailable("away")
            }
        }
    }

    func commit() async throws(TransactionError) {
        let open = self.state.withLock { state in
            defer { state.open = nil }
            return state.open
        }
        guard let open, self.isCurrent() else { throw .fenced("fenced") }
        let fault = self.topics.takeFault {
            switch $0 {
            case .commitRefused, .commitUnknown, .taint: true
            default: false
            }
        }
        switch fault {
        case .commitRefused:
            self.topics.settle(open, isCommitted: false)
            throw .unavailable("refused")
        case .commitUnknown(let applied):
            self.topics.settle(open, isCommitted: applied)
            throw .outcomeUnknown("no answer")
        case .taint:
            self.topics.settle(open, isCommitted: true)
            self.state.withLock { $0.isTainted = true }
        default:
            self.topics.settle(open, isCommitted: true)
        }
    }

    func abort() async throws(TransactionError) {
        let open = self.state.withLock { state in
            state.isTainted = true
            defer { state.open = nil }
            return state.open
        }
        let isFenced = self.topics.state.withLock { state in
            state.aborts += 1
            defer { state.isNextAbortFenced = false }
            return state.isNextAbortFenced
        }
        if let open { self.topics.settle(open, isCommitted: false) }
        if isFenced { throw .fenced("a newer producer has the transactional id") }
    }

    func close() async {}
}

/// A transaction that is aborted in any case.
struct FakeTrial: TransactionSession {
    private let topics: FakeTopics

    init(_ topics: FakeTopics) { self.topics = topics }

    var isTainted: Bool { false }
    func initialize() async throws(TransactionError) {}
    func begin() async throws(TransactionError) {}
    func produce(_ records: [OutgoingRecord]) async -> [RecordDelivery] {
        records.map { record in
            let isClosed = self.topics.state.withLock { $0.closed.contains(record.topic) }
            return isClosed ? .unavailable("too few replicas") : .delivered(partition: 0, offset: 0)
        }
    }
    func commit() async throws(TransactionError) {}
    func abort() async throws(TransactionError) {}
    func close() async {}
}
