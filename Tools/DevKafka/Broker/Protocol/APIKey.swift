/// The requests that this broker knows, with Kafka's numbers.
package enum APIKey: Int16, CaseIterable, Sendable {
    case produce = 0
    case fetch = 1
    case listOffsets = 2
    case metadata = 3
    case offsetCommit = 8
    case offsetFetch = 9
    case findCoordinator = 10
    case joinGroup = 11
    case heartbeat = 12
    case leaveGroup = 13
    case syncGroup = 14
    case describeGroups = 15
    case listGroups = 16
    case saslHandshake = 17
    case apiVersions = 18
    case createTopics = 19
    case deleteTopics = 20
    case initProducerID = 22
    case addPartitionsToTransaction = 24
    case addOffsetsToTransaction = 25
    case endTransaction = 26
    case transactionOffsetCommit = 28
    case describeConfigs = 32
    case saslAuthenticate = 36
    case createPartitions = 37

    /// Kafka's own spelling: `AddPartitionsToTxn`.
    package var name: String {
        switch self {
        case .initProducerID: "InitProducerId"
        case .addPartitionsToTransaction: "AddPartitionsToTxn"
        case .addOffsetsToTransaction: "AddOffsetsToTxn"
        case .endTransaction: "EndTxn"
        case .transactionOffsetCommit: "TxnOffsetCommit"
        default: "\(self)".prefix(1).uppercased() + "\(self)".dropFirst()
        }
    }

    /// Finds a request kind by Kafka's name, in any case, or by its number.
    package init?(named text: String) {
        if let number = Int16(text), let key = APIKey(rawValue: number) {
            self = key
            return
        }
        guard let key = APIKey.allCases.first(where: { $0.name.lowercased() == text.lowercased() }) else { return nil }
        self = key
    }

    /// The versions announced. Of Produce and Fetch the first ones are announced, because librdkafka derives
    /// features from them, and refused, as a broker of Kafka 4 does: they carry the old record formats.
    var versions: ClosedRange<Int16> {
        switch self {
        case .produce: 0...8
        case .fetch: 0...11
        case .listOffsets: 0...5
        case .metadata: 0...8
        case .offsetCommit: 0...7
        case .offsetFetch: 0...7
        case .findCoordinator: 0...2
        case .joinGroup: 0...5
        case .heartbeat: 0...3
        case .leaveGroup: 0...3
        case .syncGroup: 0...3
        case .describeGroups: 0...4
        case .listGroups: 0...2
        case .saslHandshake: 0...1
        case .apiVersions: 0...3
        case .createTopics: 0...4
        case .deleteTopics: 0...3
        case .initProducerID: 0...4
        case .addPartitionsToTransaction: 0...2
        case .addOffsetsToTransaction: 0...2
        case .endTransaction: 0...2
        case .transactionOffsetCommit: 0...3
        case .describeConfigs: 0...2
        case .saslAuthenticate: 0...1
        case .createPartitions: 0...1
        }
    }

    /// The first version with compact lengths and tagged fields (KIP-482); `nil` when no announced one has them.
    var firstFlexibleVersion: Int16? {
        switch self {
        case .offsetFetch: 6
        case .apiVersions: 3
        case .initProducerID: 2
        case .transactionOffsetCommit: 3
        default: nil
        }
    }

    func isFlexible(_ version: Int16) -> Bool { self.firstFlexibleVersion.map { version >= $0 } ?? false }
}
