package import EscapementModel
package import JSON

/// Reads the members of one JSON object, noting every fault instead of stopping at the first.
///
/// A member that is `null` counts as absent. What the caller asks for are the known members; the rest are
/// refused by `finish`, because a misspelt field that is silently ignored is a schedule that does not do
/// what its author wrote.
package struct ObjectReader {
    /// Where the object is in the document.
    package let pointer: String
    /// Everything wrong so far, in the order of asking.
    package var problems: [DocumentProblem] = []
    private let members: [JSONMember]
    private var asked: [String] = []

    /// Opens `value`; when it is not an object that is the only problem and there are no members.
    package init(_ value: JSONValue, at pointer: String) {
        self.pointer = pointer
        if case .object(let members) = value {
            self.members = members
        } else {
            self.members = []
            self.note("", ProblemCode.invalidType, "must be an object, not \(value.kindName)")
        }
    }

    /// The pointer of the member `name`.
    package func pointer(to name: String) -> String { self.pointer + "/" + Self.escaped(name) }

    /// Notes a problem of the member `name`, or of the object itself when `name` is empty.
    package mutating func note(_ name: String, _ code: String, _ detail: String) {
        let pointer = name.isEmpty ? self.pointer : self.pointer(to: name)
        let subject = name.isEmpty ? (self.pointer.split(separator: "/").last.map(String.init) ?? "the document") : name
        self.problems.append(DocumentProblem(pointer: pointer, code: code, detail: "\(subject) \(detail)"))
    }

    /// Takes over the problems found inside a member.
    package mutating func note(_ problems: [DocumentProblem]) { self.problems += problems }

    /// The member `name` as it stands; `nil` when it is absent or `null`.
    package mutating func value(_ name: String) -> JSONValue? {
        self.asked.append(name)
        guard let value = self.members.first(where: { $0.name == name })?.value, value != .null else { return nil }
        return value
    }

    /// Whether the member is there and not `null`, without reading it.
    package func has(_ name: String) -> Bool {
        self.members.contains { $0.name == name && $0.value != .null }
    }

    /// Notes that the member `name` is missing.
    package mutating func require(_ name: String) {
        if !self.has(name) { self.note(name, ProblemCode.missingField, "is required") }
    }

    package mutating func string(_ name: String) -> String? {
        guard let value = self.value(name) else { return nil }
        if case .string(let text) = value { return text }
        self.wrongType(name, value, "a string")
        return nil
    }

    package mutating func boolean(_ name: String) -> Bool? {
        guard let value = self.value(name) else { return nil }
        if case .bool(let flag) = value { return flag }
        self.wrongType(name, value, "true or false")
        return nil
    }

    /// A whole number within `range`.
    package mutating func integer(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let value = self.value(name) else { return nil }
        guard case .number(let text) = value else {
            self.wrongType(name, value, "a whole number")
            return nil
        }
        guard let number = Int64(text) else {
            self.note(name, ProblemCode.invalidType, "must be a whole number, not \(text)")
            return nil
        }
        guard range.contains(number) else {
            self.note(
                name, ProblemCode.outOfRange,
                "must be from \(range.lowerBound) to \(range.upperBound), not \(number)")
            return nil
        }
        return number
    }

    /// A duration as text (`90s`, `1h30m`, `PT90S`) within `range`.
    package mutating func duration(_ name: String, in range: ClosedRange<Duration>) -> Duration? {
        guard let value = self.value(name) else { return nil }
        guard case .string(let text) = value else {
            self.wrongType(name, value, "a duration such as \"90s\" or \"1h30m\"")
            return nil
        }
        guard let duration = DurationText.parse(text) else {
            self.note(
                name, ProblemCode.invalidDuration,
                "'\(Self.clipped(text))' is not a duration such as 90s, 1h30m or PT90S")
            return nil
        }
        if duration < .zero {
            self.note(name, ProblemCode.invalidDuration, "'\(Self.clipped(text))' is negative")
            return nil
        }
        guard range.contains(duration) else {
            let bounds = "\(DurationText.format(range.lowerBound)) to \(DurationText.format(range.upperBound))"
            self.note(name, ProblemCode.outOfRange, "must be from \(bounds), not \(DurationText.format(duration))")
            return nil
        }
        return duration
    }

    /// An instant in RFC 3339, within the years that the calendar engine knows.
    package mutating func instant(_ name: String) -> WallInstant? {
        guard let value = self.value(name) else { return nil }
        return self.instant(value, name)
    }

    /// One of several words.
    package mutating func word<Choice>(_ name: String, _ choices: KeyValuePairs<String, Choice>) -> Choice? {
        guard let text = self.string(name) else { return nil }
        if let choice = choices.first(where: { $0.key == text }) { return choice.value }
        let words = choices.map(\.key)
        self.note(
            name, ProblemCode.invalidValue,
            "must be one of \(words.joined(separator: ", ")), not '\(Self.clipped(text))'"
                + Suggestion.phrase(for: text, among: words))
        return nil
    }

    /// Strings: an array of them, or one alone. Elements that are not strings are noted at their place.
    package mutating func strings(_ name: String, countMax: Int) -> [String]? {
        guard let elements = self.elements(name, countMax: countMax, of: "a string or an array of strings")
        else { return nil }
        var texts: [String] = []
        for (index, element) in elements.enumerated() {
            if case .string(let text) = element {
                texts.append(text)
            } else {
                self.note(
                    at: index, of: name, ProblemCode.invalidType, "must be a string, not \(element.kindName)")
            }
        }
        return texts.count == elements.count ? texts : nil
    }

    /// Instants: an array of them, or one alone.
    package mutating func instants(_ name: String, countMax: Int) -> [WallInstant]? {
        guard let elements = self.elements(name, countMax: countMax, of: "an instant or an array of instants")
        else { return nil }
        let single = self.value(name)?.arrayValue == nil
        var instants: [WallInstant] = []
        for (index, element) in elements.enumerated() {
            if let instant = self.instant(element, single ? name : "\(name)/\(index)", escape: false) {
                instants.append(instant)
            }
        }
        return instants.count == elements.count ? instants : nil
    }

    /// The elements of an array member.
    package mutating func array(_ name: String, countMax: Int) -> [JSONValue]? {
        guard let value = self.value(name) else { return nil }
        guard case .array(let elements) = value else {
            self.wrongType(name, value, "an array")
            return nil
        }
        return self.bounded(elements, name, countMax)
    }

    /// Notes a problem of the element `index` of the member `name`.
    package mutating func note(at index: Int, of name: String, _ code: String, _ detail: String) {
        self.problems.append(
            DocumentProblem(
                pointer: "\(self.pointer(to: name))/\(index)", code: code, detail: "\(name)[\(index)] \(detail)"))
    }

    /// Notes every member that was never asked for.
    ///
    /// - Returns: all problems of the object.
    package mutating func finish() -> [DocumentProblem] {
        for member in self.members where !self.asked.contains(member.name) {
            let known = self.asked
            self.problems.append(
                DocumentProblem(
                    pointer: self.pointer(to: member.name), code: ProblemCode.unknownField,
                    detail: "'\(Self.clipped(member.name))' is not a field here"
                        + Suggestion.phrase(for: member.name, among: known)))
        }
        return self.problems
    }

    /// A value of the document, short enough for a message.
    package static func clipped(_ text: String) -> String {
        text.count <= 80 ? text : text.prefix(77) + "..."
    }

    private mutating func elements(_ name: String, countMax: Int, of what: String) -> [JSONValue]? {
        guard let value = self.value(name) else { return nil }
        switch value {
        case .string: return [value]
        case .array(let elements): return self.bounded(elements, name, countMax)
        case .null, .bool, .number, .object:
            self.wrongType(name, value, what)
            return nil
        }
    }

    private mutating func bounded(_ elements: [JSONValue], _ name: String, _ countMax: Int) -> [JSONValue]? {
        if elements.count <= countMax { return elements }
        self.note(name, ProblemCode.tooMany, "has \(elements.count) elements, at most \(countMax) are allowed")
        return nil
    }

    private mutating func instant(_ value: JSONValue, _ name: String, escape: Bool = true) -> WallInstant? {
        let pointer = escape ? self.pointer(to: name) : "\(self.pointer)/\(name)"
        func problem(_ code: String, _ detail: String) -> DocumentProblem {
            DocumentProblem(pointer: pointer, code: code, detail: "\(name) \(detail)")
        }
        guard case .string(let text) = value else {
            self.problems.append(
                problem(ProblemCode.invalidType, "must be an instant in RFC 3339, not \(value.kindName)"))
            return nil
        }
        guard let instant = WallInstant(text: text) else {
            self.problems.append(
                problem(
                    ProblemCode.invalidInstant,
                    "'\(Self.clipped(text))' is not an instant such as 2026-11-24T08:00:00Z"))
            return nil
        }
        guard Self.supportedInstants.contains(instant) else {
            self.problems.append(problem(ProblemCode.outOfRange, "must be in the years 1970 to 2200"))
            return nil
        }
        return instant
    }

    private mutating func wrongType(_ name: String, _ value: JSONValue, _ wanted: String) {
        self.note(name, ProblemCode.invalidType, "must be \(wanted), not \(value.kindName)")
    }

    private static func escaped(_ name: String) -> String {
        var escaped = ""
        for character in name {
            switch character {
            case "~": escaped += "~0"
            case "/": escaped += "~1"
            default: escaped.append(character)
            }
        }
        return escaped
    }

    /// 1970-01-01T00:00:00Z to the end of 2200, in UTC.
    package static let supportedInstants =
        WallInstant(
            milliseconds: 0)...WallInstant(
            milliseconds: GregorianDate.days(year: 2201, month: 1, day: 1) * 86_400_000 - 1)
}
