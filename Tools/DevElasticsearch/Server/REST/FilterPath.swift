import JSON

/// The `filter_path` parameter: which members of an answer to keep.
///
/// Patterns are paths with dots; `*` stands for any one name or part of it, `**` for any number of names; a minus
/// in front excludes. Arrays are looked through.
struct FilterPath: Equatable, Sendable {
    private var includes: [[String]] = []
    private var excludes: [[String]] = []

    /// - Parameter text: patterns with commas between.
    init(_ text: String) {
        for pattern in text.split(separator: ",") {
            let steps = pattern.drop { $0 == "-" }.split(separator: ".").map(String.init)
            if pattern.hasPrefix("-") { self.excludes.append(steps) } else { self.includes.append(steps) }
        }
    }

    /// For `_source`: `includes` and `excludes` as lists of patterns; a pattern covers what lies below it.
    init(includes: [String], excludes: [String]) {
        self.includes = includes.map { $0.split(separator: ".").map(String.init) }
        self.excludes = excludes.map { $0.split(separator: ".").map(String.init) }
    }

    /// `value` with the members that are wanted; an object with nothing left is empty.
    func apply(to value: JSONValue) -> JSONValue {
        var result = value
        if !self.includes.isEmpty { result = Self.keep(result, self.includes[...].map { $0[...] }) ?? .object([]) }
        if !self.excludes.isEmpty { result = Self.drop(result, self.excludes.map { $0[...] }) }
        return result
    }

    /// The patterns left after one step into `name`; an empty one means "all below".
    private static func step(_ patterns: [ArraySlice<String>], _ name: String) -> [ArraySlice<String>] {
        var left: [ArraySlice<String>] = []
        for pattern in patterns {
            guard let first = pattern.first else { continue }
            if first == "**" {
                left.append(pattern)
                left += self.step([pattern.dropFirst()], name)
            } else if Wildcard(first).matches(name) {
                left.append(pattern.dropFirst())
            }
        }
        return left
    }

    private static func keep(_ value: JSONValue, _ patterns: [ArraySlice<String>]) -> JSONValue? {
        // A trailing `**` covers everything below as well.
        if patterns.contains(where: { $0.isEmpty || $0.elementsEqual(["**"]) }) { return value }
        switch value {
        case .object(let members):
            let kept = members.compactMap { member -> JSONMember? in
                let left = self.step(patterns, member.name)
                guard !left.isEmpty, let value = self.keep(member.value, left) else { return nil }
                return JSONMember(member.name, value)
            }
            return kept.isEmpty ? nil : .object(kept)
        case .array(let elements):
            let kept = elements.compactMap { self.keep($0, patterns) }
            return kept.isEmpty ? nil : .array(kept)
        default: return nil
        }
    }

    private static func drop(_ value: JSONValue, _ patterns: [ArraySlice<String>]) -> JSONValue {
        switch value {
        case .object(let members):
            .object(
                members.compactMap { member in
                    let left = self.step(patterns, member.name)
                    if left.contains(where: { $0.isEmpty }) { return nil }
                    return JSONMember(member.name, left.isEmpty ? member.value : self.drop(member.value, left))
                })
        case .array(let elements): .array(elements.map { self.drop($0, patterns) })
        default: value
        }
    }
}
