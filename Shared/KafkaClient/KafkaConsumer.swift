import CRDKafka
package import EscapementModel
package import Logging
import Synchronization

/// Reads named partitions from named offsets, committed records only, and keeps offsets for a group
/// without being its member: who reads what is decided by lane ownership, not by Kafka.
///
/// All calls run one after another on the consumer's own thread.
package final class KafkaConsumer: Sendable {
    /// Sent before the user's own properties, which override them.
    package static let defaults: [KafkaClientSettings.Property] = [
        .init("isolation.level", "read_committed"),
        .init("socket.nagle.disable", "true"),
        .init("fetch.wait.max.ms", "100"),
        .init("fetch.error.backoff.ms", "100"),
        .init("reconnect.backoff.ms", "100"),
        .init("reconnect.backoff.max.ms", "2000"),
        .init("queued.max.messages.kbytes", "16384"),
        .init("log.connection.close", "true"),
    ]

    /// What the reading rests on.
    private static let forced: [KafkaClientSettings.Property] = [
        .init("enable.auto.commit", "false"),
        .init("enable.auto.offset.store", "false"),
        .init("auto.offset.reset", "error"),
    ]

    private let handle: KafkaHandle
    private let worker: BlockingWorker
    private let health: KafkaHealthMonitor
    private let ends = Mutex<[KafkaPartition: Int64]>([:])

    /// - Parameters:
    ///   - group: whose offsets `commit` and `committed` speak of.
    ///   - noticesEnds: whether `poll` also returns, without a record, when a partition's end is met; see `end(of:)`.
    /// - Throws: `KafkaError` when a property is refused.
    package init(
        settings: KafkaClientSettings, group: String, noticesEnds: Bool = false, logger: Logger,
        health: KafkaHealthMonitor
    ) throws(KafkaError) {
        self.health = health
        self.worker = BlockingWorker()
        self.handle = try KafkaHandle(
            .consumer,
            settings: settings.withDefaults(Self.defaults).forcing(
                Self.forced + [.init("group.id", group), .init("enable.partition.eof", "\(noticesEnds)")]),
            logger: logger, health: health)
    }

    deinit {
        // The worker first: its thread must not use a freed handle. It has nothing to do, since every job
        // keeps the consumer alive.
        self.worker.requestStop()
        self.handle.requestClose()
    }

    /// Reads exactly these partitions from these offsets, in place of what was read before.
    package func assign(_ partitions: [KafkaPartition: KafkaOffset]) async throws(KafkaError) {
        try await self.worker.run { () throws(KafkaError) in
            let list = Self.list(partitions.map { ($0.key, $0.value.rawValue) })
            defer { rd_kafka_topic_partition_list_destroy(list) }
            self.ends.withLock { $0 = [:] }
            let code = rd_kafka_assign(self.handle.pointer, partitions.isEmpty ? nil : list)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(code)) }
        }
    }

    /// Goes to an offset of an assigned partition.
    package func seek(_ partition: KafkaPartition, to offset: KafkaOffset, timeout: Duration) async throws(KafkaError) {
        let milliseconds = Self.milliseconds(timeout)
        try await self.worker.run { () throws(KafkaError) in
            self.ends.withLock { $0[partition] = nil }
            let list = Self.list([(partition, offset.rawValue)])
            defer { rd_kafka_topic_partition_list_destroy(list) }
            if let error = rd_kafka_seek_partitions(self.handle.pointer, list, milliseconds) {
                defer { rd_kafka_error_destroy(error) }
                throw KafkaError(
                    KafkaErrorCode(rd_kafka_error_code(error)), detail: String(cString: rd_kafka_error_string(error)))
            }
            let code = list.pointee.elems[0].err
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(code)) }
        }
    }

    /// Where the reading of an assigned partition last met its end, and so goes on: everything before it that can be
    /// read was returned by `poll`. `nil` when no broker has said so since `assign` or `seek`; always without `noticesEnds`.
    package func end(of partition: KafkaPartition) -> Int64? { self.ends.withLock { $0[partition] } }

    /// Waits up to `timeout` for a first record and takes what else has already arrived, at most `max`.
    ///
    /// - Parameter gathering: once there is a record, how long to wait for more, up to `max` of them.
    /// - Returns: possibly nothing. A record above all `max` is left for the next call.
    /// - Throws: `offsetOutOfRange` when the records asked for are gone; other errors of a partition; `transport` when
    ///   a broker was lost and the certificates have been replaced since the consumer was made: make a new one.
    package func poll(
        max: Int, timeout: Duration, gathering: Duration = .zero
    ) async throws(KafkaError) -> [KafkaMessage] {
        let milliseconds = Self.milliseconds(timeout)
        return try await self.worker.run { () throws(KafkaError) in
            // Without its brokers a consumer merely finds nothing.
            if self.handle.takeFailure(), self.handle.holdsOldCertificates {
                throw KafkaError(.transport, detail: "a broker was lost, and the certificates have been replaced")
            }
            let clocks = SystemClocks()
            var messages: [KafkaMessage] = []
            var end: MonotonicInstant?
            while messages.count < max {
                let rest = end.map { $0.duration(since: clocks.monotonicNow()) }
                let wait = rest.map { $0 > .zero ? Self.milliseconds($0) : 0 } ?? milliseconds
                guard let message = rd_kafka_consumer_poll(self.handle.pointer, wait) else { break }
                defer { rd_kafka_message_destroy(message) }
                let code = KafkaErrorCode(message.pointee.err)
                if code != .none {
                    if code == .partitionEnd {
                        let partition = KafkaPartition(
                            String(cString: rd_kafka_topic_name(message.pointee.rkt)), message.pointee.partition)
                        self.ends.withLock { $0[partition] = message.pointee.offset }
                        if let rest, rest > .zero { continue }
                        break
                    }
                    let detail = rd_kafka_message_errstr(message).map { String(cString: $0) } ?? ""
                    self.health.failed(code, detail)
                    // What was read before the error is not lost: it comes first.
                    if !messages.isEmpty { break }
                    throw KafkaError(Self.withoutReset(code), detail: detail)
                }
                messages.append(KafkaMessage(copying: message))
                if end == nil { end = clocks.monotonicNow().advanced(by: gathering) }
            }
            if !messages.isEmpty { self.health.succeeded() }
            return messages
        }
    }

    /// The group's committed offsets; partitions without one are absent.
    package func committed(
        _ partitions: [KafkaPartition], timeout: Duration
    ) async throws(KafkaError) -> [KafkaPartition: Int64] {
        let milliseconds = Self.milliseconds(timeout)
        return try await self.worker.run { () throws(KafkaError) in
            let list = Self.list(partitions.map { ($0, Int64(RD_KAFKA_OFFSET_INVALID)) })
            defer { rd_kafka_topic_partition_list_destroy(list) }
            let code = rd_kafka_committed(self.handle.pointer, list, milliseconds)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(code)) }
            var offsets: [KafkaPartition: Int64] = [:]
            for element in UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt)) {
                guard element.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(element.err)) }
                if element.offset >= 0 {
                    offsets[KafkaPartition(String(cString: element.topic), element.partition)] = element.offset
                }
            }
            return offsets
        }
    }

    /// Commits offsets for the group: of each partition, the next record to read. Waits for the answer.
    package func commit(_ offsets: [KafkaPartition: Int64]) async throws(KafkaError) {
        if offsets.isEmpty { return }
        try await self.worker.run { () throws(KafkaError) in
            let list = Self.list(offsets.map { ($0.key, $0.value) })
            defer { rd_kafka_topic_partition_list_destroy(list) }
            let code = rd_kafka_commit(self.handle.pointer, list, 0)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(code)) }
        }
    }

    /// The first offset of a partition and the one after its last record, asked from the broker.
    package func watermarks(
        of partition: KafkaPartition, timeout: Duration
    ) async throws(KafkaError) -> (low: Int64, high: Int64) {
        let milliseconds = Self.milliseconds(timeout)
        let offsets = try await self.worker.run { () throws(KafkaError) -> [Int64] in
            var low: Int64 = 0
            var high: Int64 = 0
            let code = rd_kafka_query_watermark_offsets(
                self.handle.pointer, partition.topic, partition.partition, &low, &high, milliseconds)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(code)) }
            return [low, high]
        }
        return (offsets[0], offsets[1])
    }

    /// The first offset whose record has a timestamp at or after `instant`, asked from the broker; `nil` when there is
    /// none.
    package func offset(
        of partition: KafkaPartition, since instant: WallInstant, timeout: Duration
    ) async throws(KafkaError) -> Int64? {
        let milliseconds = Self.milliseconds(timeout)
        let found = try await self.worker.run { () throws(KafkaError) -> Int64 in
            // What is asked for stands where the answer will.
            let list = Self.list([(partition, max(0, instant.milliseconds))])
            defer { rd_kafka_topic_partition_list_destroy(list) }
            let code = rd_kafka_offsets_for_times(self.handle.pointer, list, milliseconds)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(code)) }
            let element = list.pointee.elems[0]
            guard element.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw KafkaError(KafkaErrorCode(element.err)) }
            return element.offset
        }
        // Beyond the last record librdkafka answers with the logical offset of the end.
        return found >= 0 ? found : nil
    }

    /// What was reported while nobody read says nothing of what is read from now on.
    package func forgetFailure() { _ = self.handle.takeFailure() }

    /// Whether the certificates have been replaced since the consumer was made; one that fails then is to be given up.
    package var holdsOldCertificates: Bool { self.handle.holdsOldCertificates }

    /// Ends the thread and frees the instance, after the calls that wait.
    package func close() async {
        await self.worker.stop()
        await self.handle.close()
    }

    /// librdkafka wraps an offset that is out of range in its own code when it may not reset it.
    private static func withoutReset(_ code: KafkaErrorCode) -> KafkaErrorCode {
        code == KafkaErrorCode(RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) ? .offsetOutOfRange : code
    }

    private static func milliseconds(_ duration: Duration) -> Int32 {
        let (seconds, attoseconds) = duration.components
        return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }

    private static func list(
        _ offsets: [(KafkaPartition, Int64)]
    ) -> UnsafeMutablePointer<rd_kafka_topic_partition_list_t> {
        guard let list = rd_kafka_topic_partition_list_new(Int32(offsets.count)) else {
            preconditionFailure("no memory for \(offsets.count) partitions")
        }
        for (partition, offset) in offsets {
            rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition)?.pointee.offset = offset
        }
        return list
    }
}
