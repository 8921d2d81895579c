import JSON

/// A topic and its partitions.
final class Topic {
    /// Kafka's rule for names.
    static let nameByteCountMax = 249

    let name: String
    /// Grows with every topic created, so that a topic of the same name gets files of its own.
    let number: Int64
    var settings: TopicSettings
    var partitions: [Partition]

    init(name: String, number: Int64, settings: TopicSettings, partitions: [Partition]) {
        self.name = name
        self.number = number
        self.settings = settings
        self.partitions = partitions
    }

    static func isValidName(_ name: String) -> Bool {
        (1...Self.nameByteCountMax).contains(name.utf8.count) && name != "." && name != ".."
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }

    static func fileName(_ name: String, _ number: Int64, _ partition: Int) -> String {
        "\(name)-\(number)-\(partition).log"
    }

    var json: JSONValue {
        [
            "type": "topic", "name": .string(self.name), "number": .integer(self.number),
            "settings": .object(
                self.settings.given.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value)) }),
            "partitions": .array(
                self.partitions.map { partition in
                    [
                        "leader": .integer(partition.leader), "epoch": .integer(partition.leaderEpoch),
                        "replicas": .array(partition.replicas.map { .integer($0) }),
                    ]
                }),
        ]
    }
}

/// One partition: its log and who leads it. All replicas are the same file.
final class Partition {
    static let noLeader: Int32 = -1

    let log: PartitionLog
    var replicas: [Int32]
    var leader: Int32
    var leaderEpoch: Int32
    var waits: [ObjectIdentifier: FetchWait] = [:]

    init(log: PartitionLog, replicas: [Int32], leader: Int32, leaderEpoch: Int32) {
        self.log = log
        self.replicas = replicas
        self.leader = leader
        self.leaderEpoch = leaderEpoch
    }
}
