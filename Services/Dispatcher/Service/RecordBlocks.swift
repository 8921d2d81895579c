/// Memory for the heads of records, in blocks: those of a round cost a few allocations, and not some for each record.
struct RecordBlocks: ~Copyable {
    /// Bytes of a block that is made ahead: as much as allocators still keep at hand for each thread.
    static let usualSize = 32_768

    /// Freed with the last head that lies in it.
    final class Block: Sendable {
        // Unsafe: a part that has been written is never changed, and only whoever makes the blocks writes.
        nonisolated(unsafe) fileprivate let memory: UnsafeMutableRawPointer

        fileprivate init(capacity: Int) {
            self.memory = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 8)
        }

        deinit { self.memory.deallocate() }
    }

    private let size: Int
    private var block: Block?
    /// Bytes of `block`.
    private var capacity = 0
    private var used = 0

    /// - Parameter size: 0 for blocks that are as large as what is written to each.
    init(size: Int) { self.size = size }

    /// Memory for so many bytes, of which `take` keeps those that were written.
    mutating func reserve(_ count: Int) -> (block: Block, start: UnsafeMutableRawPointer) {
        if let block, self.capacity - self.used >= count { return (block, block.memory + self.used) }
        let capacity = max(count, self.size)
        let block = Block(capacity: capacity)
        self.block = block
        self.capacity = capacity
        self.used = 0
        return (block, block.memory)
    }

    /// So many bytes of what was reserved have been written.
    mutating func take(_ count: Int) { self.used += count }
}
