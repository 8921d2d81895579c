import CRDKafka
import EscapementModel
package import Logging

/// Produces in transactions under one `transactional.id`: of all producers with that id, the one that
/// initialized last counts, and the others are fenced.
///
/// Blocking calls run on a thread of the producer's own, one after another. librdkafka repeats requests by itself,
/// so a success may hide a copy that is still on its way; `doubt` says when that is possible. Whoever needs
/// exactly-once then makes a new producer before the next transaction.
package final class KafkaTransactionalProducer: Sendable {
    /// Beside `KafkaProducer.defaults`, and also overridden by the user's own properties.
    package static let defaults: [KafkaClientSettings.Property] = [
        // After a producer died without a successor, readers wait for so long.
        .init("transaction.timeout.ms", "20000"),
        // Far below the transaction's: a topic that is away is found out soon and holds up nobody else.
        .init("message.timeout.ms", "3000"),
        .init("socket.timeout.ms", "10000"),
    ]
    /// A commit that takes longer may have been repeated inside.
    package static let promptCommitMax = Duration.seconds(1)

    private let producer: KafkaProducer
    private let worker: BlockingWorker
    private let clocks = SystemClocks()

    /// Makes the instance; connections are opened in the background.
    ///
    /// - Throws: `KafkaError` when a property is refused.
    package init(
        settings: KafkaClientSettings, transactionalID: String, logger: Logger, health: KafkaHealthMonitor
    ) throws(KafkaError) {
        self.worker = BlockingWorker()
        self.producer = try KafkaProducer(
            settings: settings.withDefaults(Self.defaults).forcing([
                .init("transactional.id", transactionalID), .init("enable.idempotence", "true"),
                .init("acks", "all"), .init("log.connection.close", "true"),
            ]), logger: logger, health: health)
    }

    // No call is under way: each keeps the producer alive. The instance is freed by its own thread.
    deinit { self.worker.requestStop() }

    /// Why this producer is not to be used for another transaction; `nil` while nothing speaks against it.
    package var doubt: String? { self.producer.handle.doubt ?? self.producer.fatalReason }

    /// Whether another producer of the same id has initialized since, as far as the broker told.
    package var isFenced: Bool { self.producer.handle.fatalCode.isFenced }

    /// Fences every earlier producer of the id and ends its open transaction. Once, first.
    ///
    /// - Throws: `timedOut` and others that are retriable: call it again, or make a new producer.
    package func initialize(timeout: Duration) async throws(KafkaError) {
        let milliseconds = Int32(clamping: timeout.wholeMilliseconds)
        // The library looks for the transaction coordinator at once, and again a whole second later when no broker
        // is connected yet, as is so in a new instance. A question about metadata waits for the first connection.
        try await self.worker.run { () throws(KafkaError) in
            var answer: UnsafePointer<rd_kafka_metadata>?
            // What goes wrong here shows in the call that follows.
            _ = rd_kafka_metadata(self.producer.handle.pointer, 0, nil, &answer, milliseconds)
            if let answer { rd_kafka_metadata_destroy(answer) }
        }
        try await self.call { rd_kafka_init_transactions($0, milliseconds) }
    }

    /// Learns where the partitions of `topics` are, so that the first record for one does not wait for it.
    ///
    /// - Throws: as a question about metadata does; nothing depends on it.
    package func prepare(topics: [String], timeout: Duration) async throws(KafkaError) {
        let milliseconds = Int32(clamping: timeout.wholeMilliseconds)
        try await self.worker.run { () throws(KafkaError) in
            for topic in topics {
                guard let handle = rd_kafka_topic_new(self.producer.handle.pointer, topic, nil) else {
                    throw KafkaError(KafkaErrorCode(rd_kafka_last_error()))
                }
                defer { rd_kafka_topic_destroy(handle) }
                var answer: UnsafePointer<rd_kafka_metadata>?
                let code = KafkaErrorCode(
                    rd_kafka_metadata(self.producer.handle.pointer, 0, handle, &answer, milliseconds))
                if let answer { rd_kafka_metadata_destroy(answer) }
                guard code == .none else { throw KafkaError(code) }
            }
        }
    }

    /// Begins a transaction. Local.
    package func begin() async throws(KafkaError) {
        try await self.call { rd_kafka_begin_transaction($0) }
    }

    /// As `KafkaProducer.produce`, within the transaction. A record whose topic may not be written to is reported as
    /// `topicAuthorizationFailed`; the others of its transaction are then not taken either.
    package func produce(_ batch: some KafkaRecords) async -> [KafkaDelivery] {
        var deliveries = await self.producer.produce(batch)
        let forbidden = self.producer.handle.forbiddenTopics
        if forbidden.isEmpty { return deliveries }
        var index = 0
        batch.forEach { record in
            if !deliveries[index].isDelivered, forbidden.contains(record.topic) {
                deliveries[index] = KafkaDelivery(code: .topicAuthorizationFailed)
            }
            index += 1
        }
        return deliveries
    }

    /// Commits. All records must have been reported.
    ///
    /// - Throws: with `requiresAbort`, when the transaction is not committed; with `isRetriable`, when the
    ///   outcome is not known yet and the call may be repeated.
    package func commit(timeout: Duration) async throws(KafkaError) {
        let milliseconds = Int32(clamping: timeout.wholeMilliseconds)
        let started = self.clocks.monotonicNow()
        try await self.call { rd_kafka_commit_transaction($0, milliseconds) }
        let duration = self.clocks.monotonicNow().duration(since: started)
        if duration > Self.promptCommitMax {
            self.producer.handle.doubt("a commit took \(DurationText.format(duration))")
        }
    }

    /// Aborts; this producer is then in doubt.
    package func abort(timeout: Duration) async throws(KafkaError) {
        let milliseconds = Int32(clamping: timeout.wholeMilliseconds)
        self.producer.handle.doubt("a transaction was aborted")
        try await self.call { rd_kafka_abort_transaction($0, milliseconds) }
    }

    /// Frees the instance, after the calls that wait.
    package func close() async {
        await self.worker.stop()
        await self.producer.close()
    }

    private func call(_ body: @escaping @Sendable (OpaquePointer) -> OpaquePointer?) async throws(KafkaError) {
        try await self.worker.run { () throws(KafkaError) in
            if let error = body(self.producer.handle.pointer) { throw KafkaError(taking: error) }
        }
    }
}
