import CRDKafka
package import Logging

/// Creates topics and asks what there is.
package final class KafkaAdmin: Sendable {
    /// Sent before the user's own properties, which override them.
    private static let defaults: [KafkaClientSettings.Property] = [
        .init("socket.nagle.disable", "true"),
        .init("reconnect.backoff.ms", "100"),
        .init("reconnect.backoff.max.ms", "2000"),
        .init("log.connection.close", "true"),
    ]

    let handle: KafkaHandle
    let worker: BlockingWorker
    private let lookup: KafkaTopicLookup
    private let health: KafkaHealthMonitor

    /// - Throws: `KafkaError` when a property is refused.
    package init(settings: KafkaClientSettings, logger: Logger, health: KafkaHealthMonitor) throws(KafkaError) {
        self.health = health
        self.worker = BlockingWorker()
        let settings = settings.withDefaults(Self.defaults)
        self.lookup = KafkaTopicLookup(settings: settings, logger: logger, health: health)
        self.handle = try KafkaHandle(.producer, settings: settings, logger: logger, health: health)
    }

    deinit {
        self.worker.requestStop()
        self.lookup.requestClose()
        self.handle.requestClose()
    }

    /// The brokers, and the topic when one is named and exists, or when its code says why nothing is known of it, as
    /// `topicAuthorizationFailed`; it is not created by asking. Asked from a broker, so that an answer proves that
    /// connection, TLS and authentication are well; the health monitor learns of it either way.
    ///
    /// - Parameter timeout: for each question; a topic that is named may take two.
    package func metadata(topic: String? = nil, timeout: Duration) async throws(KafkaError) -> KafkaMetadata {
        let milliseconds = Self.milliseconds(timeout)
        return try await self.worker.run { () throws(KafkaError) in
            try self.readMetadata(topic: topic, milliseconds)
        }
    }

    /// Creates a topic.
    ///
    /// - Returns: `false` when it exists already, whatever its settings are.
    package func create(_ topic: KafkaNewTopic, timeout: Duration) async throws(KafkaError) -> Bool {
        let milliseconds = Self.milliseconds(timeout)
        return try await self.worker.run { () throws(KafkaError) in
            try self.create(topic, milliseconds)
        }
    }

    /// Deletes a topic and its records.
    ///
    /// - Returns: `false` when there is no such topic.
    package func delete(topic: String, timeout: Duration) async throws(KafkaError) -> Bool {
        let milliseconds = Self.milliseconds(timeout)
        return try await self.worker.run { () throws(KafkaError) in
            try self.delete(topic, milliseconds)
        }
    }

    /// Whether the certificates have been replaced since the client was made; one that fails then is to be given up.
    package var holdsOldCertificates: Bool { self.handle.holdsOldCertificates || self.lookup.holdsOldCertificates }

    /// Ends the thread and frees the instance, after the calls that wait.
    package func close() async {
        await self.worker.stop()
        await self.lookup.close()
        await self.handle.close()
    }

    private func readMetadata(topic: String?, _ milliseconds: Int32) throws(KafkaError) -> KafkaMetadata {
        var metadata = try self.askBroker(allTopics: topic != nil, milliseconds)
        metadata.topics.removeAll { $0.name != topic }
        guard let topic, metadata.topics.isEmpty else { return metadata }
        // A topic that the user may not describe is left out of an answer about all of them.
        do throws(KafkaError) {
            if let found = try self.lookup.topic(topic, milliseconds), found.code != .unknownTopicOrPartition {
                metadata.topics = [found]
            }
        } catch {
            self.health.failed(error.code, error.detail)
            throw error
        }
        return metadata
    }

    private func askBroker(allTopics: Bool, _ milliseconds: Int32) throws(KafkaError) -> KafkaMetadata {
        var answer: UnsafePointer<rd_kafka_metadata>?
        // All topics: this instance asking for one by name makes a broker create it, with its default partitions.
        let code = KafkaErrorCode(
            rd_kafka_metadata(self.handle.pointer, allTopics ? 1 : 0, nil, &answer, milliseconds))
        guard code == .none, let answer else {
            self.health.failed(code, code.text)
            throw KafkaError(code)
        }
        defer { rd_kafka_metadata_destroy(answer) }
        self.health.succeeded(isAllowed: false)
        return KafkaMetadata(copying: answer.pointee)
    }

    private func create(_ topic: KafkaNewTopic, _ milliseconds: Int32) throws(KafkaError) -> Bool {
        var reason = [CChar](repeating: 0, count: 512)
        guard
            let new = rd_kafka_NewTopic_new(
                topic.name, topic.partitionCount, topic.replicationFactor, &reason, reason.count)
        else { throw KafkaError(.invalidArgument, detail: "topic \(topic.name): partitions or replicas out of range") }
        defer { rd_kafka_NewTopic_destroy(new) }
        for setting in topic.settings { rd_kafka_NewTopic_set_config(new, setting.name, setting.value) }
        guard let queue = rd_kafka_queue_new(self.handle.pointer) else { throw KafkaError(.fatal) }
        defer { rd_kafka_queue_destroy(queue) }
        let options = rd_kafka_AdminOptions_new(self.handle.pointer, RD_KAFKA_ADMIN_OP_CREATETOPICS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, &reason, reason.count)
        rd_kafka_AdminOptions_set_operation_timeout(options, milliseconds, &reason, reason.count)
        var topics: [OpaquePointer?] = [new]
        rd_kafka_CreateTopics(self.handle.pointer, &topics, 1, options, queue)
        // A little longer than the request: its own time-out says more than ours.
        guard let event = rd_kafka_queue_poll(queue, milliseconds + 1000) else { throw KafkaError(.timedOut) }
        defer { rd_kafka_event_destroy(event) }
        let code = KafkaErrorCode(rd_kafka_event_error(event))
        guard code == .none, let result = rd_kafka_event_CreateTopics_result(event) else {
            throw KafkaError(code, detail: String(cString: rd_kafka_event_error_string(event)))
        }
        var count = 0
        guard let results = rd_kafka_CreateTopics_result_topics(result, &count), count == 1, let first = results[0]
        else { throw KafkaError(.invalidRecord, detail: "the broker answered for \(count) topics instead of one") }
        let answer = KafkaErrorCode(rd_kafka_topic_result_error(first))
        if answer == .topicAlreadyExists { return false }
        guard answer == .none else {
            throw KafkaError(
                answer,
                detail: rd_kafka_topic_result_error_string(first).map { "topic \(topic.name): \(String(cString: $0))" }
                    ?? "topic \(topic.name): \(answer.text)")
        }
        return true
    }

    private func delete(_ topic: String, _ milliseconds: Int32) throws(KafkaError) -> Bool {
        var reason = [CChar](repeating: 0, count: 512)
        guard let doomed = rd_kafka_DeleteTopic_new(topic) else { throw KafkaError(.invalidArgument) }
        defer { rd_kafka_DeleteTopic_destroy(doomed) }
        guard let queue = rd_kafka_queue_new(self.handle.pointer) else { throw KafkaError(.fatal) }
        defer { rd_kafka_queue_destroy(queue) }
        let options = rd_kafka_AdminOptions_new(self.handle.pointer, RD_KAFKA_ADMIN_OP_DELETETOPICS)
        defer { rd_kafka_AdminOptions_destroy(options) }
        rd_kafka_AdminOptions_set_request_timeout(options, milliseconds, &reason, reason.count)
        rd_kafka_AdminOptions_set_operation_timeout(options, milliseconds, &reason, reason.count)
        var topics: [OpaquePointer?] = [doomed]
        rd_kafka_DeleteTopics(self.handle.pointer, &topics, 1, options, queue)
        guard let event = rd_kafka_queue_poll(queue, milliseconds + 1000) else { throw KafkaError(.timedOut) }
        defer { rd_kafka_event_destroy(event) }
        let code = KafkaErrorCode(rd_kafka_event_error(event))
        guard code == .none, let result = rd_kafka_event_DeleteTopics_result(event) else {
            throw KafkaError(code, detail: String(cString: rd_kafka_event_error_string(event)))
        }
        var count = 0
        guard let results = rd_kafka_DeleteTopics_result_topics(result, &count), count == 1, let first = results[0]
        else { throw KafkaError(.invalidRecord, detail: "the broker answered for \(count) topics instead of one") }
        let answer = KafkaErrorCode(rd_kafka_topic_result_error(first))
        if answer == .unknownTopicOrPartition { return false }
        guard answer == .none else { throw KafkaError(answer, detail: "topic \(topic): \(answer.text)") }
        return true
    }

    static func milliseconds(_ duration: Duration) -> Int32 {
        let (seconds, attoseconds) = duration.components
        return Int32(clamping: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
    }
}

/// A topic to create.
package struct KafkaNewTopic: Equatable, Sendable {
    package var name: String
    package var partitionCount: Int32
    /// Copies of each partition; not above the number of brokers.
    package var replicationFactor: Int32
    /// `retention.ms`, `cleanup.policy`, `min.insync.replicas`, ...
    package var settings: [KafkaClientSettings.Property]

    package init(
        name: String, partitionCount: Int32, replicationFactor: Int32,
        settings: [KafkaClientSettings.Property] = []
    ) {
        self.name = name
        self.partitionCount = partitionCount
        self.replicationFactor = replicationFactor
        self.settings = settings
    }
}

/// What a broker says of the cluster.
package struct KafkaMetadata: Equatable, Sendable {
    package struct Topic: Equatable, Sendable {
        package var name: String
        /// 0 while the topic does not exist.
        package var partitionCount: Int
        /// Partitions that take no records now, because no broker leads them.
        package var leaderlessCount: Int
        /// The brokers that lead its partitions.
        package var leaderIDs: Set<Int32>
        /// Copies of the partition that has fewest.
        package var replicaCount: Int
        /// `none`, or why nothing is known of it.
        package var code: KafkaErrorCode
    }

    /// The brokers that are up.
    package var brokerIDs: [Int32]
    package var brokerCount: Int { self.brokerIDs.count }
    package var topics: [Topic]

    init(copying metadata: rd_kafka_metadata) {
        self.brokerIDs = UnsafeBufferPointer(start: metadata.brokers, count: Int(metadata.broker_cnt)).map(\.id)
        self.topics = UnsafeBufferPointer(start: metadata.topics, count: Int(metadata.topic_cnt)).map { topic in
            let partitions = UnsafeBufferPointer(start: topic.partitions, count: Int(topic.partition_cnt))
            return Topic(
                name: topic.topic.map { String(cString: $0) } ?? "", partitionCount: partitions.count,
                leaderlessCount: partitions.count { $0.leader < 0 },
                leaderIDs: Set(partitions.map(\.leader).filter { $0 >= 0 }),
                replicaCount: partitions.map { Int($0.replica_cnt) }.min() ?? 0, code: KafkaErrorCode(topic.err))
        }
    }
}
