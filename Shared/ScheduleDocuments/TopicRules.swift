/// Which Kafka topics a user may name.
package enum TopicRules {
    package static let notAllowed = "TOPIC_NOT_ALLOWED"

    /// Why Kafka would refuse the name; `nil` when it is fine.
    package static func fault(in topic: String) -> String? {
        if topic.isEmpty { return "must not be empty" }
        if topic.utf8.count > 249 { return "must have at most 249 characters, this one has \(topic.utf8.count)" }
        if topic == "." || topic == ".." { return "must not be '\(topic)'" }
        let fine = topic.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return fine ? nil : "may hold only letters, digits, '.', '_' and '-'"
    }

    /// Whether the topic is Kafka's own (`__consumer_offsets`) or one of ours that a user must not write
    /// to: any whose first part is `escapement` or the cluster's name and that has a part `journal` or
    /// `parked`. Compared as Kafka compares metric names: `.` and `_` are one letter, case is not.
    package static func isReserved(_ topic: String, cluster: String) -> Bool {
        if topic.hasPrefix("__") { return true }
        func parts(_ text: String) -> [Substring] {
            text.lowercased().split(whereSeparator: { $0 == "." || $0 == "_" || $0 == "-" })
        }
        let words = parts(topic)
        guard words.contains("journal") || words.contains("parked") else { return false }
        let owners: [[Substring]] = [["escapement"], ["esc"], parts(cluster)]
        return words == ["journal"] || owners.contains { !$0.isEmpty && words.starts(with: $0) }
    }
}
