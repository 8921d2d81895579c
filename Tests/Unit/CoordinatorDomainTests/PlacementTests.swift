import CoordinatorDomain
import EscapementModel
import Testing
import TestSupport

@Suite struct PlacementTests {
    private typealias Item = Placement.Item

    private func candidates(_ count: Int, weight: (Int) -> Int = { _ in 100 }) -> [Placement.Candidate] {
        (1...count).map {
            Placement.Candidate(incarnation: incarnation(UInt64($0)), node: NodeID("n\($0)"), weight: weight($0))
        }
    }

    /// Plans until nothing is left to do; the owners after that and how many steps it took.
    private func settle(
        _ items: [Placement.Item], _ candidates: [Placement.Candidate], movesMax: Int = .max
    ) -> (items: [Placement.Item], steps: [Placement.Step]) {
        var items = items
        let steps = Placement.plan(
            items: items, candidates: candidates, drainsMax: movesMax, rebalancesMax: movesMax)
        for step in steps {
            for index in items.indices where items[index].number == step.number { items[index].owner = step.to }
        }
        return (items, steps)
    }

    private func counts(_ items: [Placement.Item]) -> [Incarnation: Int] {
        items.reduce(into: [:]) { counts, item in if let owner = item.owner { counts[owner, default: 0] += 1 } }
    }

    private func items(_ count: Int, owner: Incarnation? = nil) -> [Placement.Item] {
        (0..<UInt16(count)).map { Placement.Item(number: $0, owner: owner) }
    }

    @Test func `orphans are dealt out evenly`() {
        let (placed, steps) = self.settle(self.items(256), self.candidates(3))
        #expect(self.counts(placed).values.sorted() == [85, 85, 86])
        #expect(steps.allSatisfy { $0.reason == .orphan && $0.from == nil })
    }

    @Test func `twice the weight, twice the work`() {
        let (placed, _) = self.settle(self.items(90), self.candidates(2) { $0 == 1 ? 100 : 200 })
        #expect(self.counts(placed) == [incarnation(1): 30, incarnation(2): 60])
    }

    @Test func `nothing moves when all is well`() {
        let (placed, _) = self.settle(self.items(64), self.candidates(4))
        #expect(self.settle(placed, self.candidates(4)).steps == [])
    }

    @Test func `a death moves only what the dead one had`() {
        let (placed, _) = self.settle(self.items(64), self.candidates(4))
        let (after, steps) = self.settle(placed, Array(self.candidates(4).dropLast()))
        #expect(steps.count == 16)
        #expect(steps.allSatisfy { $0.reason == .orphan })
        #expect(self.counts(after).values.sorted() == [21, 21, 22])
    }

    /// One line of the table: how even the load is with so many tickers, and what a join and a leave move.
    private func tableRow(_ count: Int) -> (ratio: Double, join: Int, leave: Int) {
        let (placed, _) = self.settle(self.items(256), self.candidates(count))
        let largest = self.counts(placed).values.max() ?? 0
        let (joined, joinSteps) = self.settle(placed, self.candidates(count + 1))
        let (_, leaveSteps) = self.settle(joined, self.candidates(count))
        return (Double(largest) * Double(count) / 256, joinSteps.count, leaveSteps.count)
    }

