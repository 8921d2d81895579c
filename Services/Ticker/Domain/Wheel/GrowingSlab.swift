/// A row of elements that grows without moving one: blocks that double in size, and a table of their
/// addresses. An address stays valid until the slab goes.
///
/// Memory of a block that nobody wrote to yet is not resident, so doubling costs addresses only. What
/// has grown is kept: a slab stays at its high-water mark.
struct GrowingSlab<Element: BitwiseCopyable>: ~Copyable {
    /// Enough for 2^32 elements behind a first block of one.
    private static var blocksMax: Int { 33 }

    private let blocks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private let firstShift: Int
    private var blockCount = 0
    /// Elements that have memory.
    private(set) var capacity = 0

    /// - Parameter firstShift: the first block holds 2^firstShift elements.
    init(firstShift: Int) {
        precondition((0..<32).contains(firstShift))
        self.firstShift = firstShift
        self.blocks = .allocate(capacity: Self.blocksMax)
    }

    deinit {
        for index in 0..<self.blockCount { self.blocks[index].deallocate() }
        self.blocks.deallocate()
    }

    /// Makes memory for elements up to `count`. The new ones are not initialized.
    @inline(__always) mutating func reserve(_ count: Int) {
        while count > self.capacity { self.addBlock() }
    }

    @inline(never) private mutating func addBlock() {
        precondition(self.blockCount < Self.blocksMax, "a slab of more than 2^32 elements")
        let size = 1 << (self.firstShift + self.blockCount)
        self.blocks[self.blockCount] = .allocate(capacity: size)
        self.blockCount += 1
        self.capacity += size
    }

    /// Where the element lives; O(1). Neighbours in one block follow each other.
    ///
    /// - Precondition: `index < capacity`, checked in debug builds only: every index in the wheel comes
    ///   from the slab it is used on, and `checkInvariants` visits them all.
    @inline(__always) func address(_ index: Int) -> UnsafeMutablePointer<Element> {
        assert(index >= 0 && index < self.capacity, "index \(index) of \(self.capacity)")
        let shifted = UInt64(truncatingIfNeeded: (index >> self.firstShift) &+ 1)
        let block = 63 &- shifted.leadingZeroBitCount
        let start = ((1 << block) &- 1) << self.firstShift
        return self.blocks[block] + (index &- start)
    }
}
