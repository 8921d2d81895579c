/// Which fires of a partition are settled: all before an offset, and stretches beyond it.
///
/// **Invariants.** `next` never decreases; stretches are sorted, apart from each other and beyond `next`.
package struct SettledOffsets: Equatable, Sendable {
    /// All fires before this offset are settled.
    package private(set) var next: Int64
    /// Offsets beyond `next` between which all are settled.
    package private(set) var stretches: [Range<Int64>]

    /// - Parameter stretches: sorted, apart from each other and beyond `next`.
    package init(next: Int64 = 0, stretches: [Range<Int64>] = []) {
        self.next = next
        self.stretches = stretches
    }

    /// Whether the fire at `offset` is settled. O(log stretches).
    package func contains(_ offset: Int64) -> Bool {
        if offset < self.next { return true }
        let index = self.firstStretch(endingAfter: offset)
        return index < self.stretches.count && self.stretches[index].contains(offset)
    }

    /// Whether all of `range` is settled.
    package func contains(all range: Range<Int64>) -> Bool {
        let rest = max(range.lowerBound, self.next)..<max(range.upperBound, self.next)
        let index = self.firstStretch(endingAfter: rest.lowerBound)
        return rest.isEmpty
            || index < self.stretches.count && self.stretches[index].lowerBound <= rest.lowerBound
                && rest.upperBound <= self.stretches[index].upperBound
    }

    /// Nothing before `offset` waits.
    package mutating func advance(to offset: Int64) {
        self.next = max(self.next, offset)
        self.absorb()
    }

    /// Nothing in `new` waits. O(stretches), for the last ones O(log stretches).
    package mutating func settle(_ new: Range<Int64>) {
        guard !new.isEmpty, new.upperBound > self.next else { return }
        if new.lowerBound <= self.next { return self.advance(to: new.upperBound) }
        // What touches becomes one.
        let first = self.firstStretch(endingAfter: new.lowerBound - 1)
        var last = first
        var lower = new.lowerBound
        var upper = new.upperBound
        while last < self.stretches.count, self.stretches[last].lowerBound <= new.upperBound {
            lower = min(lower, self.stretches[last].lowerBound)
            upper = max(upper, self.stretches[last].upperBound)
            last += 1
        }
        self.stretches.replaceSubrange(first..<last, with: CollectionOfOne(lower..<upper))
    }

    /// Settled here or there.
    package func union(_ other: SettledOffsets) -> SettledOffsets {
        var all = self
        all.advance(to: other.next)
        for stretch in other.stretches { all.settle(stretch) }
        return all
    }

    /// Index of the first stretch whose upper bound lies beyond `offset`.
    private func firstStretch(endingAfter offset: Int64) -> Int {
        var low = 0
        var high = self.stretches.count
        while low < high {
            let middle = (low + high) / 2
            if self.stretches[middle].upperBound <= offset { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func absorb() {
        var count = 0
        while count < self.stretches.count, self.stretches[count].lowerBound <= self.next {
            self.next = max(self.next, self.stretches[count].upperBound)
            count += 1
        }
        self.stretches.removeFirst(count)
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
