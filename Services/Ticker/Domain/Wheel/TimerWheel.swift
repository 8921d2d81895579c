package import EscapementModel
import PageMemory

/// A hierarchical timing wheel of 1 ms ticks: a window of 256 ms, and above it 7 levels of 256 slots,
/// which together reach 2^64 ms.
///
/// An entry waits on the level of the highest 8-bit digit in which its window differs from the wheel's
/// position. Slots of the upper levels are chains of chunks, 32 entries of 16 bytes each, so that filing
/// an entry is one write at the end of a contiguous run, and moving a slot down reads memory in order.
/// When the position enters a window, the window's entries are sorted by counting into one contiguous
/// buffer; each millisecond is then handed to the caller as a slice of it. Entries that are inserted into
/// the open window wait in short chains of their millisecond.
///
/// Removing an entry touches only its generation in a side array (odd: removed); the entry itself is
/// dropped when its millisecond comes. So that removals do not hold memory for long, each one also clears
/// one chunk while more than half of what is filed is dead (`TimerWheel+Compaction`).
///
/// `insert` and `remove` are O(1), `advance` is O(expired + moved), empty stretches are skipped by
/// occupancy bitmaps, `nextDue` is O(levels). Nothing is allocated but blocks of memory as the wheel
/// grows; nothing that has been filed is copied for growth. 20 bytes a timer, 8 more once it has expired.
///
/// After G. Varghese, T. Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987. `@unchecked Sendable`:
/// the memory has one owner, which is this value, and goes where it goes.
package struct TimerWheel: ~Copyable, @unchecked Sendable {
    /// Names one insertion: a handle whose entry has expired or was removed names nothing any more.
    ///
    /// Good for 2^31 uses of one place; a handle kept for longer may name a stranger.
    package struct Handle: Hashable, Sendable {
        var id: UInt32
        var generation: UInt32
    }

    /// An entry, as it waits and as it is handed out.
    package struct Expired: BitwiseCopyable, Hashable, Sendable {
        var ticks: UInt64
        package var token: UInt32
        var id: UInt32
    }

    /// An entry that was inserted into the open window.
    struct Node: BitwiseCopyable {
        var entry: Expired
        var next: UInt32
    }

    static let windowBits: UInt64 = 8
    static let windowSlots = 256
    static let bitsPerLevel: UInt64 = 8
    static let slotsPerLevel = 256
    static let wordsPerLevel = slotsPerLevel / 64
    /// Enough 8-bit digits for the 56 bits above the window.
    static let levelCount = 7
    /// Milliseconds since 1970 may be negative; the wheel counts from the smallest `Int64`.
    private static let origin = UInt64(1) << 63

    /// Ticks by which this wheel is ahead of the clock: where its slots begin.
    private let phase: Int64
    var position: UInt64
    /// Entries that will expire.
    package internal(set) var count = 0
    /// Entries that were removed and are still filed.
    var deadCount = 0

    // The side array of generations, even for a live id, and the ids that are free with theirs.
    var generations = GrowingSlab<UInt32>(.large)
    var idCount = 0
    var freed = GrowingSlab<UInt64>(.small)
    var freedCount = 0

    // Upper levels.
    let slots: UnsafeMutablePointer<WheelChunk.Slot>
    let occupancy: UnsafeMutablePointer<UInt64>
    var chunks = GrowingSlab<Expired>(.small)
    var links = GrowingSlab<WheelChunk.Link>(.small)
    var chunkCount = 0
    var firstFreeChunk = WheelChunk.none
    var compactionCursor = 0

    // The open window.
    var window: UnsafeMutablePointer<Expired>
    var windowCapacity = 0
    /// Where each millisecond's slice of `window` starts and ends.
    let windowStarts: UnsafeMutablePointer<UInt32>
    let windowEnds: UnsafeMutablePointer<UInt32>
    let windowOccupancy: UnsafeMutablePointer<UInt64>
    let nodeHeads: UnsafeMutablePointer<UInt32>
    var nodes = GrowingSlab<Node>(.small)
    var nodeCount = 0
    var firstFreeNode = WheelChunk.none
    /// Where a chain is gathered before it is handed out.
    let scratch: UnsafeMutablePointer<Expired>
    static let scratchMax = 64
    /// The generations of one chunk's entries, on their way.
    let readGenerations: UnsafeMutablePointer<UInt32>

    /// - Parameters:
    ///   - now: where the wheel starts; nothing may be due at or before it.
    ///   - phase: milliseconds, not negative, by which its slots begin earlier than those of a wheel with phase 0. Wheels of
    ///     different phases move what they hold down their levels at different instants, so that a thread that turns many
    ///     does not do it for all of them at once.
    package init(now: WallInstant, phase: Int64 = 0) {
        precondition(phase >= 0, "a wheel's phase is \(phase)")
        self.phase = phase
        self.position = Self.ticks(now, phase)
        self.slots = .allocate(capacity: Self.levelCount * Self.slotsPerLevel)
        self.slots.initialize(repeating: .empty, count: Self.levelCount * Self.slotsPerLevel)
        self.occupancy = .allocate(capacity: Self.levelCount * Self.wordsPerLevel)
        self.occupancy.initialize(repeating: 0, count: Self.levelCount * Self.wordsPerLevel)
        self.window = .allocate(capacity: 0)
        self.windowStarts = .allocate(capacity: Self.windowSlots)
        self.windowStarts.initialize(repeating: 0, count: Self.windowSlots)
        self.windowEnds = .allocate(capacity: Self.windowSlots)
        self.windowEnds.initialize(repeating: 0, count: Self.windowSlots)
        self.windowOccupancy = .allocate(capacity: Self.windowSlots / 64)
        self.windowOccupancy.initialize(repeating: 0, count: Self.windowSlots / 64)
        self.nodeHeads = .allocate(capacity: Self.windowSlots)
        self.nodeHeads.initialize(repeating: WheelChunk.none, count: Self.windowSlots)
        self.scratch = .allocate(capacity: Self.scratchMax)
        self.readGenerations = .allocate(capacity: WheelChunk.entriesMax)
    }

    deinit {
        self.slots.deallocate()
        self.occupancy.deallocate()
        self.window.deallocate()
        self.windowStarts.deallocate()
        self.windowEnds.deallocate()
        self.windowOccupancy.deallocate()
        self.nodeHeads.deallocate()
        self.scratch.deallocate()
        self.readGenerations.deallocate()
    }

    /// Entries that have memory: live ones, and removed ones that are not cleared yet.
    package var filedCount: Int { self.count + self.deadCount }

    /// The instant up to which everything has expired.
    package var now: WallInstant { self.instant(self.position) }

    /// Adds an entry that carries `token`.
    ///
    /// - Precondition: `due > now`: the caller fires what is already due. At most 2^32 - 1 entries.
    package mutating func insert(due: WallInstant, token: UInt32) -> Handle {
        let ticks = Self.ticks(due, self.phase)
        precondition(ticks > self.position, "due is not after the wheel's position")
        let handle = self.takeID()
        self.file(Expired(ticks: ticks, token: token, id: handle.id))
        self.count &+= 1
        return handle
    }

    /// Takes an entry out; `false` when it has expired or was removed before.
    @discardableResult package mutating func remove(_ handle: Handle) -> Bool {
        guard Int(handle.id) < self.idCount else { return false }
        let generation = self.generations.address(Int(handle.id))
        guard generation.pointee == handle.generation else { return false }
        generation.pointee = handle.generation &+ 1
        self.count &-= 1
        self.deadCount &+= 1
        if self.deadCount > self.count { self.compactOneChunk() }
        return true
    }

    /// Takes out the entry of the insertion `id`, for a caller that keeps half a handle because it knows that the entry
    /// waits.
    ///
    /// - Precondition: it has neither expired nor been removed.
    mutating func remove(waiting id: UInt32) {
        let generation = self.generations.address(Int(id))
        precondition(generation.pointee & 1 == 0, "insertion \(id) was removed before")
        self.remove(Handle(id: id, generation: generation.pointee))
    }

    /// Moves the position to `now` and hands what fell due to `body`, in order of due instant: slices of
    /// one millisecond each, valid during the call only.
    ///
    /// A `now` before the position changes nothing: time never runs backwards here.
    package mutating func advance(to now: WallInstant, _ body: (UnsafeBufferPointer<Expired>) -> Void) {
        let target = Self.ticks(now, self.phase)
        guard target > self.position else { return }
        while true {
            self.expireWindow(through: target, body)
            guard let start = self.nextOccupiedStart, start <= target else { break }
            // Everything before it is empty, so the position may jump there.
            self.leaveWindow(for: start)
            self.moveDown()
        }
        if target > self.position { self.leaveWindow(for: target) }
    }

    /// As `advance(to:_:)`, appending what fell due to `expired`.
    package mutating func advance(to now: WallInstant, expired: inout [Expired]) {
        self.advance(to: now) { expired.append(contentsOf: $0) }
    }

    /// An instant no later than the earliest due one, and later than `now`; `nil` when nothing is filed.
    /// Exact within the open window, otherwise the start of a slot: waking there opens it. A removed
    /// entry may still cause a wake-up.
    package var nextDue: WallInstant? {
        let slot = self.nextWindowSlot
        if slot < Self.windowSlots { return self.instant(self.position & ~255 | UInt64(slot)) }
        return self.nextOccupiedStart.map { self.instant($0) }
    }

    /// When an entry was due that this wheel has handed out.
    package func due(of entry: Expired) -> WallInstant { self.instant(entry.ticks) }

    /// The end of time is nearer by the phase.
    @inline(__always) private static func ticks(_ instant: WallInstant, _ phase: Int64) -> UInt64 {
        let (shifted, isBeyond) = instant.milliseconds.addingReportingOverflow(phase)
        return UInt64(bitPattern: isBeyond ? .max : shifted) ^ self.origin
    }

    private func instant(_ ticks: UInt64) -> WallInstant {
        let (milliseconds, isBefore) = Int64(bitPattern: ticks ^ Self.origin).subtractingReportingOverflow(self.phase)
        return WallInstant(milliseconds: isBefore ? .min : milliseconds)
    }
}

