package import EscapementModel

/// A hierarchical timing wheel: 11 levels of 64 slots, 1 ms per tick, reach 2^64 ms.
///
/// An entry waits on the level of the highest 6-bit digit in which its due instant differs from the
/// wheel's position, and moves down as the position reaches its digit. `insert` and `remove` are O(1);
/// `advance` is O(expired + moved), empty stretches are skipped by the occupancy bitmaps; `nextDue`
/// is O(levels). Entries live in one slab and are linked by 32-bit indices. After G. Varghese,
/// T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987.
package struct TimerWheel: Sendable {
    /// Names one insertion: a handle whose entry has expired or was removed names nothing any more.
    package struct Handle: Hashable, Sendable {
        fileprivate var index: UInt32
        fileprivate var generation: UInt32
    }

    /// An expired entry.
    package struct Expired: Hashable, Sendable {
        package var token: UInt32
        package var due: WallInstant
    }

    private struct Entry {
        var due: UInt64
        var token: UInt32
        var generation: UInt32
        var next: UInt32
        var previous: UInt32
        /// Level and slot, or `free`.
        var place: UInt16
    }

    private static let bitsPerLevel: UInt64 = 6
    private static let slotsPerLevel = 64
    private static let levelCount = 11
    private static let none = UInt32.max
    private static let free = UInt16.max
    /// Milliseconds since 1970 may be negative; the wheel counts from the smallest `Int64`.
    private static let origin = UInt64(1) << 63

    private var entries: [Entry] = []
    private var firstFree = Self.none
    private var heads: [UInt32]
    private var occupancy: [UInt64]
    private var position: UInt64
    package private(set) var count = 0

    /// - Parameter now: where the wheel starts; nothing may be due at or before it.
    package init(now: WallInstant) {
        self.heads = Array(repeating: Self.none, count: Self.levelCount * Self.slotsPerLevel)
        self.occupancy = Array(repeating: 0, count: Self.levelCount)
        self.position = Self.ticks(now)
    }

    /// The instant up to which everything has expired.
    package var now: WallInstant { Self.instant(self.position) }

    /// Adds an entry that carries `token`.
    ///
    /// - Precondition: `due > now`: the caller fires what is already due. At most 2^32 - 1 entries.
    package mutating func insert(due: WallInstant, token: UInt32) -> Handle {
        let ticks = Self.ticks(due)
        precondition(ticks > self.position, "due \(due) is not after the wheel's position \(self.now)")
        let index: UInt32
        if self.firstFree != Self.none {
            index = self.firstFree
            self.firstFree = self.entries[Int(index)].next
            self.entries[Int(index)].due = ticks
            self.entries[Int(index)].token = token
        } else {
            index = UInt32(self.entries.count)
            self.entries.append(
                Entry(due: ticks, token: token, generation: 0, next: Self.none, previous: Self.none, place: Self.free))
        }
        self.link(index)
        self.count += 1
        return Handle(index: index, generation: self.entries[Int(index)].generation)
    }

    /// Takes an entry out; `false` when it has expired or was removed before.
    @discardableResult package mutating func remove(_ handle: Handle) -> Bool {
        let index = Int(handle.index)
        guard index < self.entries.count, self.entries[index].generation == handle.generation,
            self.entries[index].place != Self.free
        else { return false }
        self.unlink(handle.index)
        self.release(handle.index)
        return true
    }

    /// Moves the position to `now` and appends what fell due, in order of due instant.
    ///
    /// A `now` before the position changes nothing: time never runs backwards here.
    package mutating func advance(to now: WallInstant, expired: inout [Expired]) {
        let target = Self.ticks(now)
        while let due = self.nextDueTicks, due <= target {
            // The first occupied slot: everything before it is empty, so the position may jump there.
            self.position = due
            self.expireOrMoveDown(expired: &expired)
        }
        if target > self.position {
            self.position = target
        }
    }

    /// An instant no later than the earliest due one, and later than `now`; `nil` when empty. Exact when
    /// the entry is within 64 ms, otherwise the start of its slot: waking there moves it down.
    package var nextDue: WallInstant? { self.nextDueTicks.map(Self.instant) }

    /// Checks every link, bitmap and level. O(entries); for tests.
    package func checkInvariants() {
        var seen = 0
        for level in 0..<Self.levelCount {
            for slot in 0..<Self.slotsPerLevel {
                let place = level * Self.slotsPerLevel + slot
                var index = self.heads[place]
                let bit = self.occupancy[level] >> UInt64(slot) & 1
                precondition((index != Self.none) == (bit == 1), "bitmap of level \(level) slot \(slot) is wrong")
                var previous = Self.none
                while index != Self.none {
                    let entry = self.entries[Int(index)]
                    precondition(entry.previous == previous, "broken link at \(index)")
                    precondition(Int(entry.place) == place, "entry \(index) is filed elsewhere")
                    precondition(entry.due > self.position, "entry \(index) is overdue")
                    precondition(
                        Self.level(position: self.position, due: entry.due) == level,
                        "entry \(index) is on a wrong level")
                    precondition(Self.slot(level: level, due: entry.due) == slot, "entry \(index) is in a wrong slot")
                    seen += 1
                    previous = index
                    index = entry.next
                }
            }
        }
        precondition(seen == self.count, "\(seen) entries linked, \(self.count) counted")
    }

    private static func ticks(_ instant: WallInstant) -> UInt64 {
        UInt64(bitPattern: instant.milliseconds) ^ self.origin
    }

    private static func instant(_ ticks: UInt64) -> WallInstant {
        WallInstant(milliseconds: Int64(bitPattern: ticks ^ self.origin))
    }

    private static func level(position: UInt64, due: UInt64) -> Int {
        (63 - (position ^ due).leadingZeroBitCount) / Int(self.bitsPerLevel)
    }

    private static func slot(level: Int, due: UInt64) -> Int {
        Int(due >> (UInt64(level) * self.bitsPerLevel) & UInt64(self.slotsPerLevel - 1))
    }

    /// The start of the first occupied slot after the position. The lowest occupied level holds it:
    /// what waits on a higher level differs in a higher digit and is therefore later.
    private var nextDueTicks: UInt64? {
        for level in 0..<Self.levelCount where self.occupancy[level] != 0 {
            let shift = UInt64(level) * Self.bitsPerLevel
            let slot = UInt64(self.occupancy[level].trailingZeroBitCount)
            // A smart shift by 64 or more gives zero, as the topmost level needs.
            let digitsAbove = self.position & ~((UInt64(1) << (shift + Self.bitsPerLevel)) &- 1)
            return digitsAbove | (slot << shift)
        }
        return nil
    }

    private mutating func expireOrMoveDown(expired: inout [Expired]) {
        for level in 0..<Self.levelCount {
            let slot = Self.slot(level: level, due: self.position)
            let place = level * Self.slotsPerLevel + slot
            var index = self.heads[place]
            guard index != Self.none else { continue }
            self.heads[place] = Self.none
            self.occupancy[level] &= ~(1 << UInt64(slot))
            while index != Self.none {
                let next = self.entries[Int(index)].next
                if self.entries[Int(index)].due == self.position {
                    expired.append(
                        Expired(token: self.entries[Int(index)].token, due: Self.instant(self.position)))
                    self.release(index)
                } else {
                    self.link(index)
                }
                index = next
            }
        }
    }

    private mutating func link(_ index: UInt32) {
        let due = self.entries[Int(index)].due
        let level = Self.level(position: self.position, due: due)
        let slot = Self.slot(level: level, due: due)
        let place = level * Self.slotsPerLevel + slot
        let head = self.heads[place]
        self.entries[Int(index)].next = head
        self.entries[Int(index)].previous = Self.none
        self.entries[Int(index)].place = UInt16(place)
        if head != Self.none { self.entries[Int(head)].previous = index }
        self.heads[place] = index
        self.occupancy[level] |= 1 << UInt64(slot)
    }

    private mutating func unlink(_ index: UInt32) {
        let entry = self.entries[Int(index)]
        if entry.previous == Self.none {
            self.heads[Int(entry.place)] = entry.next
            if entry.next == Self.none {
                let level = Int(entry.place) / Self.slotsPerLevel
                self.occupancy[level] &= ~(1 << UInt64(Int(entry.place) % Self.slotsPerLevel))
            }
        } else {
            self.entries[Int(entry.previous)].next = entry.next
        }
        if entry.next != Self.none { self.entries[Int(entry.next)].previous = entry.previous }
    }

    private mutating func release(_ index: UInt32) {
        self.entries[Int(index)].place = Self.free
        self.entries[Int(index)].generation &+= 1
        self.entries[Int(index)].next = self.firstFree
        self.firstFree = index
        self.count -= 1
    }
}
