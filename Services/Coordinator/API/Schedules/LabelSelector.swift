import ScheduleDocuments
import Store

/// Reads label selectors as Kubernetes writes them: `team=billing,tier in (gold,silver),!legacy`.
enum LabelSelector {
    struct Fault: Error {
        var detail: String
    }

    private static let lengthMax = 2048
    private static let requirementsMax = 32

    static func parse(_ text: String) throws(Fault) -> [LabelRequirement] {
        guard text.utf8.count <= self.lengthMax else { throw Fault(detail: "has more than \(self.lengthMax) bytes") }
        let requirements = self.parts(text)
        guard requirements.count <= self.requirementsMax else {
            throw Fault(detail: "has more than \(self.requirementsMax) requirements")
        }
        var result: [LabelRequirement] = []
        for part in requirements { result.append(try self.requirement(part)) }
        return result
    }

    /// Cuts at commas outside parentheses.
    private static func parts(_ text: String) -> [String] {
        var parts: [String] = [""]
        var depth = 0
        for character in text {
            if character == "(" { depth += 1 }
            if character == ")" { depth -= 1 }
            if character == ",", depth == 0 {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
        }
        return parts.map(self.trimmed).filter { !$0.isEmpty }
    }

    private static func requirement(_ text: String) throws(Fault) -> LabelRequirement {
        for (symbol, isEquality) in [("!=", false), ("==", true), ("=", true)] {
            guard let range = text.firstRange(of: symbol) else { continue }
            let name = self.trimmed(String(text[..<range.lowerBound]))
            let value = self.trimmed(String(text[range.upperBound...]))
            try self.check(name)
            return isEquality ? .isOneOf(name: name, values: [value]) : .isNoneOf(name: name, values: [value])
        }
        if let open = text.firstIndex(of: "("), text.hasSuffix(")") {
            let words = text[..<open].split(separator: " ").map(String.init)
            let values = text[text.index(after: open)...].dropLast().split(separator: ",").map {
                self.trimmed(String($0))
            }
            guard words.count == 2, !values.isEmpty, words[1] == "in" || words[1] == "notin" else {
                throw Fault(detail: "has '\(ObjectReader.clipped(text))', which is not 'name in (value, …)'")
            }
            try self.check(words[0])
            return words[1] == "in"
                ? .isOneOf(name: words[0], values: values) : .isNoneOf(name: words[0], values: values)
        }
        if text.hasPrefix("!") {
            let name = self.trimmed(String(text.dropFirst()))
            try self.check(name)
            return .isAbsent(name: name)
        }
        try self.check(text)
        return .exists(name: text)
    }

    private static func check(_ name: String) throws(Fault) {
        let isFine = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: "/"):
                true
            default: false
            }
        }
        guard !name.isEmpty, isFine else {
            throw Fault(detail: "has '\(ObjectReader.clipped(name))' where the name of a label is expected")
        }
    }

    private static func trimmed(_ text: String) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
