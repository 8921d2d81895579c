import JSON

/// What the coordinator knows of one `transactional.id`.
struct Transaction: Equatable {
    enum State: String {
        /// Next: `ongoing`.
        case empty
        /// Next: `prepareCommit`, `prepareAbort`.
        case ongoing
        /// Decided, the markers are not all written. Next: `completeCommit`.
        case prepareCommit
        /// Next: `completeAbort`.
        case prepareAbort
        /// Next: `ongoing`.
        case completeCommit
        case completeAbort
    }

    let id: String
    var producerID: Int64
    var epoch: Int16
    /// The epoch before the last one given out, so that a repeated request for a new one is known again.
    var lastEpoch: Int16 = -1
    var timeoutMilliseconds: Int64
    var state = State.empty
    var partitions: Set<TopicPartition> = []
    /// Consumer groups whose offsets are committed with it.
    var groups: Set<String> = []
    /// Wall time of its first partition, milliseconds since 1970.
    var startedAt: Int64 = 0

    var isDecided: Bool { self.state == .prepareCommit || self.state == .prepareAbort }

    init(id: String, producerID: Int64, epoch: Int16, timeoutMilliseconds: Int64) {
        self.id = id
        self.producerID = producerID
        self.epoch = epoch
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    init?(json: JSONValue) {
        guard let id = json["id"]?.stringValue, let producerID = json["producer"]?.integerValue,
            let epoch = json["epoch"]?.integerValue, let timeout = json["timeout"]?.integerValue,
            let state = json["state"]?.stringValue.flatMap(State.init), let partitions = json["partitions"]?.arrayValue,
            let groups = json["groups"]?.arrayValue, let startedAt = json["started"]?.integerValue
        else { return nil }
        self.init(
            id: id, producerID: producerID, epoch: Int16(clamping: epoch), timeoutMilliseconds: timeout)
        self.lastEpoch = Int16(clamping: json["lastEpoch"]?.integerValue ?? -1)
        self.state = state
        self.startedAt = startedAt
        self.groups = Set(groups.compactMap(\.stringValue))
        for entry in partitions {
            if let topic = entry[0]?.stringValue, let partition = entry[1]?.integerValue {
                self.partitions.insert(TopicPartition(topic, Int32(clamping: partition)))
            }
        }
    }

    var json: JSONValue {
        [
            "type": "transaction", "id": .string(self.id), "producer": .integer(self.producerID),
            "epoch": .integer(self.epoch), "lastEpoch": .integer(self.lastEpoch),
            "timeout": .integer(self.timeoutMilliseconds), "state": .string(self.state.rawValue),
            "started": .integer(self.startedAt), "groups": .array(self.groups.sorted().map { .string($0) }),
            "partitions": .array(
                self.partitions.sorted().map { [.string($0.topic), .integer($0.partition)] }),
        ]
    }
}
