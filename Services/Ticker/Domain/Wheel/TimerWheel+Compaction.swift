// Dead entries keep their 16 bytes until their millisecond comes. While more than half of what is filed
// is dead, every removal clears one chunk and joins it with its neighbour: a bounded step, no pause, and
// memory stays within about twice of what the live entries need.
extension TimerWheel {
    @inline(never) mutating func compactOneChunk() {
        // Looks at a few at most, so that a step stays bounded where most chunks are free.
        for _ in 0..<8 where self.chunkCount > 0 {
            if self.compactionCursor >= self.chunkCount { self.compactionCursor = 0 }
            let chunk = UInt32(self.compactionCursor)
            self.compactionCursor += 1
            let place = self.links.address(Int(chunk)).pointee.place
            if place != WheelChunk.Link.free { return self.compact(chunk, of: Int(place)) }
        }
    }

    private mutating func compact(_ chunk: UInt32, of place: Int) {
        let isFirst = self.slots[place].chunk == chunk
        let link = self.links.address(Int(chunk))
        let before = isFirst ? Int(self.slots[place].count) : Int(link.pointee.count)
        let entries = self.entries(of: chunk)
        var kept = 0
        for index in 0..<before {
            let entry = entries[index]
            let isDead = self.generations.address(Int(entry.id)).pointee & 1 == 1
            if isDead {
                _ = self.release(entry.id)
            } else {
                entries[kept] = entry
                kept += 1
            }
        }
        self.deadCount -= before - kept
        kept += self.join(chunk, entries, count: kept)
        if kept > 0 {
            if isFirst { self.slots[place].count = UInt32(kept) } else { link.pointee.count = UInt16(kept) }
        } else if isFirst {
            // A neighbour would have been joined: the chain was this chunk.
            self.freeChunk(chunk)
            _ = self.takeSlot(place)
        } else {
            self.unlink(chunk)
        }
    }

    /// Takes the next chunk's entries along when they fit; how many they were.
    private mutating func join(_ chunk: UInt32, _ entries: UnsafeMutablePointer<Expired>, count: Int) -> Int {
        let next = self.links.address(Int(chunk)).pointee.next
        guard next != WheelChunk.none else { return 0 }
        let more = Int(self.links.address(Int(next)).pointee.count)
        guard count + more <= WheelChunk.entriesMax else { return 0 }
        (entries + count).update(from: self.entries(of: next), count: more)
        self.unlink(next)
        return more
    }

    /// Takes a chunk that is not the first out of its chain.
    private mutating func unlink(_ chunk: UInt32) {
        let link = self.links.address(Int(chunk)).pointee
        self.links.address(Int(link.previous)).pointee.next = link.next
        if link.next != WheelChunk.none { self.links.address(Int(link.next)).pointee.previous = link.previous }
        self.freeChunk(chunk)
    }
}
