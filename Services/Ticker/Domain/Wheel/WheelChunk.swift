/// Up to 32 entries of one slot of an upper level: 512 contiguous bytes, linked to their neighbours.
enum WheelChunk {
    static let entriesMax = 32
    static let none = UInt32.max

    /// What is kept beside the entries of a chunk.
    struct Link: BitwiseCopyable {
        var next: UInt32
        var previous: UInt32
        /// Entries, of a chunk that is not the first of its slot; the first one's count is in the slot.
        var count: UInt16
        /// The slot it belongs to, or `free`.
        var place: UInt16

        static let free = UInt16.max
    }

    /// A slot of an upper level: the chunk that is being filled comes first in its chain.
    struct Slot: BitwiseCopyable {
        var entries: UnsafeMutablePointer<TimerWheel.Expired>?
        var chunk: UInt32
        var count: UInt32

        /// Counts as full, so that the first entry makes a chunk.
        static var empty: Slot {
            Slot(entries: nil, chunk: WheelChunk.none, count: UInt32(WheelChunk.entriesMax))
        }
    }
}