// MARK: - Identity

extension TimerWheel {
    /// An id nobody uses. The free list carries the generation, so that the side array is not read here.
    @inline(__always) private mutating func takeID() -> Handle {
        if self.freedCount > 0 {
            self.freedCount &-= 1
            let packed = self.freed.address(self.freedCount).pointee
            return Handle(
                id: UInt32(truncatingIfNeeded: packed), generation: UInt32(truncatingIfNeeded: packed >> 32))
        }
        precondition(self.idCount < Int(UInt32.max), "a wheel of 2^32 entries is full")
        let id = self.idCount
        self.idCount &+= 1
        self.generations.reserve(self.idCount)
        self.generations.address(id).pointee = 0
        return Handle(id: UInt32(truncatingIfNeeded: id), generation: 0)
    }

    /// Ends the life of an entry that leaves the wheel; whether it was alive. Either way the generation
    /// becomes the next even one.
    @inline(__always) mutating func release(_ id: UInt32) -> Bool {
        let address = self.generations.address(Int(id))
        let generation = address.pointee
        let next = (generation &+ 2) & ~1
        address.pointee = next
        self.freed.reserve(self.freedCount &+ 1)
        self.freed.address(self.freedCount).pointee = UInt64(next) << 32 | UInt64(id)
        self.freedCount &+= 1
        return generation & 1 == 0
    }
}

