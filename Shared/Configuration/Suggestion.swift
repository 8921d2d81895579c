/// "Did you mean": the known name that a person most likely wanted.
enum Suggestion {
    /// The nearest of `known` when it is near enough to be a slip of the fingers: at most a fifth of the name's
    /// characters, at least two, differ. Ties go to the first in sorted order.
    static func nearest(to name: String, among known: some Sequence<String>) -> String? {
        let limit = max(2, name.utf8.count / 5)
        return known.sorted()
            .map { (name: $0, distance: self.distance(Array(name.utf8), Array($0.utf8))) }
            .filter { $0.distance <= limit }
            .min { $0.distance < $1.distance }?.name
    }

    /// Levenshtein distance: insertions, deletions and replacements. O(m·n).
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, leftByte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, rightByte) in right.enumerated() {
                let replaced = diagonal + (leftByte == rightByte ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[right.count]
    }
}

/// Kubernetes puts `NAME_PORT=tcp://…`, `NAME_SERVICE_HOST` and more into the pods of a namespace for each
/// Service in it; for a Service called `escapement-api` they begin with our prefix and are not ours.
enum ServiceLink {
    /// True for `*_SERVICE_HOST`, `*_SERVICE_PORT`, `*_SERVICE_PORT_*`, `*_PORT` and `*_PORT_*`.
    static func hasShape(_ name: String) -> Bool {
        name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_PORT") || self.contains(name, "_PORT_")
    }

    private static func contains(_ name: String, _ part: String) -> Bool {
        let (name, part) = (Array(name.utf8), Array(part.utf8))
        guard name.count >= part.count else { return false }
        return (0...(name.count - part.count)).contains { name[$0..<($0 + part.count)].elementsEqual(part) }
    }
}
