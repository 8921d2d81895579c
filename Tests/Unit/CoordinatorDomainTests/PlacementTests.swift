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

    private func loads(_ items: [Placement.Item]) -> [Incarnation: Double] {
        items.reduce(into: [:]) { loads, item in if let owner = item.owner { loads[owner, default: 0] += item.load } }
    }

    /// One line of the table: how even the load is with so many tickers, and what a join and a leave move.
    private func tableRow(_ items: [Placement.Item], _ count: Int) -> (ratio: Double, join: Int, leave: Int) {
        let (placed, _) = self.settle(items, self.candidates(count))
        let total = items.reduce(0) { $0 + $1.load }
        let largest = self.loads(placed).values.max() ?? 0
        let (joined, joinSteps) = self.settle(placed, self.candidates(count + 1))
        let (_, leaveSteps) = self.settle(joined, self.candidates(count))
        return (largest * Double(count) / total, joinSteps.count, leaveSteps.count)
    }

    private func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private func decimals(_ ratio: Double) -> String {
        let thousandths = Int((ratio * 1000).rounded())
        return "\(thousandths / 1000)." + String("00\(thousandths % 1000)".suffix(3))
    }

    @Test func `256 shards on 1 to 50 tickers: how even, and how much moves`() {
        var table = "tickers  largest/mean  moved by a join  moved by a leave  (of 256)\n"
        for count in 1...50 {
            let row = self.tableRow(self.items(256), count)
            let share = (256 + count) / (count + 1)
            // Shards are whole: with n tickers the fullest has at most one more than the mean, or a tenth.
            #expect(row.ratio <= max(1.1, 1 + Double(count) / 256), "\(count) tickers")
            // Nothing moves but what the newcomer gets, and what the leaver had.
            #expect(row.join <= share && row.leave <= share, "\(count) tickers")
            #expect(
                Double(row.join) >= 0.9 * Double(256 / (count + 1)), "\(count) tickers: a newcomer is not left idle")
            table += self.padded("\(count)", 7) + self.padded(self.decimals(row.ratio), 14)
            table += self.padded("\(row.join)", 17) + self.padded("\(row.leave)", 18) + "\n"
        }
        print(table)
    }

    /// Most shards are idle, some are busy, a few very: the n-th has a share that falls as 1/n.
    private func skewed(_ count: Int) -> [Placement.Item] {
        (0..<count).map { index in
            // Spread over the numbers, so that neighbours are not alike.
            let rank = Double(index * 97 % count + 1)
            return Placement.Item(number: UInt16(index), owner: nil, load: 1 + 12 / rank)
        }
    }

    @Test func `256 shards of unlike weight on 1 to 50 tickers: how even, and how much moves`() {
        var table = "tickers  largest/mean  heaviest/mean  moved by a join  moved by a leave  (of 256, weighted)\n"
        let items = self.skewed(256)
        let total = items.reduce(0) { $0 + $1.load }
        for count in 1...50 {
            let row = self.tableRow(items, count)
            let share = total / Double(count)
            let heaviest = (items.map(\.load).max() ?? 0) / share
            // Nobody is fuller than a tenth above the share, unless one shard alone makes it so.
            #expect(row.ratio <= max(1.1, heaviest + 1e-9), "\(count) tickers")
            // What moves is bounded by number too: the newcomer's share of the shards, and as much again for their weights.
            #expect(row.join <= 2 * (256 / (count + 1)) + 2, "\(count) tickers: \(row.join) moved by a join")
            #expect(row.leave <= 2 * (256 / (count + 1)) + 2, "\(count) tickers: \(row.leave) moved by a leave")
            table += self.padded("\(count)", 7) + self.padded(self.decimals(row.ratio), 14)
            table += self.padded(self.decimals(heaviest), 15)
            table += self.padded("\(row.join)", 17) + self.padded("\(row.leave)", 18) + "\n"
        }
        print(table)
    }

    @Test func `a shard that outweighs a share keeps nobody else from being balanced`() {
        let items =
            [Item(number: 0, owner: incarnation(1), load: 100)]
            + (1..<31).map { Item(number: $0, owner: incarnation(UInt64($0 % 2) + 2)) }
        let (after, steps) = self.settle(items, self.candidates(4))
        #expect(self.counts(after)[incarnation(1)] == 1, "whoever has it has enough")
        #expect(self.loads(after)[incarnation(4)] == 10, "the newcomer has a third of the rest")
        #expect(steps.count == 10)
    }

    @Test func `whoever has a shard that outweighs a share is relieved of the others`() {
        let items =
            [Item(number: 0, owner: incarnation(1), load: 100)]
            + (1..<21).map { Item(number: $0, owner: incarnation(1)) }
        let (after, _) = self.settle(items, self.candidates(3))
        let heavy = after[0].owner
        #expect(after.dropFirst().allSatisfy { $0.owner != heavy })
        #expect(self.counts(after).values.sorted() == [1, 10, 10])
        #expect(self.settle(after, self.candidates(3)).steps == [], "and then nothing moves")
    }

    @Test(arguments: 0..<20) func `weights that waver within a tenth move nothing`(seed: Int) {
        var random = SeededRandom(seed: UInt64(seed))
        let (placed, _) = self.settle(self.skewed(256), self.candidates(8))
        let wavering = placed.map { item in
            var item = item
            item.load *= Double.random(in: 0.95...1.05, using: &random)
            return item
        }
        #expect(self.settle(wavering, self.candidates(8)).steps == [], "seed \(seed)")
    }

    private func item(_ number: UInt16, _ owner: UInt64, barred: [UInt64], load: Double = 1) -> Item {
        Item(number: number, owner: incarnation(owner), load: load, barred: Set(barred.map { incarnation($0) }))
    }

    @Test func `what its owner is barred from goes to the lightest one that is not`() {
        let items = (0..<8).map { self.item($0, 1, barred: $0 < 4 ? [1, 2] : []) }
        let steps = Placement.plan(items: items, candidates: self.candidates(3), drainsMax: 3, rebalancesMax: 0)
        #expect(steps.count == 3, "as many as may move at a time")
        #expect(steps.allSatisfy { $0.reason == .unreachable && $0.to == incarnation(3) && $0.number < 4 })
        #expect(self.settle(items, self.candidates(3)).items.prefix(4).allSatisfy { $0.owner == incarnation(3) })
    }

    @Test func `what everybody is barred from stays, and an orphan is somebody's`() {
        let items = (0..<4).map { self.item($0, 1, barred: [1, 2]) }
        let steps = Placement.plan(items: items, candidates: self.candidates(2), drainsMax: 9, rebalancesMax: 0)
        #expect(steps == [])
        var orphan = items[0]
        orphan.owner = nil
        #expect(self.settle([orphan], self.candidates(2)).items[0].owner != nil)
    }

    @Test func `balance gives nobody what it is barred from, and goes round it`() {
        // The newcomer is barred from all that the first one has; the second one has the rest.
        let items = (0..<12).map { self.item($0, $0 < 6 ? 1 : 2, barred: $0 < 6 ? [3] : []) }
        let (after, steps) = self.settle(items, self.candidates(3))
        #expect(!steps.contains { $0.to == incarnation(3) && $0.number < 6 })
        #expect(self.counts(after) == [incarnation(1): 6, incarnation(2): 4, incarnation(3): 2])
        #expect(self.settle(after, self.candidates(3)).steps == [], "and then nothing moves")
    }

    @Test func `a member that leaves is emptied even of what others are barred from`() {
        var candidates = self.candidates(2)
        candidates[0].standing = .leaving
        let steps = self.settle([self.item(0, 1, barred: [2])], candidates).steps
        #expect(steps.map(\.reason) == [.drain])
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