// MARK: - Upper levels

extension TimerWheel {
    /// The slot of an upper level for `ticks`, counted over all levels.
    ///
    /// - Precondition: `difference`, of the windows of the position and of `ticks`, is not 0.
    @inline(__always) static func place(_ ticks: UInt64, difference: UInt64) -> Int {
        let level = (63 &- difference.leadingZeroBitCount) / Int(self.bitsPerLevel)
        let digit = (ticks >> (Self.windowBits &+ UInt64(level) &* Self.bitsPerLevel)) & 255
        return level &* Self.slotsPerLevel &+ Int(digit)
    }

    @inline(__always) mutating func file(_ entry: Expired) {
        let difference = (self.position ^ entry.ticks) >> Self.windowBits
        if difference == 0 {
            self.fileInWindow(entry)
        } else {
            self.append(entry, to: Self.place(entry.ticks, difference: difference))
        }
    }

    @inline(__always) mutating func append(_ entry: Expired, to place: Int) {
        if self.slots[place].count == UInt32(WheelChunk.entriesMax) { self.addChunk(to: place) }
        let slot = self.slots + place
        // A slot with room has memory.
        slot.pointee.entries.unsafelyUnwrapped[Int(slot.pointee.count)] = entry
        slot.pointee.count &+= 1
    }

