import EscapementModel

/// What a `Slab` holds.
protocol SlabRecord: Sendable {
    var uid: UID { get }
}

/// Records by a small number and by uid, for hundreds of thousands of them: what a shard holds in memory.
///
/// A number stays a record's own until it is removed and is given again later. Several records may have one
/// uid. The index is a table of numbers with open addressing, which asks the records themselves for their
/// uids: 6 to 11 bytes a record, where a dictionary by uid takes 30 and more. Every door is O(1), but for
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

    /// The record of a number; may be changed in place, but for its uid. `nil` when it is not in use.
    subscript(number: UInt32) -> Record? {
        _read { yield self.records[Int(number)] }
        _modify { yield &self.records[Int(number)] }
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
        self.enter(number, record.uid)
        return number
    }

    /// Forgets a record; nothing happens when the number is not in use.
    mutating func remove(_ number: UInt32) {
        guard let uid = self.records[Int(number)]?.uid else { return }
        let mask = self.table.count - 1
        var hole = self.home(uid)
        while self.table[hole] != number { hole = (hole + 1) & mask }
        // What was pushed past the hole comes back, so that a search may end at the first empty place.
        var next = (hole + 1) & mask
        while self.table[next] != Self.empty {
            if let moved = self.records[Int(self.table[next])]?.uid {
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

    /// The number of a record with this uid that `isWanted` accepts.
    func number(of uid: UID, where isWanted: (Record) -> Bool = { _ in true }) -> UInt32? {
        guard !self.table.isEmpty else { return nil }
        var place = self.home(uid)
        while self.table[place] != Self.empty {
            let number = self.table[place]
            if let record = self.records[Int(number)], record.uid == uid, isWanted(record) { return number }
            place = (place + 1) & (self.table.count - 1)
        }
        return nil
    }

    mutating func removeAll() { self = Slab() }

    private func home(_ uid: UID) -> Int {
        // Uids are drawn at random, but a shard's have bits in common: all of them are mixed.
        let mixed = (uid.high ^ (uid.low << 32 | uid.low >> 32)) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> 32) & (self.table.count - 1)
    }

    private mutating func enter(_ number: UInt32, _ uid: UID) {
        var place = self.home(uid)
        while self.table[place] != Self.empty { place = (place + 1) & (self.table.count - 1) }
        self.table[place] = number
    }

    private mutating func grow() {
        self.table = Array(repeating: Self.empty, count: max(Self.tableMin, self.table.count * 2))
        for (number, record) in self.records.enumerated() {
            if let record { self.enter(UInt32(number), record.uid) }
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
            // Every one is reached by its uid; among several, by asking for the number itself.
            var place = self.home(record.uid)
            while self.table[place] != UInt32(number) {
                precondition(self.table[place] != Self.empty, "record \(number) is not found by its uid")
                place = (place + 1) & (self.table.count - 1)
            }
        }
    }
}
