/// A pattern with `*` for any text and, where asked for, `?` for any one character.
struct Wildcard: Hashable, Sendable {
    private let pattern: [Character]
    private let knowsQuestionMark: Bool
    private let ignoresCase: Bool

    init(_ pattern: some StringProtocol, knowsQuestionMark: Bool = false, ignoresCase: Bool = false) {
        self.pattern = Array(ignoresCase ? pattern.lowercased() : String(pattern))
        self.knowsQuestionMark = knowsQuestionMark
        self.ignoresCase = ignoresCase
    }

    /// Whether `pattern` holds a `*`, and so stands for more than one name.
    static func isPattern(_ text: some StringProtocol) -> Bool { text.contains("*") }

    /// O(pattern × text) at worst: after a mismatch only the last star is tried again.
    func matches(_ text: some StringProtocol) -> Bool {
        let text = Array(self.ignoresCase ? text.lowercased() : String(text))
        var (position, index) = (0, 0)
        var retry: (position: Int, index: Int)?
        while index < text.count {
            if position < self.pattern.count, self.pattern[position] == "*" {
                retry = (position, index)
                position += 1
            } else if position < self.pattern.count,
                self.pattern[position] == text[index] || self.knowsQuestionMark && self.pattern[position] == "?"
            {
                position += 1
                index += 1
            } else if let last = retry {
                position = last.position + 1
                index = last.index + 1
                retry = (last.position, index)
            } else {
                return false
            }
        }
        return self.pattern[position...].allSatisfy { $0 == "*" }
    }

    /// Whether some text matches both patterns: index patterns of two templates that claim the same index.
    func overlaps(_ other: Wildcard) -> Bool {
        var seen: Set<[Int]> = []
        func search(_ left: Int, _ right: Int) -> Bool {
            guard seen.insert([left, right]).inserted else { return false }
            let (here, there) = (self.pattern[left...], other.pattern[right...])
            guard let first = here.first else { return there.allSatisfy { $0 == "*" } }
            guard let second = there.first else { return here.allSatisfy { $0 == "*" } }
            if first == "*" { return search(left + 1, right) || search(left, right + 1) }
            if second == "*" { return search(left, right + 1) || search(left + 1, right) }
            return first == second && search(left + 1, right + 1)
        }
        return search(0, 0)
    }
}
