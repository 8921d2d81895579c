package import DispatcherDomain
package import DispatcherService
package import EscapementModel
import KafkaClient
import NIOCore

/// Reads tails of the journal at takeovers, and parked fires. Consumers are kept for the next read; at most a few
/// exist.
package actor KafkaJournalReader: JournalReader, ParkedReader {
    /// Takeovers that read at a time.
    static let consumersMax = 4
    static let requestMax = Duration.seconds(10)
    /// How long a read may go on without a record before it is given up.
    static let silenceMax = Duration.seconds(10)
    /// How long one poll waits.
    private static let pollMax = Duration.milliseconds(500)
    /// Records taken at once.
    private static let recordsMax = 256
    /// With more bytes a stretch ends, after so many records more at most.
    private static let stretchBytesMax = 4 << 20
    private static let pollRecordsMax = 64

    private let connection: KafkaConnection
    private let topic: String
    private let parkedTopic: String
    private var idle: [KafkaConsumer] = []
    private var count = 0
    private var waiting: [CheckedContinuation<Void, Never>] = []

    package init(connection: KafkaConnection, cluster: String) {
        self.connection = connection
        self.topic = PublishingRules.journalTopic(of: cluster)
        self.parkedTopic = PublishingRules.parkedTopic(of: cluster)
    }

    package func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64 {
        try await self.using { consumer throws(KafkaError) in
            try await consumer.watermarks(of: self.partition(lane), timeout: Self.requestMax).low
        }
    }

    package func read(_ lane: LaneID, from: Int64, through: Int64) async throws(JournalError) -> [StoredJournalRecord] {
        try await self.using { consumer throws(KafkaError) in
            try await consumer.assign([self.partition(lane): .at(from)])
            var records: [StoredJournalRecord] = []
            var silent = Duration.zero
            // The record at `through` or after it is there: meeting it proves that none before it is missing.
            while silent < Self.silenceMax {
                let messages = try await consumer.poll(max: Self.recordsMax, timeout: Self.pollMax)
                silent = messages.isEmpty ? silent + Self.pollMax : .zero
                for message in messages {
                    if message.offset >= through {
                        try await consumer.assign([:])
                        return records
                    }
                    records.append(StoredJournalRecord(message))
                }
            }
            throw KafkaError(.timedOut, detail: "the journal of lane \(lane) did not arrive")
        }
    }

    package func readParked(
        _ lane: LaneID, _ queue: ParkedQueue, from: Int64, max: Int
    ) async throws(JournalError) -> ParkedStretch {
        let partition = KafkaPartition(self.parkedTopic, queue.partition(of: lane))
        return try await self.using { consumer throws(KafkaError) in
            // Records that are out of their retention are gone, and no error.
            let low = try await consumer.watermarks(of: partition, timeout: Self.requestMax).low
            let (messages, next, isEnd) = try await self.stretch(
                of: partition, from: Swift.max(from, low), max: max, by: consumer)
            return ParkedStretch(
                records: messages.map { message in
                    let written = message.timestampMilliseconds
                    return ParkedStretch.Record(
                        offset: message.offset, bytes: ByteBuffer(bytes: message.value ?? []),
                        writtenAt: written < 0 ? nil : WallInstant(milliseconds: written))
                },
                next: next, isEnd: isEnd, low: low)
        }
    }

    package func scan(
        _ lane: LaneID, from start: JournalStart, max: Int
    ) async throws(JournalError) -> JournalStretch {
        let partition = self.partition(lane)
        return try await self.using { consumer throws(KafkaError) in
            let (low, high) = try await consumer.watermarks(of: partition, timeout: Self.requestMax)
            let wanted: Int64
            switch start {
            case .offset(let offset): wanted = offset
            case .last(let count): wanted = high - count
            case .since(let instant):
                wanted = try await consumer.offset(of: partition, since: instant, timeout: Self.requestMax) ?? high
            }
            let (messages, next, isEnd) = try await self.stretch(
                of: partition, from: Swift.max(wanted, low), max: max, by: consumer)
            return JournalStretch(
                records: messages.map { StoredJournalRecord($0) }, next: next, isEnd: isEnd,
                reachesBack: low == 0 || wanted > low)
        }
    }

    /// Up to `max` committed records from `start` on, the offset to go on from, and whether that is the end for now.
    private func stretch(
        of partition: KafkaPartition, from start: Int64, max: Int, by consumer: KafkaConsumer
    ) async throws(KafkaError) -> (messages: [KafkaMessage], next: Int64, isEnd: Bool) {
        try await consumer.assign([partition: .at(start)])
        var found: [KafkaMessage] = []
        var next = start
        var isEnd = false
        var silent = Duration.zero
        var byteCount = 0
        while found.count < max, byteCount < Self.stretchBytesMax, !isEnd {
            let messages = try await consumer.poll(
                max: min(max - found.count, Self.pollRecordsMax), timeout: Self.pollMax)
            found += messages
            byteCount += messages.reduce(0) { $0 + ($1.value?.count ?? 0) }
            next = messages.last.map { $0.offset + 1 } ?? next
            // Only the broker knows the end: what is in an open transaction is behind it, and end marks before it
            // are no records. A silence proves nothing.
            if let end = consumer.end(of: partition) {
                next = end
                isEnd = true
            }
            silent = messages.isEmpty ? silent + Self.pollMax : .zero
            if silent >= Self.silenceMax, !isEnd {
                throw KafkaError(
                    .timedOut, detail: "the records of \(partition.topic)/\(partition.partition) did not arrive")
            }
        }
        try await consumer.assign([:])
        return (found, next, isEnd)
    }

    nonisolated private func partition(_ lane: LaneID) -> KafkaPartition {
        KafkaPartition(self.topic, Int32(lane.rawValue))
    }

    private func using<Answer: Sendable>(
        _ body: (KafkaConsumer) async throws(KafkaError) -> Answer
    ) async throws(JournalError) -> Answer {
        while self.idle.isEmpty, self.count >= Self.consumersMax {
            await withCheckedContinuation { self.waiting.append($0) }
        }
        if Task.isCancelled {
            if !self.waiting.isEmpty { self.waiting.removeFirst().resume() }
            throw JournalError(.unavailable, "stopped")
        }
        do throws(KafkaError) {
            self.count += 1
            defer {
                self.count -= 1
                if !self.waiting.isEmpty { self.waiting.removeFirst().resume() }
            }
            let consumer = if let kept = self.idle.popLast() { kept } else { try self.make() }
            consumer.forgetFailure()
            let answer = try await body(consumer)
            // One that failed is not used again: what it has buffered belongs to a read that was given up.
            self.idle.append(consumer)
            return answer
        } catch {
            // Those that are kept would fail as this one did.
            self.idle.removeAll { $0.holdsOldCertificates }
            throw JournalError(error)
        }
    }

    private func make() throws(KafkaError) -> KafkaConsumer {
        // The group is never joined; librdkafka wants one.
        try KafkaConsumer(
            settings: self.connection.settings, group: "\(self.topic).takeover", noticesEnds: true,
            logger: self.connection.logger, health: self.connection.monitor)
    }
}

extension StoredJournalRecord {
    /// A consumed record; unreadable bytes become a record without content.
    init(_ message: KafkaMessage) {
        var record: JournalRecord?
        if let value = message.value {
            do throws { record = try JournalCodec.decode(ByteBuffer(bytes: value)) } catch { record = nil }
        }
        self.init(offset: message.offset, record: record)
    }
}

extension JournalError {
    init(_ error: KafkaError) {
        self.init(error.code == .offsetOutOfRange ? .outOfRange : .unavailable, "\(error)")
    }
}