    @inline(never) private mutating func addChunk(to place: Int) {
        let chunk: UInt32
        if self.firstFreeChunk != WheelChunk.none {
            chunk = self.firstFreeChunk
            self.firstFreeChunk = self.links.address(Int(chunk)).pointee.next
        } else {
            chunk = UInt32(self.chunkCount)
            self.chunkCount += 1
            self.links.reserve(self.chunkCount)
            self.chunks.reserve(self.chunkCount * WheelChunk.entriesMax)
        }
        let full = self.slots[place].chunk
        if full != WheelChunk.none {
            self.links.address(Int(full)).pointee.count = UInt16(WheelChunk.entriesMax)
            self.links.address(Int(full)).pointee.previous = chunk
        } else {
            self.occupancy[place >> 6] |= 1 << UInt64(place & 63)
        }
        self.links.address(Int(chunk)).pointee = WheelChunk.Link(
            next: full, previous: WheelChunk.none, count: 0, place: UInt16(place))
        self.slots[place] = WheelChunk.Slot(entries: self.entries(of: chunk), chunk: chunk, count: 0)
    }

    @inline(__always) func entries(of chunk: UInt32) -> UnsafeMutablePointer<Expired> {
        self.chunks.address(Int(chunk) &* WheelChunk.entriesMax)
    }

    mutating func freeChunk(_ chunk: UInt32) {
        self.links.address(Int(chunk)).pointee = WheelChunk.Link(
            next: self.firstFreeChunk, previous: WheelChunk.none, count: 0, place: WheelChunk.Link.free)
        self.firstFreeChunk = chunk
    }

    /// Takes a slot's whole chain; the slot is empty afterwards.
    mutating func takeSlot(_ place: Int) -> WheelChunk.Slot {
        let taken = self.slots[place]
        self.slots[place] = .empty
        self.occupancy[place >> 6] &= ~(1 << UInt64(place & 63))
        return taken
    }

    @inline(__always) func isOccupied(_ place: Int) -> Bool {
        self.occupancy[place >> 6] >> UInt64(place & 63) & 1 == 1
    }

    /// The start of the first occupied slot of the upper levels. The lowest occupied level holds it: what
    /// waits on a higher level differs in a higher digit and is therefore later.
    var nextOccupiedStart: UInt64? {
        for word in 0..<(Self.levelCount * Self.wordsPerLevel) where self.occupancy[word] != 0 {
            let level = word / Self.wordsPerLevel
            let shift = Self.windowBits + UInt64(level) * Self.bitsPerLevel
            let slot = UInt64(word % Self.wordsPerLevel * 64 + self.occupancy[word].trailingZeroBitCount)
            // A smart shift by 64 or more gives zero, as the topmost level needs.
            let digitsAbove = self.position & ~((UInt64(1) << (shift + Self.bitsPerLevel)) &- 1)
            return digitsAbove | (slot << shift)
        }
        return nil
    }

    /// Asks for the next chunk of a chain while this one is worked on: chunks lie anywhere, and a chain that is
    /// followed without looking ahead waits for memory at each of them.
    @inline(__always) func readAhead(after chunk: UInt32) {
        let next = self.links.address(Int(chunk)).pointee.next
        guard next != WheelChunk.none else { return }
        escapement_prefetch(self.links.address(Int(next)))
        let entries = UnsafeRawPointer(self.entries(of: next))
        let lineBytes = 64
        for offset in stride(
            from: 0, to: WheelChunk.entriesMax &* MemoryLayout<Expired>.stride, by: lineBytes)
        {
            escapement_prefetch(entries + offset)
        }
    }

    /// The position has just entered an occupied slot: files its entries on lower levels, down to the window.
    mutating func moveDown() {
        let windowDigit = Int(self.position >> Self.windowBits & 255)
        for level in stride(from: Self.levelCount - 1, to: 0, by: -1) {
            let digit = Int(self.position >> (Self.windowBits + UInt64(level) * Self.bitsPerLevel) & 255)
            let place = level * Self.slotsPerLevel + digit
            guard self.isOccupied(place) else { continue }
            let taken = self.takeSlot(place)
            var chunk = taken.chunk
            var entries = taken.entries
            var count = Int(taken.count)
            while let run = entries {
                self.readAhead(after: chunk)
                for index in 0..<count {
                    let entry = run[index]
                    let difference = (self.position ^ entry.ticks) >> Self.windowBits
                    // What belongs to the window itself is gathered in its slot of the lowest level.
                    let place = difference == 0 ? windowDigit : Self.place(entry.ticks, difference: difference)
                    self.append(entry, to: place)
                }
                let next = self.links.address(Int(chunk)).pointee.next
                self.freeChunk(chunk)
                chunk = next
                guard next != WheelChunk.none else { break }
                entries = self.entries(of: next)
                count = Int(self.links.address(Int(next)).pointee.count)
            }
        }
        if self.isOccupied(windowDigit) { self.openWindow(from: windowDigit) }
    }
}
