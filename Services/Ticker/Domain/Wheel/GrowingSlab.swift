import PageMemory

/// A row of elements that grows without moving one: blocks of 2 MiB, and a table of their addresses. An
/// address stays valid until the slab goes.
///
/// The first block is made of small pages, which are resident once they are written to, so a slab of few
/// elements is small. The others may be large pages: what is read at random, element by element, would
/// otherwise miss the address cache at each read. What is read in runs stays on small pages, which a system
/// hands out sooner. What has grown is kept: a slab stays at its high-water mark.
struct GrowingSlab<Element: BitwiseCopyable>: ~Copyable {
    /// Elements of a block, as a power of two: what fits into a large page.
    @inline(__always) private static var blockBits: Int {
        let pageBits = ESCAPEMENT_LARGE_PAGE_BYTES.trailingZeroBitCount
        let strideBits = Int.bitWidth &- (MemoryLayout<Element>.stride &- 1).leadingZeroBitCount
        return Int(pageBits) &- strideBits
    }
    private static var tableMin: Int { 8 }

    /// What a slab's further blocks are made of.
    enum Pages {
        case small
        case large
    }

    private let pages: Pages
    private var blocks: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    private var tableCapacity: Int
    private var blockCount = 0
    /// Elements that have memory.
    private(set) var capacity = 0

    init(_ pages: Pages) {
        self.pages = pages
        self.tableCapacity = Self.tableMin
        self.blocks = .allocate(capacity: Self.tableMin)
    }

    deinit {
        for index in 0..<self.blockCount { escapement_page_free(self.blocks[index]) }
        self.blocks.deallocate()
    }

    /// Makes memory for elements up to `count`. The new ones are not initialized.
    @inline(__always) mutating func reserve(_ count: Int) {
        while count > self.capacity { self.addBlock() }
    }

    @inline(never) private mutating func addBlock() {
        if self.blockCount == self.tableCapacity {
            // Addresses only: the blocks stay where they are.
            let larger = UnsafeMutablePointer<UnsafeMutablePointer<Element>>.allocate(capacity: 2 * self.blockCount)
            larger.moveInitialize(from: self.blocks, count: self.blockCount)
            self.blocks.deallocate()
            self.blocks = larger
            self.tableCapacity = 2 * self.blockCount
        }
        let size = 1 << Self.blockBits
        guard let page = escapement_page_allocate(self.pages == .large && self.blockCount > 0) else {
            preconditionFailure("no memory for \(self.capacity + size) elements of a timer wheel")
        }
        (self.blocks + self.blockCount).initialize(to: page.bindMemory(to: Element.self, capacity: size))
        self.blockCount += 1
        self.capacity += size
    }

    /// Where the element lives; O(1). Neighbours in one block follow each other.
    ///
    /// - Precondition: `index < capacity`, checked in debug builds only: every index in the wheel comes
    ///   from the slab it is used on, and `checkInvariants` visits them all.
    @inline(__always) func address(_ index: Int) -> UnsafeMutablePointer<Element> {
        assert(index >= 0 && index < self.capacity, "index \(index) of \(self.capacity)")
        let mask = (1 &<< Self.blockBits) &- 1
        return self.blocks[index &>> Self.blockBits] + (index & mask)
    }
}
