package import EscapementModel

/// Which member should own which shard or lane: a pure function of members, loads and what is assigned
/// now, so it can be simulated, tabulated and drawn.
///
/// Sticky, greedy and bounded: orphans go to whoever has least for its weight; then, while some member has a
/// tenth more than its share or another a tenth less, the item that fills the gap between the fullest and the
/// emptiest best moves. The lower bound is what gives a newcomer work where many members each have a little
/// more than their share. Only orphans and excess move. With S items and M members O(S·M).
package enum Placement {
    /// A shard or lane, and who owns it now.
    package struct Item: Equatable, Sendable {
        package var number: UInt16
        /// `nil`, or somebody who is not among the candidates, makes it an orphan.
        package var owner: Incarnation?
        /// How much work it is, in any unit; above 0.
        package var load: Double
        /// On its way already, or being taken: counted where it is going, not moved.
        package var isPinned: Bool

        package init(number: UInt16, owner: Incarnation?, load: Double = 1, isPinned: Bool = false) {
            self.number = number
            self.owner = owner
            self.load = load
            self.isPinned = isPinned
        }
    }

    /// A member that owns, or may own, items.
    package struct Candidate: Equatable, Sendable {
        package enum Standing: Equatable, Sendable {
            /// Takes new work.
            case open
            /// Keeps what it has and gets nothing new.
            case closed
            /// To be emptied.
            case leaving
        }

        package var incarnation: Incarnation
        package var node: NodeID
        package var weight: Int
        package var zone: String
        package var standing: Standing

        package init(
            incarnation: Incarnation, node: NodeID, weight: Int = 100, zone: String = "", standing: Standing = .open
        ) {
            self.incarnation = incarnation
            self.node = node
            self.weight = max(1, weight)
            self.zone = zone
            self.standing = standing
        }
    }

    /// Put an item with a member. Without `from` it is nobody's now.
    package struct Step: Equatable, Sendable {
        package enum Reason: Equatable, Sendable {
            case orphan
            case drain
            case rebalance
        }

        package var number: UInt16
        package var from: Incarnation?
        package var to: Incarnation
        package var reason: Reason

        package init(number: UInt16, from: Incarnation?, to: Incarnation, reason: Reason) {
            self.number = number
            self.from = from
            self.to = to
            self.reason = reason
        }
    }

    /// How far from its share a member may be, as a part of the share.
    package static let slack = 0.10
    /// By how much of the average load a move must lower the maximum to be worth it.
    package static let gainMin = 0.10

    /// The steps that lead from what is to what should be, most urgent first.
    ///
    /// - Parameters:
    ///   - drainsMax: how many planned moves off leaving members at most.
    ///   - rebalancesMax: how many planned moves for balance at most.
    package static func plan(
        items: [Item], candidates: [Candidate], drainsMax: Int, rebalancesMax: Int
    ) -> [Step] {
        var books = Books(items: items, candidates: candidates)
        guard !books.open.isEmpty else { return [] }
        var steps: [Step] = []
        let byWeight = items.sorted { $0.load == $1.load ? $0.number < $1.number : $0.load > $1.load }
        for item in byWeight where !item.isPinned && books.index(of: item.owner) == nil {
            let target = books.lightest()
            books.add(item, to: target)
            steps.append(
                Step(number: item.number, from: nil, to: candidates[target].incarnation, reason: .orphan))
        }
        var drains = drainsMax
        for item in byWeight where drains > 0 && !item.isPinned {
            guard let owner = books.index(of: item.owner), candidates[owner].standing == .leaving else { continue }
            let target = books.lightest()
            books.move(item, from: owner, to: target)
            steps.append(
                Step(number: item.number, from: item.owner, to: candidates[target].incarnation, reason: .drain))
            drains -= 1
        }
        var rebalances = rebalancesMax
        while rebalances > 0, let step = books.bestMove() {
            steps.append(step)
            rebalances -= 1
        }
        return steps
    }

    /// Who carries how much while the plan is made.
    private struct Books {
        let candidates: [Candidate]
        /// Candidates that take new work.
        let open: [Int]
        private var held: [[Item]]
        private var load: [Double]
        private let share: Double
        private let indices: [Incarnation: Int]

        init(items: [Item], candidates: [Candidate]) {
            self.candidates = candidates
            self.open = candidates.indices.filter { candidates[$0].standing == .open }
            self.held = candidates.map { _ in [] }
            self.load = candidates.map { _ in 0 }
            var indices: [Incarnation: Int] = [:]
            for (index, candidate) in candidates.enumerated() { indices[candidate.incarnation] = index }
            self.indices = indices
            // What closed members keep is not for the others to share.
            let kept = items.filter { item in
                item.owner.flatMap { indices[$0] }.map { candidates[$0].standing == .closed } ?? false
            }
            let total = items.reduce(0) { $0 + $1.load } - kept.reduce(0) { $0 + $1.load }
            let weights = self.open.reduce(0) { $0 + candidates[$1].weight }
            self.share = weights == 0 ? 0 : total / Double(weights)
            for item in items {
                if let owner = item.owner.flatMap({ indices[$0] }) { self.add(item, to: owner) }
            }
        }

        func index(of owner: Incarnation?) -> Int? { owner.flatMap { self.indices[$0] } }

        mutating func add(_ item: Item, to index: Int) {
            self.load[index] += item.load
            self.held[index].append(item)
        }

        mutating func move(_ item: Item, from: Int, to: Int) {
            self.load[from] -= item.load
            self.held[from].removeAll { $0.number == item.number }
            var moved = item
            moved.owner = self.candidates[to].incarnation
            moved.isPinned = true
            self.add(moved, to: to)
        }

        private func relative(_ index: Int) -> Double { self.load[index] / Double(self.candidates[index].weight) }

        /// The open candidate with least load for its weight; of equals, the one whose zone has least.
        func lightest() -> Int {
            var zones: [String: Double] = [:]
            for index in self.candidates.indices { zones[self.candidates[index].zone, default: 0] += self.load[index] }
            func key(_ index: Int) -> (Double, Double, Int) {
                (self.relative(index), zones[self.candidates[index].zone] ?? 0, index)
            }
            return self.open.min { key($0) < key($1) } ?? self.open[0]
        }

        /// Moves the item that brings the fullest member and the emptiest one nearest to each other; `nil` when nothing helps enough.
        mutating func bestMove() -> Step? {
            guard self.share > 0 else { return nil }
            let target = self.lightest()
            guard let source = self.open.max(by: { (self.relative($0), $1) < (self.relative($1), $0) }),
                self.relative(target) < self.share, self.relative(source) > self.share,
                self.relative(source) > self.share * (1 + Placement.slack)
                    || self.relative(target) < self.share * (1 - Placement.slack)
            else { return nil }
            let sourceWeight = Double(self.candidates[source].weight)
            let targetWeight = Double(self.candidates[target].weight)
            var best: (item: Item, maximum: Double)?
            for item in self.held[source] where !item.isPinned {
                let maximum = max(
                    (self.load[source] - item.load) / sourceWeight, (self.load[target] + item.load) / targetWeight)
                if best.map({ (maximum, item.number) < ($0.maximum, $0.item.number) }) ?? true {
                    best = (item, maximum)
                }
            }
            // The gain is measured against one ordinary item, so that a lone heavy one does not travel.
            guard let best else { return nil }
            let gain = (self.relative(source) - best.maximum) * sourceWeight
            guard gain > Placement.gainMin * best.item.load else { return nil }
            let from = self.candidates[source].incarnation
            self.move(best.item, from: source, to: target)
            return Step(
                number: best.item.number, from: from, to: self.candidates[target].incarnation, reason: .rebalance)
        }
    }
}
