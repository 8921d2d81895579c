package import JSON

/// What the mapping of an index that exists lacks of a wanted one, and what in it stands in the way.
///
/// Fields can be added to a mapping; the type of one that is there can never be changed. So only what is lacking is put,
/// and what conflicts is said.
package struct MappingComparison: Hashable, Sendable {
    /// The mapping to put; `nil` when nothing is lacking.
    package private(set) var lacking: JSONValue?
    /// In words, such as `annotations.escapement.outcome is text, not keyword`.
    package private(set) var conflicts: [String] = []

    /// A mapping of which nothing can be used.
    init(conflict: String) { self.conflicts = [conflict] }

    /// - Parameters:
    ///   - exactBelow: the path of the object whose fields must have the wanted types, because we search them. Elsewhere a
    ///     type that takes the same values will do.
    package init(found: JSONValue, wanted: JSONValue, exactBelow: String) {
        self.lacking = self.compareObject(found, wanted, path: "", exactBelow: exactBelow)
    }

    private mutating func compareObject(
        _ found: JSONValue, _ wanted: JSONValue, path: String, exactBelow: String
    ) -> JSONValue? {
        var lacking: [JSONMember] = []
        // Elasticsearch 6 shows it as text.
        if let dynamic = wanted["dynamic"], found["dynamic"].map(Self.text) != Self.text(dynamic) {
            lacking.append(JSONMember("dynamic", dynamic))
        }
        var fields: [JSONMember] = []
        for field in wanted["properties"]?.objectValue ?? [] {
            let fieldPath = path.isEmpty ? field.name : "\(path).\(field.name)"
            guard let present = found["properties"]?[field.name] else {
                fields.append(field)
                continue
            }
            if let rest = self.compareField(present, field.value, path: fieldPath, exactBelow: exactBelow) {
                fields.append(JSONMember(field.name, rest))
            }
        }
        if !fields.isEmpty { lacking.append(JSONMember("properties", .object(fields))) }
        return lacking.isEmpty ? nil : .object(lacking)
    }

    private mutating func compareField(
        _ found: JSONValue, _ wanted: JSONValue, path: String, exactBelow: String
    ) -> JSONValue? {
        let (type, wantedType) = (Self.type(of: found), Self.type(of: wanted))
        let isExact = path == exactBelow || path.hasPrefix(exactBelow + ".")
        guard type == wantedType else {
            if isExact || Self.family(of: type) != Self.family(of: wantedType) {
                self.conflicts.append("\(path) is \(type), not \(wantedType)")
            }
            return nil
        }
        if type == "object" {
            guard found["enabled"]?.boolValue != false || wanted["enabled"]?.boolValue == false else {
                self.conflicts.append("\(path) is kept without being searchable (enabled: false)")
                return nil
            }
            return self.compareObject(found, wanted, path: path, exactBelow: exactBelow)
        }
        if found["index"]?.boolValue == false, wanted["index"]?.boolValue != false {
            self.conflicts.append("\(path) is kept without being searchable (index: false)")
            return nil
        }
        let present = found["fields"]?.objectValue ?? []
        let missing = (wanted["fields"]?.objectValue ?? []).filter { field in
            !present.contains { $0.name == field.name }
        }
        guard !missing.isEmpty, case .object(let members) = found else { return nil }
        // The field as it is, for a parameter left out would be one changed.
        return .object(
            members.filter { $0.name != "fields" } + [JSONMember("fields", .object(present + missing))])
    }

    private static func type(of field: JSONValue) -> String { field["type"]?.stringValue ?? "object" }

    private static func text(_ value: JSONValue) -> String { value.stringValue ?? value.text }

    /// Types that take the same values.
    private static func family(of type: String) -> String {
        switch type {
        case "text", "keyword", "match_only_text", "wildcard", "constant_keyword": "text"
        case "long", "integer", "short", "byte", "double", "float", "half_float", "scaled_float", "unsigned_long":
            "number"
        default: type
        }
    }
}
