/// The fires of one lane that wait because their topics are away, as its journal knows them.
///
/// **Problem.** A topic that is away must hold up no other, so its fires are put aside and the cursors move on. When it
/// is back, fires that were put aside must come before those that fell due later. **Idea.** They lie in a partition of
/// the lane's own, in the order in which they were put aside, and never move in it. While a topic has any, its later
/// fires join the end. Fires of other topics behind them are taken up all the same: what is settled beyond the first
/// that waits is remembered as stretches of offsets.
///
/// **Invariants.** `next` never decreases; stretches are sorted, apart from each other and beyond `next`; a topic is in
/// `last` as long as one of its fires waits.
package struct WaitingLine: Equatable, Sendable {
    /// With so many stretches nothing more is taken up beyond the first fire that waits: a journal entry names them all.
    package static let stretchesMax = 1024
    /// With so many topics the line counts as one for all of them.
    package static let topicsMax = 256

    /// All fires before this offset are settled.
    package private(set) var next: Int64
    /// Offsets beyond `next` between which all are settled.
    package private(set) var stretches: [Range<Int64>]
    /// Topics that have fires here, and where the last one of each lies. The empty name stands for any topic.
    package private(set) var last: [String: Int64]

    package init(next: Int64 = 0, stretches: [Range<Int64>] = [], last: [String: Int64] = [:]) {
        self.next = next
        self.stretches = stretches
        self.last = last
    }

    package var isEmpty: Bool { self.last.isEmpty }
    /// Whether nothing more may be settled beyond the first fire that waits.
    package var isFull: Bool { self.stretches.count >= Self.stretchesMax }

    /// Whether a fire of `topic` has to join the line.
    package func holds(_ topic: String) -> Bool { self.last[topic] != nil || self.last[""] != nil }

    /// Whether the fire at `offset` is settled. O(log stretches).
    package func isSettled(_ offset: Int64) -> Bool {
        if offset < self.next { return true }
        var low = 0
        var high = self.stretches.count
        while low < high {
            let middle = (low + high) / 2
            if self.stretches[middle].upperBound <= offset { low = middle + 1 } else { high = middle }
        }
        return low < self.stretches.count && self.stretches[low].contains(offset)
    }

    /// A fire of `topic` joined the line at `offset`; negative when Kafka did not say where, as for a record that it had
    /// already: the topic then waits until the end of the line is met.
    package mutating func joined(_ topic: String, at offset: Int64) {
        let offset = offset < 0 ? Int64.max : offset
        let key = self.last[topic] == nil && self.last.count >= Self.topicsMax ? "" : topic
        self.last[key] = max(self.last[key] ?? -1, offset)
    }

    /// A stretch of the line was looked at.
    ///
    /// - Parameters:
    ///   - settled: its fires that came to their end.
    ///   - waiting: its fires that wait on, by offset, and their topics.
    ///   - pass: what was left behind before this stretch, on the same walk; takes note of `waiting`.
    ///   - isEnd: nothing lies behind the stretch.
    package mutating func advance(
        over stretch: Range<Int64>, settled: [Int64], waiting: [(offset: Int64, topic: String)],
        isEnd: Bool, _ pass: inout WaitingPass
    ) {
        let isFirst = !pass.hasLeft
        for fire in waiting { pass.leave(fire.topic) }
        pass.position = max(pass.position, stretch.upperBound)
        // All between two that wait is settled; worth a note if there is a fire among it.
        var from = stretch.lowerBound
        for border in waiting.map(\.offset) + [stretch.upperBound] {
            if from < border, settled.contains(where: { $0 >= from && $0 < border }) { self.add(from..<border) }
            from = border + 1
        }
        if isFirst { self.next = max(self.next, waiting.first?.offset ?? stretch.upperBound) }
        while let first = self.stretches.first, first.lowerBound <= self.next {
            self.next = max(self.next, first.upperBound)
            self.stretches.removeFirst()
        }
        for (topic, offset) in self.last
        where (isEnd || offset < stretch.upperBound) && !(topic.isEmpty ? pass.hasLeft : pass.left.contains(topic)) {
            self.last[topic] = nil
        }
    }

    /// Inserts, and joins what touches.
    private mutating func add(_ new: Range<Int64>) {
        var new = new
        var kept: [Range<Int64>] = []
        kept.reserveCapacity(self.stretches.count + 1)
        for range in self.stretches {
            if range.upperBound < new.lowerBound || range.lowerBound > new.upperBound {
                kept.append(range)
            } else {
                new = min(new.lowerBound, range.lowerBound)..<max(new.upperBound, range.upperBound)
            }
        }
        kept.insert(new, at: kept.firstIndex { $0.lowerBound > new.lowerBound } ?? kept.endIndex)
        self.stretches = kept
    }

    /// Checks what must always hold; for tests and debug builds. O(stretches).
    package func checkInvariants() {
        var end = self.next
        for range in self.stretches {
            precondition(range.lowerBound > end, "a stretch at \(range) touches what ends at \(end)")
            end = range.upperBound
        }
    }
}

/// One walk along a line, from the first fire that waits: a topic of which one was left is left altogether, so that no
/// fire overtakes another of its topic.
package struct WaitingPass: Equatable, Sendable {
    /// Where to read on.
    package internal(set) var position: Int64
    package private(set) var left: Set<String> = []

    package init(from line: WaitingLine) { self.position = line.next }

    package var hasLeft: Bool { !self.left.isEmpty }

    /// Fires of `topic` are passed by from here on.
    package mutating func leave(_ topic: String) { self.left.insert(topic) }
}
