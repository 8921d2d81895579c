import DispatcherService
import NIOCore

/// How brokers judge sizes: a client makes one batch of the records of a partition that it gets together, and what is
/// too large together is refused together, with nothing said of the single records.
extension SimulatedKafka {
    /// The partitions whose records of one produce request are refused, each because its batch is too large.
    func refuseBatches(
        of records: [OutgoingRecord], by producer: Producer, _ transactionalID: String
    ) -> Set<Partition> {
        if self.batchBytesMax.isEmpty { return [] }
        var bytes: [Partition: Int] = [:]
        for record in records { bytes[Partition(of: record), default: 0] += Self.byteCount(of: record) }
        // Nobody looks at a batch for a topic that is away or forbidden.
        let refused = bytes.filter { partition, count in
            guard let max = self.batchBytesMax[partition.topic], count > max else { return false }
            return !self.isAway(partition.topic) && !self.forbiddenTopics.contains(partition.topic)
        }
        // Of a producer that is fenced neither.
        guard !refused.isEmpty, self.addPartitions(transactionalID, by: producer) else { return [] }
        for _ in refused { self.note("batch_refused") }
        return Set(refused.keys)
    }

    /// What a broker counts; a client that estimates it need not come to the same.
    private static func byteCount(of record: OutgoingRecord) -> Int {
        record.headers.reduce((record.key?.utf8.count ?? 0) + record.value.readableBytes) {
            $0 + $1.name.utf8.count + $1.value.utf8.count
        }
    }
}

extension SimulatedKafka.Partition {
    /// Where a record goes; every key leads to the first.
    init(of record: OutgoingRecord) { self.init(topic: record.topic, number: record.partition ?? 0) }
}
