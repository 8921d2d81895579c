package import EscapementModel

/// Which member should own which shard or lane: a pure function of members, loads and what is assigned
/// now, so it can be simulated, tabulated and drawn.
///
/// Sticky, greedy and bounded: orphans go to whoever has least for its weight; what its owner is barred from goes
/// to somebody who is not; then, while some member has a tenth more than its share or another a tenth less, the
/// item that fills the gap between the fullest and the emptiest best moves. The lower bound is what gives a
/// newcomer work where many members each have a little more than their share. Only orphans and excess move. With
/// S items and M members O(S·M).
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
        /// Members that cannot do the work though they are there: a ticker that is cut off from the shard's lane, a
        /// dispatcher that could not publish the lane.
        package var barred: Set<Incarnation>

        package init(
            number: UInt16, owner: Incarnation?, load: Double = 1, isPinned: Bool = false,
            barred: Set<Incarnation> = []
        ) {
            self.number = number
            self.owner = owner
            self.load = load
            self.isPinned = isPinned
            self.barred = barred
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
            /// Its owner is barred from it, and somebody else is not.
            case unreachable
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
    ///   - drainsMax: how many planned moves off barred and leaving members at most.
    ///   - rebalancesMax: how many planned moves for balance at most.
    package static func plan(
        items: [Item], candidates: [Candidate], drainsMax: Int, rebalancesMax: Int
    ) -> [Step] {
        var books = Books(items: items, candidates: candidates)
        guard !books.open.isEmpty else { return [] }
        var steps: [Step] = []
        let byWeight = items.sorted { $0.load == $1.load ? $0.number < $1.number : $0.load > $1.load }
        for item in byWeight where !item.isPinned && books.index(of: item.owner) == nil {
            // Somebody has to have it, if only to take it up the moment the way is free again.
            let target = books.lightest(for: item) ?? books.lightest()
            books.add(item, to: target)
            steps.append(
                Step(number: item.number, from: nil, to: candidates[target].incarnation, reason: .orphan))
        }
        var drains = drainsMax
        func empty(_ reason: Step.Reason, _ target: (Item, Candidate) -> Int?) {
            for item in byWeight where drains > 0 && !item.isPinned && !books.hasMoved(item) {
                guard let owner = books.index(of: item.owner), let target = target(item, candidates[owner])
                else { continue }
                books.move(item, from: owner, to: target)
                steps.append(
                    Step(number: item.number, from: item.owner, to: candidates[target].incarnation, reason: reason))
                drains -= 1
            }
        }
        // What cannot be fired where it is comes before what only has to go some day.
        empty(.unreachable) { item, owner in
            owner.standing == .open && item.barred.contains(owner.incarnation) ? books.lightest(for: item) : nil
        }
        empty(.drain) { item, owner in
            owner.standing == .leaving ? books.lightest(for: item) ?? books.lightest() : nil
        }
        books.reckonShare()
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
        private var moved: Set<UInt16> = []
        /// What an open candidate should carry for each unit of its weight, when all is dealt out.
        private var share = 0.0
        private let indices: [Incarnation: Int]

        init(items: [Item], candidates: [Candidate]) {
            self.candidates = candidates
            self.open = candidates.indices.filter { candidates[$0].standing == .open }
            self.held = candidates.map { _ in [] }
            self.load = candidates.map { _ in 0 }
            var indices: [Incarnation: Int] = [:]
            for (index, candidate) in candidates.enumerated() { indices[candidate.incarnation] = index }
            self.indices = indices
            for item in items {
                if let owner = item.owner.flatMap({ indices[$0] }) { self.add(item, to: owner) }
            }
        }

        /// What closed members keep is not for the others to share, nor is an item that is more than a share by itself:
        /// whoever has one is full, and the rest is shared by the rest.
        mutating func reckonShare() {
            let kept = self.candidates.indices.filter { self.candidates[$0].standing == .closed }
            var total = self.load.reduce(0, +) - kept.reduce(0) { $0 + self.load[$1] }
            var sharing = self.open
            self.share = 0
            while !sharing.isEmpty {
                let weights = sharing.reduce(0) { $0 + self.candidates[$1].weight }
                self.share = total / Double(weights)
                let full = sharing.filter { index in
                    // Of equals nobody is full: a rounding must not make them so.
                    self.heaviest(of: index) > self.share * Double(self.candidates[index].weight) * 1.000_001
                }
                if full.isEmpty { return }
                total -= full.reduce(0) { $0 + self.heaviest(of: $1) }
                sharing.removeAll { full.contains($0) }
            }
        }

        private func heaviest(of index: Int) -> Double { self.held[index].reduce(0) { max($0, $1.load) } }

        func index(of owner: Incarnation?) -> Int? { owner.flatMap { self.indices[$0] } }

        mutating func add(_ item: Item, to index: Int) {
            self.load[index] += item.load
            self.held[index].append(item)
        }

        mutating func move(_ item: Item, from: Int, to: Int) {
            self.moved.insert(item.number)
            self.load[from] -= item.load
            self.held[from].removeAll { $0.number == item.number }
            var moved = item
            moved.owner = self.candidates[to].incarnation
            moved.isPinned = true
            self.add(moved, to: to)
        }

        private func relative(_ index: Int) -> Double { self.load[index] / Double(self.candidates[index].weight) }

        /// Whether this plan moves it already.
        func hasMoved(_ item: Item) -> Bool { self.moved.contains(item.number) }

        /// The open candidates, the one with least load for its weight first; of equals, the one whose zone has least.
        private func byLoad() -> [Int] {
            var zones: [String: Double] = [:]
            for index in self.candidates.indices { zones[self.candidates[index].zone, default: 0] += self.load[index] }
            func key(_ index: Int) -> (Double, Double, Int) {
                (self.relative(index), zones[self.candidates[index].zone] ?? 0, index)
            }
            return self.open.sorted { key($0) < key($1) }
        }

        /// The open candidate with least load for its weight.
        func lightest() -> Int { self.byLoad()[0] }

        /// The same among those that are not barred from the item; `nil` when all are, or its owner alone is left.
        func lightest(for item: Item) -> Int? {
            self.byLoad().first { index in
                let incarnation = self.candidates[index].incarnation
                return !item.barred.contains(incarnation) && incarnation != item.owner
            }
        }

        /// Moves the item that brings the fullest member and the emptiest one nearest to each other; `nil` when nothing
        /// helps enough. Where that pair has nothing to move (one heavy item, bars), the next one has its turn.
        mutating func bestMove() -> Step? {
            let targets = self.byLoad()
            let sources = self.open.sorted { (self.relative($0), $1) > (self.relative($1), $0) }
            for source in sources where self.relative(source) > self.share {
                for target in targets where self.relative(target) < self.share {
                    guard
                        self.relative(source) > self.share * (1 + Placement.slack)
                            || self.relative(target) < self.share * (1 - Placement.slack)
                    else { break }
                    if let step = self.bestMove(from: source, to: target) { return step }
                }
            }
            return nil
        }

        private mutating func bestMove(from source: Int, to target: Int) -> Step? {
            let sourceWeight = Double(self.candidates[source].weight)
            let targetWeight = Double(self.candidates[target].weight)
            var best: (item: Item, maximum: Double)?
            let taker = self.candidates[target].incarnation
            for item in self.held[source] where !item.isPinned && !item.barred.contains(taker) {
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
            return Step(number: best.item.number, from: from, to: taker, reason: .rebalance)
        }
    }
}
