import EscapementModel

/// What a `Slab` holds.
protocol SlabRecord: Sendable {
    /// What it is found by; several may have one.
    var key: UID { get }
}

/// Records by a small number and by key, for hundreds of thousands of them: what a shard holds in memory.
///
/// A number stays a record's own until it is removed and is given again later. Several records may have one
/// key. The index is a table of numbers with open addressing, which asks the records themselves for their
/// keys: 6 to 11 bytes a record, where a dictionary by uid takes 30 and more. Every door is O(1), but for
/// `insert` when the table doubles.
struct Slab<Record: SlabRecord>: Sendable {
    private static var empty: UInt32 { .max }
    private static var tableMin: Int { 8 }

    private var records: [Record?] = []
    private var free: [UInt32] = []
    /// Empty, or a power of two of which at most three quarters are taken.
    private var table: [UInt32] = []

    /// Records held.
    var count: Int { self.records.count - self.free.count }
    /// The numbers that may be in use, in order.
    var numbers: Range<UInt32> { 0..<UInt32(self.records.count) }

    /// The record of a number; `nil` when it is not in use.
    subscript(number: UInt32) -> Record? { self.records[Int(number)] }

    /// Changes a record in place, but for its key; nothing happens when the number is not in use.
    @inline(__always) mutating func update(_ number: UInt32, _ change: (inout Record) -> Void) {
        // Not by an accessor that yields: its frame would be allocated at each call.
        guard var record = self.records[Int(number)] else { return }
        change(&record)
        self.records[Int(number)] = record
    }

    /// Keeps a record; its number.
    ///
    /// - Precondition: fewer than 2^31 records.
    mutating func insert(_ record: Record) -> UInt32 {
        if (self.count + 1) * 4 > self.table.count * 3 { self.grow() }
        let number: UInt32
        if let free = self.free.popLast() {
            number = free
            self.records[Int(number)] = record
        } else {
            precondition(self.records.count < Int(Int32.max), "a shard of 2^31 records")
            number = UInt32(self.records.count)
            self.records.append(record)
        }
        self.enter(number, record.key)
        return number
    }

    /// Forgets a record; nothing happens when the number is not in use.
    mutating func remove(_ number: UInt32) {
        guard let key = self.records[Int(number)]?.key else { return }
        let mask = self.table.count - 1
        var hole = self.home(key)
        while self.table[hole] != number { hole = (hole + 1) & mask }
        // What was pushed past the hole comes back, so that a search may end at the first empty place.
        var next = (hole + 1) & mask
        while self.table[next] != Self.empty {
            if let moved = self.records[Int(self.table[next])]?.key {
                let home = self.home(moved)
                if (next &- home) & mask >= (next &- hole) & mask {
                    self.table[hole] = self.table[next]
                    hole = next
                }
            }
            next = (next + 1) & mask
        }
        self.table[hole] = Self.empty
        self.records[Int(number)] = nil
        self.free.append(number)
    }

    /// The number of a record with this key that `isWanted`, given its number and it, accepts.
    func number(of key: UID, where isWanted: (UInt32, Record) -> Bool = { _, _ in true }) -> UInt32? {
        guard !self.table.isEmpty else { return nil }
        var place = self.home(key)
        while self.table[place] != Self.empty {
            let number = self.table[place]
            if let record = self.records[Int(number)], record.key == key, isWanted(number, record) { return number }
            place = (place + 1) & (self.table.count - 1)
        }
        return nil
    }

    mutating func removeAll() { self = Slab() }

    private func home(_ key: UID) -> Int {
        // Uids are drawn at random, but a shard's have bits in common: all of them are mixed.
        let mixed = (key.high ^ (key.low << 32 | key.low >> 32)) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> 32) & (self.table.count - 1)
    }

    private mutating func enter(_ number: UInt32, _ key: UID) {
        var place = self.home(key)
        while self.table[place] != Self.empty { place = (place + 1) & (self.table.count - 1) }
        self.table[place] = number
    }

    private mutating func grow() {
        self.table = Array(repeating: Self.empty, count: max(Self.tableMin, self.table.count * 2))
        for (number, record) in self.records.enumerated() {
            if let record { self.enter(UInt32(number), record.key) }
        }
    }

    /// Checks the index against the records; for tests. O(records).
    func checkInvariants() {
        precondition(Set(self.free).count == self.free.count, "a number is free twice")
        var found = 0
        for number in self.table where number != Self.empty {
            precondition(self.records[Int(number)] != nil, "the index names \(number), which is free")
            found += 1
        }
        precondition(found == self.count, "\(found) records are indexed, \(self.count) held")
        for (number, record) in self.records.enumerated() {
            guard let record else { continue }
            // Every one is reached by its key; among several, by asking for the number itself.
            var place = self.home(record.key)
            while self.table[place] != UInt32(number) {
                precondition(self.table[place] != Self.empty, "record \(number) is not found by its key")
                place = (place + 1) & (self.table.count - 1)
            }
        }
    }
}
