// What must hold after every operation.
extension TimerWheel {
    /// Checks every chain, count, bitmap and level, and that no id is used twice. O(entries); for tests.
    package func checkInvariants() {
        var census = Census()
        var usedChunks = 0
        for place in 0..<(Self.levelCount * Self.slotsPerLevel) {
            usedChunks += self.checkSlot(place, &census)
        }
        var freeChunks = 0
        var chunk = self.firstFreeChunk
        while chunk != WheelChunk.none {
            precondition(self.links.address(Int(chunk)).pointee.place == WheelChunk.Link.free, "free chunk in use")
            freeChunks += 1
            chunk = self.links.address(Int(chunk)).pointee.next
        }
        precondition(usedChunks + freeChunks == self.chunkCount, "\(self.chunkCount) chunks, some of them lost")
        self.checkWindow(&census)
        precondition(census.live == self.count, "\(census.live) live entries, \(self.count) counted")
        precondition(census.dead == self.deadCount, "\(census.dead) dead entries, \(self.deadCount) counted")
        for index in 0..<self.freedCount {
            let packed = self.freed.address(index).pointee
            let id = UInt32(truncatingIfNeeded: packed)
            precondition(census.ids.insert(id).inserted, "free id \(id) is in use")
            precondition(
                self.generations.address(Int(id)).pointee == UInt32(truncatingIfNeeded: packed >> 32),
                "free id \(id) carries another generation")
        }
        precondition(census.ids.count == self.idCount, "\(self.idCount) ids, some of them lost")
    }

    private struct Census {
        var ids = Set<UInt32>()
        var live = 0
        var dead = 0
    }

    private func visit(_ entry: Expired, _ census: inout Census) {
        precondition(census.ids.insert(entry.id).inserted, "id \(entry.id) is filed twice")
        precondition(entry.ticks > self.position, "entry \(entry.id) is overdue")
        if self.generations.address(Int(entry.id)).pointee & 1 == 0 { census.live += 1 } else { census.dead += 1 }
    }

    /// The number of chunks of the slot.
    private func checkSlot(_ place: Int, _ census: inout Census) -> Int {
        let slot = self.slots[place]
        precondition((slot.chunk != WheelChunk.none) == self.isOccupied(place), "bitmap of slot \(place) is wrong")
        var chunk = slot.chunk
        var count = Int(slot.count)
        var previous = WheelChunk.none
        var chunks = 0
        while chunk != WheelChunk.none {
            let link = self.links.address(Int(chunk)).pointee
            precondition(link.previous == previous && Int(link.place) == place, "broken link at chunk \(chunk)")
            precondition((1...WheelChunk.entriesMax).contains(count), "chunk \(chunk) of \(count) entries")
            for index in 0..<count {
                let entry = self.entries(of: chunk)[index]
                let difference = (self.position ^ entry.ticks) >> Self.windowBits
                precondition(
                    difference != 0 && Self.place(entry.ticks, difference: difference) == place,
                    "entry \(entry.id) is filed in a wrong slot")
                self.visit(entry, &census)
            }
            chunks += 1
            previous = chunk
            chunk = link.next
            if chunk != WheelChunk.none { count = Int(self.links.address(Int(chunk)).pointee.count) }
        }
        return chunks
    }

    private func checkWindow(_ census: inout Census) {
        for slot in 0..<Self.windowSlots {
            let isOccupied = self.windowOccupancy[slot >> 6] >> UInt64(slot & 63) & 1 == 1
            let isBehind = slot <= Int(self.position & 255)
            var hasEntries = false
            if !isBehind {
                for index in Int(self.windowStarts[slot])..<Int(self.windowEnds[slot]) {
                    precondition(Int(self.window[index].ticks & 255) == slot, "an entry is in a wrong slice")
                    precondition(
                        (self.position ^ self.window[index].ticks) >> Self.windowBits == 0, "left from another window")
                    self.visit(self.window[index], &census)
                    hasEntries = true
                }
            }
            var index = self.nodeHeads[slot]
            while index != WheelChunk.none {
                let node = self.nodes.address(Int(index)).pointee
                precondition(Int(node.entry.ticks & 255) == slot, "an entry is in a wrong chain")
                self.visit(node.entry, &census)
                hasEntries = true
                index = node.next
            }
            precondition(isOccupied == hasEntries, "bitmap of millisecond \(slot) is wrong")
        }
    }
}
