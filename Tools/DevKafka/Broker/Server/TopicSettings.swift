/// The settings of a topic that the broker knows, with Kafka's defaults. Those that it does not act upon are kept
/// and described, so that set-up code sees what it wrote.
struct TopicSettings: Equatable {
    private enum Kind {
        case integer(ClosedRange<Int64>)
        case bool
        case words(Set<String>)
        case text
    }

    private static let known: [(name: String, standard: String, kind: Kind)] = [
        ("cleanup.policy", "delete", .words(["delete", "compact", "compact,delete", "delete,compact"])),
        ("compression.type", "producer", .words(["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])),
        ("delete.retention.ms", "86400000", .integer(0...Int64.max)),
        ("file.delete.delay.ms", "60000", .integer(0...Int64.max)),
        ("flush.messages", "9223372036854775807", .integer(1...Int64.max)),
        ("flush.ms", "9223372036854775807", .integer(0...Int64.max)),
        ("index.interval.bytes", "4096", .integer(0...Int64(Int32.max))),
        ("max.compaction.lag.ms", "9223372036854775807", .integer(1...Int64.max)),
        ("max.message.bytes", "1048588", .integer(0...Int64(Int32.max))),
        ("message.timestamp.difference.max.ms", "9223372036854775807", .integer(0...Int64.max)),
        ("message.timestamp.type", "CreateTime", .words(["CreateTime"])),
        ("min.cleanable.dirty.ratio", "0.5", .text),
        ("min.compaction.lag.ms", "0", .integer(0...Int64.max)),
        ("min.insync.replicas", "1", .integer(1...Int64(Int32.max))),
        ("preallocate", "false", .bool),
        ("retention.bytes", "-1", .integer(-1...Int64.max)),
        ("retention.ms", "604800000", .integer(-1...Int64.max)),
        ("segment.bytes", "1073741824", .integer(14...Int64(Int32.max))),
        ("segment.index.bytes", "10485760", .integer(4...Int64(Int32.max))),
        ("segment.jitter.ms", "0", .integer(0...Int64.max)),
        ("segment.ms", "604800000", .integer(1...Int64.max)),
        ("unclean.leader.election.enable", "false", .bool),
    ]

    /// Those that differ from the defaults, by name.
    private(set) var given: [String: String] = [:]

    /// - Throws: `InvalidSetting` for an unknown name or an impossible value.
    mutating func set(_ name: String, to value: String) throws(InvalidSetting) {
        guard let setting = Self.known.first(where: { $0.name == name }) else {
            throw InvalidSetting(reason: "Unknown topic config name: \(name)")
        }
        let isPossible =
            switch setting.kind {
            case .integer(let range): Int64(value).map(range.contains) ?? false
            case .bool: ["true", "false"].contains(value)
            case .words(let words): words.contains(value)
            case .text: true
            }
        guard isPossible else { throw InvalidSetting(reason: "Invalid value \(value) for configuration \(name)") }
        self.given[name] = value
    }

    /// All settings in order, and whether each is the default.
    var all: [(name: String, value: String, isDefault: Bool)] {
        Self.known.map { ($0.name, self.given[$0.name] ?? $0.standard, self.given[$0.name] == nil) }
    }

    /// Largest record batch in bytes.
    var batchByteCountMax: Int { Int(self.integer("max.message.bytes")) }
    /// Replicas that must be there when a producer asks for all acknowledgements; `nil` leaves it to the leader.
    var replicasMin: Int? { self.given["min.insync.replicas"].flatMap { Int($0) } }

    private func integer(_ name: String) -> Int64 {
        let text = self.given[name] ?? Self.known.first { $0.name == name }?.standard
        guard let text, let value = Int64(text) else { preconditionFailure("\(name) is no integer") }
        return value
    }
}

struct InvalidSetting: Error {
    var reason: String
}
