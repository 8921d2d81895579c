import EscapementModel
import TestSupport
import Testing
import TickerDomain

/// A wheel and a plain sorted list that do the same things, drawn from a seed.
struct WheelAndReference: ~Copyable {
    private struct Item {
        var token: UInt32
        var due: Int64
        var handle: TimerWheel.Handle
    }

    var wheel: TimerWheel
    private let seed: UInt64
    private let reachBits: ClosedRange<UInt64>
    private var random: SeededRandom
    private var now: Int64 = 1_795_397_400_000
    /// In order of due instant.
    private var items: [Item] = []
    private var spent: [TimerWheel.Handle] = []
    private var nextToken: UInt32 = 0
    /// Alternates, so that the wheel fills and empties again.
    private var isGrowing = true

    init(seed: UInt64, reachBits: ClosedRange<UInt64>) {
        self.seed = seed
        self.reachBits = reachBits
        self.random = SeededRandom(seed: seed)
        // Wheels of every phase do the same.
        let phase = Int64(self.random.next() >> (40 + self.random.next() % 24))
        self.wheel = TimerWheel(now: WallInstant(milliseconds: self.now), phase: phase)
    }

    mutating func step() {
        if self.items.count > 3000 { self.isGrowing = false }
        if self.items.count < 20 { self.isGrowing = true }
        switch UInt64.random(in: 0..<100, using: &self.random) {
        case 0..<(self.isGrowing ? 60 : 25): self.insert()
        case 60..<90, 0..<60: self.remove()
        default: self.advance(by: self.draw(self.reachBits))
        }
        self.checkNextDue()
    }

    /// Everything that is left expires.
    mutating func finish() {
        self.advance(by: 1 << 52)
        #expect(self.items.isEmpty && self.wheel.count == 0, "seed \(self.seed)")
        self.wheel.checkInvariants()
    }

    private mutating func draw(_ bits: ClosedRange<UInt64>) -> Int64 {
        let exponent = UInt64.random(in: bits, using: &self.random)
        return 1 + Int64(UInt64.random(in: 0..<(1 << exponent), using: &self.random))
    }

    private mutating func insert() {
        let due = self.now + self.draw(self.reachBits)
        let handle = self.wheel.insert(due: WallInstant(milliseconds: due), token: self.nextToken)
        var low = 0
        var high = self.items.count
        while low < high {
            let middle = (low + high) / 2
            if self.items[middle].due <= due { low = middle + 1 } else { high = middle }
        }
        self.items.insert(Item(token: self.nextToken, due: due, handle: handle), at: low)
        self.nextToken += 1
    }

    private mutating func remove() {
        if let old = self.spent.last, UInt64.random(in: 0..<8, using: &self.random) == 0 {
            let isRemoved = self.wheel.remove(old)
            if isRemoved { Issue.record("a spent handle removed something, seed \(self.seed)") }
        }
        guard !self.items.isEmpty else { return }
        let index = Int(UInt64.random(in: 0..<UInt64(self.items.count), using: &self.random))
        let item = self.items.remove(at: index)
        let isRemoved = self.wheel.remove(item.handle)
        if !isRemoved { Issue.record("entry \(item.token) was lost, seed \(self.seed)") }
        self.spent = [item.handle]
    }

    private mutating func advance(by milliseconds: Int64) {
        self.now += milliseconds
        var expired: [TimerWheel.Expired] = []
        self.wheel.advance(to: WallInstant(milliseconds: self.now), expired: &expired)
        let due = self.items.prefix { $0.due <= self.now }
        let isSame = expired.map { self.wheel.due(of: $0).milliseconds } == due.map(\.due)
        if !isSame { Issue.record("other instants expired than were due, seed \(self.seed)") }
        if Set(expired.map(\.token)) != Set(due.map(\.token)) {
            Issue.record("others expired than were due, seed \(self.seed)")
        }
        if let last = due.last { self.spent = [last.handle] }
        self.items.removeFirst(due.count)
        if self.wheel.count != self.items.count { Issue.record("miscounted, seed \(self.seed)") }
    }

    private func checkNextDue() {
        let next = self.wheel.nextDue?.milliseconds
        guard let earliest = self.items.first?.due else { return }
        guard let next, next > self.now, next <= earliest else {
            Issue.record("next due \(next ?? -1) at \(self.now), earliest \(earliest), seed \(self.seed)")
            return
        }
        if earliest >> 8 == self.now >> 8, next >> 8 != self.now >> 8 {
            Issue.record("the open window was overlooked, seed \(self.seed)")
        }
    }
}