    @Test func `256 shards on 1 to 50 tickers: how even, and how much moves`() {
        var table = "tickers  largest/mean  moved by a join  moved by a leave  (of 256)\n"
        for count in 1...50 {
            let row = self.tableRow(count)
            let share = (256 + count) / (count + 1)
            // Shards are whole: with n tickers the fullest has at most one more than the mean, or a tenth.
            #expect(row.ratio <= max(1.1, 1 + Double(count) / 256), "\(count) tickers")
            // Nothing moves but what the newcomer gets, and what the leaver had.
            #expect(row.join <= share && row.leave <= share, "\(count) tickers")
            #expect(
                Double(row.join) >= 0.9 * Double(256 / (count + 1)), "\(count) tickers: a newcomer is not left idle")
            let ratio = Int((row.ratio * 1000).rounded())
            let decimals = "\(ratio / 1000)." + String("00\(ratio % 1000)".suffix(3))
            func pad(_ text: String, _ width: Int) -> String {
                String(repeating: " ", count: max(0, width - text.count)) + text
            }
            table += pad("\(count)", 7) + pad(decimals, 14) + pad("\(row.join)", 17) + pad("\(row.leave)", 18) + "\n"
        }
        print(table)
    }

    @Test func `a join moves no more than its share`() {
        let (placed, _) = self.settle(self.items(100), self.candidates(3))
        let (after, steps) = self.settle(placed, self.candidates(4))
        #expect(steps.allSatisfy { $0.reason == .rebalance && $0.to == incarnation(4) })
        #expect(steps.count <= 25)
        #expect(self.counts(after).values.allSatisfy { $0 <= 28 }, "nobody is above a tenth over 25")
    }

    @Test func `the number of planned moves is bounded, orphans are not`() {
        let owned = self.items(50, owner: incarnation(1))
        let orphans = (50..<80).map { Placement.Item(number: UInt16($0), owner: nil) }
        let steps = Placement.plan(
            items: owned + orphans, candidates: self.candidates(2), drainsMax: 16, rebalancesMax: 3)
        #expect(steps.count { $0.reason == .orphan } == 30)
        #expect(steps.count { $0.reason == .rebalance } <= 3)
    }

    @Test func `a leaving member is emptied, a closed one keeps and gets nothing`() {
        var candidates = self.candidates(3)
        candidates[0].standing = .leaving
        candidates[1].standing = .closed
        let items =
            self.items(4, owner: incarnation(1))
            + (4..<10).map { Placement.Item(number: UInt16($0), owner: incarnation(2)) }
        let (after, steps) = self.settle(items, candidates)
        #expect(steps.count == 4)
        #expect(steps.allSatisfy { $0.reason == .drain && $0.from == incarnation(1) && $0.to == incarnation(3) })
        #expect(self.counts(after) == [incarnation(2): 6, incarnation(3): 4])
    }

    @Test func `what is on its way is left alone`() {
        let items = (0..<10).map { Placement.Item(number: UInt16($0), owner: incarnation(1), isPinned: true) }
        #expect(self.settle(items, self.candidates(2)).steps == [])
    }

    @Test func `a heavy item alone does not travel`() {
        let items = [Placement.Item(number: 0, owner: incarnation(1), load: 100)]
        #expect(self.settle(items, self.candidates(2)).steps == [])
    }

    @Test func `heavy items go first`() {
        let items = [1.0, 1, 1, 1, 10, 6].enumerated().map {
            Placement.Item(number: UInt16($0.offset), owner: nil, load: $0.element)
        }
        let (placed, _) = self.settle(items, self.candidates(2))
        var loads: [Incarnation: Double] = [:]
        for item in placed { loads[item.owner ?? incarnation(0), default: 0] += item.load }
        #expect(loads.values.sorted() == [10, 10])
    }

    @Test func `no candidates, no plan`() {
        #expect(Placement.plan(items: self.items(4), candidates: [], drainsMax: 9, rebalancesMax: 9) == [])
    }

    @Test(arguments: 0..<30) func `a run of changes stays balanced, moves little and repeats itself`(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        var items = self.items(128)
        var alive: [UInt64] = [1]
        var next: UInt64 = 2
        for _ in 0..<30 {
            if alive.count > 1, Bool.random(using: &random) {
                alive.remove(at: Int.random(in: 0..<alive.count, using: &random))
            } else if alive.count < 12 {
                alive.append(next)
                next += 1
            }
            let candidates = alive.map { Placement.Candidate(incarnation: incarnation($0), node: NodeID("n\($0)")) }
            let orphans = items.count { item in !alive.contains { incarnation($0) == item.owner } }
            let (after, steps) = self.settle(items, candidates)
            #expect(steps == self.settle(items, candidates).steps, "not repeatable (seed \(seed))")
            let share = 128.0 / Double(alive.count)
            #expect(steps.count <= orphans + Int(share.rounded(.up)) + alive.count)
            let cap = max(share * 1.1, share.rounded(.up))
            #expect(self.counts(after).values.allSatisfy { Double($0) <= cap + 0.5 }, "seed \(seed)")
            #expect(after.allSatisfy { item in alive.contains { incarnation($0) == item.owner } })
            items = after
        }
    }
}
