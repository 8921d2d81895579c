// The open window: 256 slots of one millisecond each.
extension TimerWheel {
    /// A window buffer larger than this many entries is given back when a window needs far less.
    private static let windowKeptMax = 65_536

    /// Inserts into the open window: a short chain per millisecond.
    @inline(never) mutating func fileInWindow(_ entry: Expired) {
        let slot = Int(entry.ticks & 255)
        let index: UInt32
        if self.firstFreeNode != WheelChunk.none {
            index = self.firstFreeNode
            self.firstFreeNode = self.nodes.address(Int(index)).pointee.next
        } else {
            index = UInt32(self.nodeCount)
            self.nodeCount += 1
            self.nodes.reserve(self.nodeCount)
        }
        self.nodes.address(Int(index)).pointee = Node(entry: entry, next: self.nodeHeads[slot])
        self.nodeHeads[slot] = index
        self.windowOccupancy[slot >> 6] |= 1 << UInt64(slot & 63)
    }

    /// The first occupied slot of the window after the position; 256 when there is none. What lies at or
    /// before the position has expired.
    var nextWindowSlot: Int {
        for word in 0..<(Self.windowSlots / 64) where self.windowOccupancy[word] != 0 {
            return word * 64 + self.windowOccupancy[word].trailingZeroBitCount
        }
        return Self.windowSlots
    }

    /// Moves the position through the occupied slots of the window, up to `target`.
    mutating func expireWindow(through target: UInt64, _ body: (UnsafeBufferPointer<Expired>) -> Void) {
        while true {
            let slot = self.nextWindowSlot
            guard slot < Self.windowSlots else { return }
            let due = self.position & ~255 | UInt64(slot)
            guard due <= target else { return }
            self.position = due
            self.expireSlot(slot, body)
        }
    }

    /// Hands out what waits in one slot of the window.
    mutating func expireSlot(_ slot: Int, _ body: (UnsafeBufferPointer<Expired>) -> Void) {
        guard self.windowOccupancy[slot >> 6] >> UInt64(slot & 63) & 1 == 1 else { return }
        self.windowOccupancy[slot >> 6] &= ~(1 << UInt64(slot & 63))
        let start = Int(self.windowStarts[slot])
        let end = Int(self.windowEnds[slot])
        if end > start {
            let slice = self.window + start
            let kept = self.releaseAll(slice, count: end - start)
            if kept > 0 { body(UnsafeBufferPointer(start: slice, count: kept)) }
        }
        if self.nodeHeads[slot] != WheelChunk.none { self.expireChain(slot, body) }
    }

    /// Ends the lives of `count` entries and moves the live ones to the front; how many they are.
    private mutating func releaseAll(_ entries: UnsafeMutablePointer<Expired>, count: Int) -> Int {
        var kept = 0
        for index in 0..<count {
            let entry = entries[index]
            let isLive = self.release(entry.id)
            entries[kept] = entry
            kept &+= isLive ? 1 : 0
        }
        self.count &-= kept
        self.deadCount &-= count &- kept
        return kept
    }

    private mutating func expireChain(_ slot: Int, _ body: (UnsafeBufferPointer<Expired>) -> Void) {
        var index = self.nodeHeads[slot]
        self.nodeHeads[slot] = WheelChunk.none
        while index != WheelChunk.none {
            var gathered = 0
            while index != WheelChunk.none, gathered < Self.scratchMax {
                let node = self.nodes.address(Int(index))
                self.scratch[gathered] = node.pointee.entry
                gathered += 1
                let next = node.pointee.next
                node.pointee.next = self.firstFreeNode
                self.firstFreeNode = index
                index = next
            }
            let kept = self.releaseAll(self.scratch, count: gathered)
            if kept > 0 { body(UnsafeBufferPointer(start: self.scratch, count: kept)) }
        }
    }

    /// Moves the position to `ticks`, which lies after everything that has expired.
    mutating func leaveWindow(for ticks: UInt64) {
        if (self.position ^ ticks) >> Self.windowBits != 0 {
            // The window behind is empty: its slices must not be taken for those of the next one.
            self.windowStarts.update(repeating: 0, count: Self.windowSlots)
            self.windowEnds.update(repeating: 0, count: Self.windowSlots)
        }
        self.position = ticks
    }

