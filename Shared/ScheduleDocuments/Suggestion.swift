/// "Did you mean": the known word nearest to a misspelt one.
package enum Suggestion {
    /// The longest word compared; a longer one is not a misspelling of a field.
    private static let lengthMax = 64

    /// The nearest of `known`, if it is near enough to be what was meant: at most a third of the letters
    /// differ. Ties go to the earlier one. O(known · length²).
    package static func nearest(to word: String, among known: [String]) -> String? {
        guard word.utf8.count <= self.lengthMax else { return nil }
        let letters = Array(word.lowercased())
        var best: (word: String, distance: Int)?
        for candidate in known {
            let other = Array(candidate.lowercased())
            let distance = self.distance(letters, other)
            guard distance <= max(1, max(letters.count, other.count) / 3) else { continue }
            if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
        }
        return best?.word
    }

    /// `; did you mean 'timeZone'?`, or nothing.
    package static func phrase(for word: String, among known: [String]) -> String {
        self.nearest(to: word, among: known).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other.
    private static func distance(_ left: [Character], _ right: [Character]) -> Int {
        var older = [Int](repeating: 0, count: right.count + 1)
        var previous = Array(0...right.count)
        for (row, letter) in left.enumerated() {
            var current = [row + 1]
            for (column, other) in right.enumerated() {
                var cost = min(previous[column + 1] + 1, current[column] + 1)
                cost = min(cost, previous[column] + (letter == other ? 0 : 1))
                if row > 0, column > 0, letter == right[column - 1], left[row - 1] == other {
                    cost = min(cost, older[column - 1] + 1)
                }
                current.append(cost)
            }
            older = previous
            previous = current
        }
        return previous[right.count]
    }
}
