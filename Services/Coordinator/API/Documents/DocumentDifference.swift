import JSON

/// One place at which two documents differ.
struct DocumentDifference: Hashable, Sendable {
    /// A JSON pointer.
    var pointer: String
    /// `nil`: not there.
    var before: JSONValue?
    var after: JSONValue?

    var document: JSONValue {
        .record([
            "pointer": .string(self.pointer), "before": self.before ?? .null, "after": self.after ?? .null,
        ])
    }

    /// All places, deepest first where objects have the same members; lists count as one value.
    static func between(_ before: JSONValue, _ after: JSONValue, at pointer: String = "") -> [DocumentDifference] {
        if before == after { return [] }
        guard case .object(let old) = before, case .object(let new) = after else {
            return [DocumentDifference(pointer: pointer, before: before, after: after)]
        }
        var differences: [DocumentDifference] = []
        for member in old {
            let place = "\(pointer)/\(member.name)"
            if let other = after[member.name] {
                differences += Self.between(member.value, other, at: place)
            } else {
                differences.append(DocumentDifference(pointer: place, before: member.value, after: nil))
            }
        }
        for member in new where before[member.name] == nil {
            differences.append(
                DocumentDifference(pointer: "\(pointer)/\(member.name)", before: nil, after: member.value))
        }
        return differences
    }
}
