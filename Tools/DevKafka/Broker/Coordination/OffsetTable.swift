import JSON

/// The committed offsets of consumer groups, and those that wait for their transaction to be decided.
struct OffsetTable {
    /// Kafka's `offset.metadata.max.bytes`.
    static let metadataByteCountMax = 4096

    struct Offset: Equatable {
        var offset: Int64
        var leaderEpoch: Int32 = -1
        var metadata: String = ""
    }

    private(set) var committed: [String: [TopicPartition: Offset]] = [:]
    /// By producer id, then by group.
    private(set) var pending: [Int64: [String: [TopicPartition: Offset]]] = [:]

    mutating func commit(_ offset: Offset, of partition: TopicPartition, group: String) {
        self.committed[group, default: [:]][partition] = offset
    }

    mutating func addPending(_ offset: Offset, of partition: TopicPartition, group: String, producerID: Int64) {
        self.pending[producerID, default: [:]][group, default: [:]][partition] = offset
    }

    func isPending(_ partition: TopicPartition, group: String) -> Bool {
        self.pending.values.contains { $0[group]?[partition] != nil }
    }

    /// Takes what waits for a producer's transaction out.
    mutating func takePending(of producerID: Int64) -> [String: [TopicPartition: Offset]] {
        self.pending.removeValue(forKey: producerID) ?? [:]
    }

    mutating func forget(topic: String) {
        for group in self.committed.keys {
            self.committed[group] = self.committed[group]?.filter { $0.key.topic != topic }
        }
    }

    static func json(
        _ offset: Offset, of partition: TopicPartition, group: String, producerID: Int64? = nil
    ) -> JSONValue {
        .record([
            "type": .string(producerID == nil ? "offset" : "pending-offset"), "group": .string(group),
            "topic": .string(partition.topic), "partition": .integer(partition.partition),
            "offset": .integer(offset.offset), "leaderEpoch": .integer(offset.leaderEpoch),
            "metadata": .string(offset.metadata), "producer": producerID.map { .integer($0) },
        ])
    }

    /// Takes over an entry that `json` wrote.
    mutating func restore(_ entry: JSONValue) {
        guard let group = entry["group"]?.stringValue, let topic = entry["topic"]?.stringValue,
            let partition = entry["partition"]?.integerValue, let number = entry["offset"]?.integerValue
        else { return }
        let offset = Offset(
            offset: number, leaderEpoch: Int32(clamping: entry["leaderEpoch"]?.integerValue ?? -1),
            metadata: entry["metadata"]?.stringValue ?? "")
        let place = TopicPartition(topic, Int32(clamping: partition))
        if let producerID = entry["producer"]?.integerValue {
            self.addPending(offset, of: place, group: group, producerID: producerID)
        } else {
            self.commit(offset, of: place, group: group)
        }
    }

    var entries: [JSONValue] {
        var entries: [JSONValue] = []
        for (group, offsets) in self.committed {
            for (partition, offset) in offsets { entries.append(Self.json(offset, of: partition, group: group)) }
        }
        for (producerID, groups) in self.pending {
            for (group, offsets) in groups {
                for (partition, offset) in offsets {
                    entries.append(Self.json(offset, of: partition, group: group, producerID: producerID))
                }
            }
        }
        return entries
    }
}
