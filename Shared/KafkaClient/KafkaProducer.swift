import CRDKafka
package import Logging
import Synchronization

/// Produces batches of records over one librdkafka instance.
///
/// Delivery reports arrive in batches on the instance's own thread. A record's opaque is an integer, the
/// batch's number and the record's index, so a batch costs one entry in a table and one resume, and a
/// record costs nothing but its copy.
package final class KafkaProducer: Sendable {
    /// Records of one batch, at most: the bits that the index has in a record's opaque.
    package static let batchCountMax = 1 << indexBits
    private static let indexBits: UInt = 20

    /// Sent before the user's own properties, which override them.
    package static let defaults: [KafkaClientSettings.Property] = [
        .init("enable.idempotence", "true"),
        .init("acks", "all"),
        .init("linger.ms", "1"),
        .init("socket.nagle.disable", "true"),
        .init("message.timeout.ms", "30000"),
        // A broker that has just started may not know a topic for a while: only what stays unknown is missing.
        .init("topic.metadata.propagation.max.ms", "30000"),
        .init("reconnect.backoff.ms", "100"),
        .init("reconnect.backoff.max.ms", "2000"),
        .init("log.connection.close", "true"),
        .init("queue.buffering.max.messages", "200000"),
        .init("queue.buffering.max.kbytes", "262144"),
        // The hash of Kafka's own clients, so that a key meets the records other producers write under it.
        .init("partitioner", "murmur2_random"),
    ]

    private struct Pending {
        var deliveries: [KafkaDelivery]
        /// Reports still to come, plus one while records are being handed over.
        var remaining: Int
        var continuation: CheckedContinuation<[KafkaDelivery], Never>

        mutating func settle(_ index: Int, _ delivery: KafkaDelivery) {
            guard self.deliveries.indices.contains(index) else { return }
            self.deliveries[index] = delivery
            self.remaining -= 1
        }
    }

    private struct Table {
        var next: UInt = 1
        var pending: [UInt: Pending] = [:]
        var isClosed = false
    }

    private final class Reports: Sendable {
        let table = Mutex(Table())

        /// Notes reports of several batches under one lock; resumes what is complete after it.
        func note(_ messages: UnsafeBufferPointer<UnsafePointer<rd_kafka_message_t>?>) -> Bool {
            var isAnyDelivered = false
            let done: [Pending] = self.table.withLock { table in
                var done: [Pending] = []
                // Reports of one batch mostly come in a row: it is taken out once for all of them.
                var slot: UInt = 0
                var current: Pending?
                for case let message? in messages {
                    let opaque = UInt(bitPattern: message.pointee._private)
                    if opaque >> KafkaProducer.indexBits != slot {
                        if let current { table.pending[slot] = current }
                        slot = opaque >> KafkaProducer.indexBits
                        current = table.pending.removeValue(forKey: slot)
                    }
                    let isDelivered = message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR
                    if isDelivered { isAnyDelivered = true }
                    current?.settle(
                        Int(opaque & (1 << KafkaProducer.indexBits - 1)),
                        KafkaDelivery(
                            code: KafkaErrorCode(message.pointee.err), partition: message.pointee.partition,
                            offset: isDelivered ? message.pointee.offset : -1))
                    if current?.remaining == 0, let complete = current {
                        done.append(complete)
                        current = nil
                    }
                }
                if let current { table.pending[slot] = current }
                return done
            }
            for pending in done { pending.continuation.resume(returning: pending.deliveries) }
            return isAnyDelivered
        }

        /// Resumes every batch that still waits: the instance is gone.
        func abandon() {
            let left = self.table.withLock { table in
                table.isClosed = true
                defer { table.pending = [:] }
                return table.pending
            }
            for pending in left.values { pending.continuation.resume(returning: pending.deliveries) }
        }
    }

    let handle: KafkaHandle
    private let reports: Reports
    private let topics: KafkaTopics

    /// Makes the instance; connections are opened in the background.
    ///
    /// - Throws: `KafkaError` when a property is refused.
    package init(settings: KafkaClientSettings, logger: Logger, health: KafkaHealthMonitor) throws(KafkaError) {
        let reports = Reports()
        let topics = KafkaTopics()
        self.reports = reports
        self.topics = topics
        self.handle = try KafkaHandle(
            .producer, settings: settings.withDefaults(Self.defaults), logger: logger, health: health,
            deliveries: { if reports.note($0) { health.succeeded() } },
            beforeClose: { pointer in
                rd_kafka_purge(
                    pointer,
                    Int32(RD_KAFKA_PURGE_F_QUEUE) | Int32(RD_KAFKA_PURGE_F_INFLIGHT)
                        | Int32(RD_KAFKA_PURGE_F_NON_BLOCKING))
                reports.abandon()
                topics.close()
            })
    }

    deinit { self.handle.requestClose() }

    /// Why the instance cannot be used any more; make a new one then. `nil` while it can.
    package var fatalReason: String? { self.handle.fatalReason }

    /// Whether the certificates have been replaced since the producer was made; one that fails then is to be given up.
    package var holdsOldCertificates: Bool { self.handle.holdsOldCertificates }

    /// Hands the batch over and waits for all reports: as long as the slowest record takes, at most
    /// `message.timeout.ms`. Records of one key keep their order.
    ///
    /// A full buffer is not waited for: from the first record that does not fit, all are reported as
    /// `queueFull` and nothing of them was sent; try those again later.
    ///
    /// - Parameter handedOver: called once records that are handed over later come behind these.
    /// - Precondition: the batch has at most `batchCountMax` records.
    /// - Returns: one report for each record, in the order of the batch.
    package func produce(_ batch: some KafkaRecords, handedOver: () -> Void = {}) async -> [KafkaDelivery] {
        precondition(batch.count <= Self.batchCountMax, "\(batch.count) records are too many for one batch")
        if batch.count == 0 {
            handedOver()
            return []
        }
        return await withCheckedContinuation { continuation in
            let slot: UInt? = self.reports.table.withLock { table in
                guard !table.isClosed else { return nil }
                let slot = table.next
                table.next += 1
                table.pending[slot] = Pending(
                    deliveries: Array(repeating: KafkaDelivery(code: .destroyed), count: batch.count),
                    remaining: batch.count + 1, continuation: continuation)
                return slot
            }
            guard let slot else {
                handedOver()
                continuation.resume(
                    returning: Array(repeating: KafkaDelivery(code: .destroyed), count: batch.count))
                return
            }
            let refused = self.handOver(batch, slot: slot)
            handedOver()
            let done: Pending? = self.reports.table.withLock { table in
                guard var pending = table.pending.removeValue(forKey: slot) else { return nil }
                for (index, delivery) in refused { pending.settle(index, delivery) }
                // All are handed over now.
                pending.remaining -= 1
                if pending.remaining == 0 { return pending }
                table.pending[slot] = pending
                return nil
            }
            if let done { done.continuation.resume(returning: done.deliveries) }
        }
    }

    /// Frees the instance. Batches that still wait are reported as `purged` or `destroyed`; no new one
    /// may be begun at the same time.
    package func close() async { await self.handle.close() }

    /// Gives all records to librdkafka; returns those it did not take.
    private func handOver(_ batch: some KafkaRecords, slot: UInt) -> [(Int, KafkaDelivery)] {
        var refused: [(Int, KafkaDelivery)] = []
        var index: UInt = 0
        var isFull = false
        var topic: KafkaTopics.Topic?
        batch.forEach { record in
            defer { index += 1 }
            if isFull {
                refused.append((Int(index), KafkaDelivery(code: .queueFull)))
                return
            }
            let code: KafkaErrorCode
            do throws(KafkaError) {
                // Neighbours mostly go to one topic.
                let target: KafkaTopics.Topic
                if let topic, topic.name == record.topic {
                    target = topic
                } else {
                    target = try self.topics.topic(record.topic, of: self.handle.pointer)
                    topic = target
                }
                code = self.produce(
                    record, to: target, UnsafeMutableRawPointer(bitPattern: slot << Self.indexBits | index))
            } catch {
                code = error.code
            }
            if code != .none { refused.append((Int(index), KafkaDelivery(code: code))) }
            isFull = code == .queueFull
        }
        return refused
    }

    private func produce(
        _ record: KafkaRecord, to topic: KafkaTopics.Topic, _ opaque: UnsafeMutableRawPointer?
    ) -> KafkaErrorCode {
        var headers: OpaquePointer?
        if record.headerCount > 0 {
            headers = rd_kafka_headers_new(record.headerCount)
            let code = ckafka_add_headers(headers, record.headers.baseAddress, record.headerCount)
            if code != RD_KAFKA_RESP_ERR_NO_ERROR {
                rd_kafka_headers_destroy(headers)
                return KafkaErrorCode(code)
            }
        }
        let code = KafkaErrorCode(
            ckafka_produce(
                self.handle.pointer, topic.handle, record.partition ?? CKAFKA_PARTITION_UA,
                record.key.flatMap(Self.pointer), record.key?.count ?? 0, Self.pointer(record.value),
                record.value.count, headers, opaque))
        if code != .none, let headers { rd_kafka_headers_destroy(headers) }
        return code
    }

    /// Never `nil`: an empty value is not a null value, and an empty buffer may have no address.
    private static func pointer(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawPointer? {
        bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 1)
    }
}
