import EscapementModel
import Hummingbird
import ScheduleDocuments

/// Reads the query of a request, noting every fault, unknown parameters included: a misspelt filter that is
/// silently ignored shows the wrong list.
struct QueryReader {
    private(set) var faults: [Problem.Fault] = []
    private var given: [(name: String, value: String)] = []
    private var asked: [String] = []
    private static let valueLengthMax = 4096

    init(_ call: APICall) {
        for (name, value) in call.request.uri.queryParameters { self.given.append((String(name), String(value))) }
    }

    mutating func note(_ name: String, _ code: String, _ detail: String) {
        self.faults.append(Problem.Fault(.parameter(name), code, "\(name) \(detail)"))
    }

    /// The text of a parameter; `nil` when it is absent or empty.
    mutating func text(_ name: String) -> String? {
        self.asked.append(name)
        guard let value = self.given.first(where: { $0.name == name })?.value, !value.isEmpty else { return nil }
        if value.utf8.count > Self.valueLengthMax || value.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) {
            self.note(name, ProblemCode.invalidValue, "must be one line of at most \(Self.valueLengthMax) bytes")
            return nil
        }
        return value
    }

    mutating func flag(_ name: String) -> Bool {
        self.asked.append(name)
        guard let value = self.given.first(where: { $0.name == name })?.value else { return false }
        switch value {
        case "", "true", "1": return true
        case "false", "0": return false
        default:
            self.note(name, ProblemCode.invalidValue, "must be true or false")
            return false
        }
    }

    mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = self.text(name) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            self.note(
                name, ProblemCode.outOfRange,
                "must be a whole number from \(range.lowerBound) to \(range.upperBound), not '\(ObjectReader.clipped(text))'"
            )
            return nil
        }
        return number
    }

    mutating func instant(_ name: String) -> WallInstant? {
        guard let text = self.text(name) else { return nil }
        guard let instant = WallInstant(text: text), ObjectReader.supportedInstants.contains(instant) else {
            self.note(
                name, ProblemCode.invalidInstant,
                "must be an instant such as 2026-11-24T08:00:00Z, not '\(ObjectReader.clipped(text))'")
            return nil
        }
        return instant
    }

    mutating func word(_ name: String, _ words: [String]) -> String? {
        guard let text = self.text(name) else { return nil }
        if words.contains(text) { return text }
        self.note(
            name, ProblemCode.invalidValue,
            "must be one of \(words.joined(separator: ", ")), not '\(ObjectReader.clipped(text))'"
                + Suggestion.phrase(for: text, among: words))
        return nil
    }

    /// - Throws: everything wrong with the query.
    mutating func finish() throws(Problem) {
        for (name, _) in self.given where !self.asked.contains(name) {
            let known = self.asked
            self.faults.append(
                Problem.Fault(
                    .parameter(name), ProblemCode.unknownField,
                    "'\(ObjectReader.clipped(name))' is not a parameter here"
                        + Suggestion.phrase(for: name, among: known)))
        }
        if !self.faults.isEmpty { throw Problem.invalid(self.faults) }
    }
}
