package import EscapementModel

/// Which of several equal servers takes the next request: the well ones in turn, resting ones after a while.
///
/// A node that fails rests for a time that doubles with each failure in a row; then one request tries it again.
/// When all rest, the one whose rest ends first is taken, because a guess is better than no attempt.
package struct NodeRoster: Equatable, Sendable {
    private struct Node: Equatable, Sendable {
        var failuresInARow = 0
        var restsUntil: MonotonicInstant?
    }

    /// The rest after a first failure.
    package let firstRest: Duration
    package let restMax: Duration
    private var nodes: [Node]
    private var next = 0

    /// - Precondition: `count` is positive.
    package init(count: Int, firstRest: Duration = .seconds(1), restMax: Duration = .seconds(60)) {
        precondition(count > 0, "a roster without nodes")
        self.firstRest = firstRest
        self.restMax = restMax
        self.nodes = Array(repeating: Node(), count: count)
    }

    /// The node for the next attempt. O(nodes).
    ///
    /// - Parameter tried: nodes that this request has met already; avoided while a well one is left.
    package mutating func take(avoiding tried: Set<Int>, now: MonotonicInstant) -> Int {
        let order = self.nodes.indices.map { (self.next + $0) % self.nodes.count }
        let index =
            order.first { !tried.contains($0) && self.isWell($0, now: now) }
            ?? order.first { self.isWell($0, now: now) }
            ?? order.min { self.restEnd($0) < self.restEnd($1) }
            ?? 0
        self.next = (index + 1) % self.nodes.count
        if let end = self.nodes[index].restsUntil, end <= now {
            // Its rest is over: this request alone finds out, the others wait one more first rest.
            self.nodes[index].restsUntil = now.advanced(by: self.firstRest)
        }
        return index
    }

    /// Whether a well node other than `tried` is left.
    package func hasFresh(besides tried: Set<Int>, now: MonotonicInstant) -> Bool {
        self.nodes.indices.contains { !tried.contains($0) && self.isWell($0, now: now) }
    }

    /// The node answered.
    package mutating func succeeded(_ index: Int) { self.nodes[index] = Node() }

    /// The node did not answer, or said that it cannot.
    package mutating func failed(_ index: Int, now: MonotonicInstant) {
        let doublings = min(self.nodes[index].failuresInARow, 20)
        self.nodes[index].failuresInARow += 1
        self.nodes[index].restsUntil = now.advanced(by: min(self.restMax, self.firstRest * (1 << doublings)))
    }

    /// How many nodes are not resting.
    package func wellCount(now: MonotonicInstant) -> Int {
        self.nodes.indices.count { self.isWell($0, now: now) }
    }

    private func isWell(_ index: Int, now: MonotonicInstant) -> Bool {
        self.nodes[index].restsUntil.map { $0 <= now } ?? true
    }

    private func restEnd(_ index: Int) -> MonotonicInstant {
        self.nodes[index].restsUntil ?? MonotonicInstant(nanoseconds: .min)
    }
}
