package import DispatcherDomain
package import DispatcherService
package import EscapementModel
import KafkaClient

/// Follows the journal for the recorder with one consumer, replaced after a failure. That its certificates have been
/// replaced while it lost a broker is one.
package actor KafkaJournalFeed: JournalFeed {
    static let requestMax = Duration.seconds(10)
    /// How long records are gathered once there is one. A record waits so much longer for its documents, which nobody
    /// notices, and the store sees ten requests a second instead of one for each transaction of a lane.
    static let gatherFor = Duration.milliseconds(100)

    private let connection: KafkaConnection
    private let topic: String
    private let group: String
    private var consumer: KafkaConsumer?

    package init(connection: KafkaConnection, topic: String, group: String) {
        self.connection = connection
        self.topic = topic
        self.group = group
    }

    package func committed(_ lanes: [LaneID]) async throws(JournalError) -> [LaneID: Int64] {
        let offsets = try await self.using { consumer throws(KafkaError) in
            try await consumer.committed(lanes.map(self.partition), timeout: Self.requestMax)
        }
        return Dictionary(uniqueKeysWithValues: offsets.map { (LaneID(UInt16(clamping: $0.partition)), $1) })
    }

    package func firstOffset(of lane: LaneID) async throws(JournalError) -> Int64 {
        try await self.using { consumer throws(KafkaError) in
            try await consumer.watermarks(of: self.partition(lane), timeout: Self.requestMax).low
        }
    }

    package func follow(_ lanes: [LaneID: Int64]) async throws(JournalError) {
        try await self.using { consumer throws(KafkaError) in
            try await consumer.assign(
                Dictionary(uniqueKeysWithValues: lanes.map { (self.partition($0), KafkaOffset.at($1)) }))
        }
    }

    package func next(
        max: Int, timeout: Duration
    ) async throws(JournalError) -> [(lane: LaneID, record: StoredJournalRecord)] {
        let messages = try await self.using { consumer throws(KafkaError) in
            try await consumer.poll(max: max, timeout: timeout, gathering: Self.gatherFor)
        }
        return messages.map { (LaneID(UInt16(clamping: $0.partition.partition)), StoredJournalRecord($0)) }
    }

    package func commit(_ offsets: [LaneID: Int64]) async throws(JournalError) {
        try await self.using { consumer throws(KafkaError) in
            try await consumer.commit(
                Dictionary(uniqueKeysWithValues: offsets.map { (self.partition($0), $1) }))
        }
    }

    nonisolated private func partition(_ lane: LaneID) -> KafkaPartition {
        KafkaPartition(self.topic, Int32(lane.rawValue))
    }

    private func using<Answer: Sendable>(
        _ body: (KafkaConsumer) async throws(KafkaError) -> Answer
    ) async throws(JournalError) -> Answer {
        do throws(KafkaError) {
            let consumer: KafkaConsumer
            if let current = self.consumer {
                consumer = current
            } else {
                consumer = try self.connection.makeConsumer(group: self.group)
                self.consumer = consumer
            }
            return try await body(consumer)
        } catch {
            // The recorder begins again from what is committed.
            self.consumer = nil
            throw JournalError(error)
        }
    }
}
