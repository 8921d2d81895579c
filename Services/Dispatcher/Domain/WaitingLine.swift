/// The fires of one lane that wait because their topics are away, as its journal knows them.
///
/// **Problem.** A topic that is away must hold up no other, so its fires are put aside and the cursors move on. When it
/// is back, fires that were put aside must come before those that fell due later. **Idea.** They lie in a partition of
/// the lane's own, in the order in which they were put aside, and never move in it. While a topic has any, its later
/// fires join the end. Fires of other topics behind them are taken up all the same: what is settled beyond the first
/// that waits is remembered as stretches of offsets.
///
/// **Invariant.** A topic is in `last` as long as one of its fires waits.
package struct WaitingLine: Equatable, Sendable {
    /// With so many stretches nothing more is taken up beyond the first fire that waits: a journal entry names them all.
    package static let stretchesMax = 1024
    /// With so many topics the line counts as one for all of them.
    package static let topicsMax = 256

    package private(set) var settled: SettledOffsets
    /// Topics that have fires here, and where the last one of each lies. The empty name stands for any topic.
    package private(set) var last: [String: Int64]

    package init(settled: SettledOffsets = SettledOffsets(), last: [String: Int64] = [:]) {
        self.settled = settled
        self.last = last
    }

    package var isEmpty: Bool { self.last.isEmpty }
    /// Whether nothing more may be settled beyond the first fire that waits.
    package var isFull: Bool { self.settled.stretches.count >= Self.stretchesMax }

    /// Whether a fire of `topic` has to join the line.
    package func holds(_ topic: String) -> Bool { self.last[topic] != nil || self.last[""] != nil }

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
            if from < border, settled.contains(where: { $0 >= from && $0 < border }) {
                self.settled.settle(from..<border)
            }
            from = border + 1
        }
        if isFirst { self.settled.advance(to: waiting.first?.offset ?? stretch.upperBound) }
        for (topic, offset) in self.last
        where (isEnd || offset < stretch.upperBound) && !(topic.isEmpty ? pass.hasLeft : pass.left.contains(topic)) {
            self.last[topic] = nil
        }
    }
}

/// One walk along a line, from the first fire that waits: a topic of which one was left is left altogether, so that no
/// fire overtakes another of its topic.
package struct WaitingPass: Equatable, Sendable {
    /// Where to read on.
    package internal(set) var position: Int64
    package private(set) var left: Set<String> = []

    package init(from line: WaitingLine) { self.position = line.settled.next }

    package var hasLeft: Bool { !self.left.isEmpty }

    /// Fires of `topic` are passed by from here on.
    package mutating func leave(_ topic: String) { self.left.insert(topic) }
}