    /// Sorts the entries of a slot of the lowest upper level by their millisecond into the window.
    mutating func openWindow(from place: Int) {
        var taken = self.takeSlot(place)
        let total = self.countSlices(&taken)
        self.makeRoom(for: total)
        self.touchFreed(total)
        var chunk = taken.chunk
        var count = Int(taken.count)
        while chunk != WheelChunk.none {
            let run = self.entries(of: chunk)
            for index in 0..<count {
                let entry = run[index]
                let slot = Int(entry.ticks & 255)
                self.window[Int(self.windowStarts[slot])] = entry
                self.windowStarts[slot] &+= 1
            }
            let next = self.links.address(Int(chunk)).pointee.next
            self.freeChunk(chunk)
            chunk = next
            if chunk != WheelChunk.none { count = Int(self.links.address(Int(chunk)).pointee.count) }
        }
        // Each start has moved to its end, which is the start of the next one.
        var start: UInt32 = 0
        for word in 0..<(Self.windowSlots / 64) {
            var occupied = self.windowOccupancy[word]
            while occupied != 0 {
                let slot = word &* 64 &+ occupied.trailingZeroBitCount
                occupied &= occupied &- 1
                let end = self.windowStarts[slot]
                self.windowStarts[slot] = start
                self.windowEnds[slot] = end
                start = end
            }
        }
    }

    /// Drops the dead and leaves in `windowStarts` where each slice will start; the number of entries.
    ///
    /// Nothing here branches on a generation, so that the cache misses of reading them overlap; when the
    /// milliseconds come, what they need of the side array is near.
    private mutating func countSlices(_ taken: inout WheelChunk.Slot) -> Int {
        var chunk = taken.chunk
        var count = Int(taken.count)
        var isFirst = true
        while chunk != WheelChunk.none {
            self.readAhead(after: chunk)
            let kept = self.dropDead(self.entries(of: chunk), count: count)
            let link = self.links.address(Int(chunk))
            if isFirst { taken.count = UInt32(kept) } else { link.pointee.count = UInt16(kept) }
            isFirst = false
            chunk = link.pointee.next
            if chunk != WheelChunk.none { count = Int(self.links.address(Int(chunk)).pointee.count) }
        }
        // Few of a window's milliseconds may be occupied: only those are visited.
        var start: UInt32 = 0
        for word in 0..<(Self.windowSlots / 64) {
            var occupied = self.windowOccupancy[word]
            while occupied != 0 {
                let slot = word &* 64 &+ occupied.trailingZeroBitCount
                occupied &= occupied &- 1
                let size = self.windowStarts[slot]
                self.windowStarts[slot] = start
                start &+= size
            }
        }
        return Int(start)
    }

    /// Moves the live entries of a chunk to its front, counts them by millisecond and frees the ids of the
    /// dead; how many are live.
    ///
    /// First all generations are read, with nothing between the reads that depends on one: each is a cache
    /// miss, and so they wait for memory together. Then the entries are told apart without a branch.
    @inline(__always) private mutating func dropDead(
        _ run: UnsafeMutablePointer<Expired>, count: Int
    ) -> Int {
        let read = self.readGenerations
        for index in 0..<count {
            read[index] = self.generations.address(Int(run[index].id)).pointee
        }
        self.freed.reserve(self.freedCount &+ count)
        var freedCount = self.freedCount
        var kept = 0
        for index in 0..<count {
            let entry = run[index]
            let generation = read[index]
            let dead = Int(truncatingIfNeeded: generation & 1)
            let next = generation &+ (generation & 1)
            self.generations.address(Int(entry.id)).pointee = next
            // Written in any case; counts only when the entry is dead.
            self.freed.address(freedCount).pointee = UInt64(next) << 32 | UInt64(entry.id)
            freedCount &+= dead
            run[kept] = entry
            kept &+= 1 &- dead
            let slot = Int(entry.ticks & 255)
            self.windowStarts[slot] &+= UInt32(truncatingIfNeeded: 1 &- dead)
            self.windowOccupancy[slot >> 6] |= UInt64(1 &- dead) << UInt64(slot & 63)
        }
        self.freedCount = freedCount
        self.deadCount &-= count &- kept
        return kept
    }

    /// Writes to each page that the ids of `total` entries will be put on when they expire: a page is given
    /// its memory at the first write, and a herd should not pay for a thousand of them at its instant.
    private mutating func touchFreed(_ total: Int) {
        guard total > 0 else { return }
        self.freed.reserve(self.freedCount + total)
        let wordsPerPage = 512
        for index in stride(from: self.freedCount, to: self.freedCount + total, by: wordsPerPage) {
            self.freed.address(index).pointee = 0
        }
        self.freed.address(self.freedCount + total - 1).pointee = 0
    }

    private mutating func makeRoom(for total: Int) {
        let isWasteful = self.windowCapacity > Self.windowKeptMax && total < self.windowCapacity / 8
        guard total > self.windowCapacity || isWasteful else { return }
        self.window.deallocate()
        // A quarter more, so that windows of growing size do not allocate each time.
        self.windowCapacity = max(64, total + total / 4)
        self.window = .allocate(capacity: self.windowCapacity)
    }
}
