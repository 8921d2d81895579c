/// The baseline: an implicit 4-ary heap of 16-byte items, with the position of each item beside it, so that
/// a timer can be taken out from the middle. What one writes without a wheel, and writes well.
struct HeapQueue: TimerQueue, ~Copyable {
    private struct Item: BitwiseCopyable {
        var due: UInt64
        var token: UInt32
        var id: UInt32
    }

    static let name = "heap-4ary"
    private var items: [Item] = []
    private var positions: [UInt32] = []

    init() {}

    var count: Int { self.items.count }

    mutating func insert(due: UInt32, token: UInt32) -> UInt32 {
        // Ids are not used again: a benchmark ends before they run out.
        let item = Item(due: UInt64(due), token: token, id: UInt32(self.positions.count))
        self.positions.append(.max)
        self.items.append(item)
        self.siftUp(item, from: self.items.count - 1)
        return item.id
    }

    mutating func remove(_ handle: UInt32) {
        let position = Int(self.positions[Int(handle)])
        let last = self.items.removeLast()
        self.positions[Int(handle)] = .max
        guard position < self.items.count else { return }
        if position > 0, last.due < self.items[(position - 1) / 4].due {
            self.siftUp(last, from: position)
        } else {
            self.siftDown(last, from: position)
        }
    }

    mutating func advance(to now: UInt32, _ body: (UInt32) -> Void) {
        while let first = self.items.first, first.due <= UInt64(now) {
            let last = self.items.removeLast()
            self.positions[Int(first.id)] = .max
            if !self.items.isEmpty { self.siftDown(last, from: 0) }
            body(first.token)
        }
    }

    private mutating func siftUp(_ item: Item, from start: Int) {
        var position = start
        self.items.withUnsafeMutableBufferPointer { items in
            while position > 0 {
                let parent = (position - 1) / 4
                guard item.due < items[parent].due else { break }
                items[position] = items[parent]
                self.positions[Int(items[position].id)] = UInt32(truncatingIfNeeded: position)
                position = parent
            }
            items[position] = item
        }
        self.positions[Int(item.id)] = UInt32(truncatingIfNeeded: position)
    }

    private mutating func siftDown(_ item: Item, from start: Int) {
        var position = start
        self.items.withUnsafeMutableBufferPointer { items in
            while true {
                let first = position * 4 + 1
                guard first < items.count else { break }
                var least = first
                for child in (first + 1)..<max(first + 1, min(first + 4, items.count))
                where items[child].due < items[least].due { least = child }
                guard items[least].due < item.due else { break }
                items[position] = items[least]
                self.positions[Int(items[position].id)] = UInt32(truncatingIfNeeded: position)
                position = least
            }
            items[position] = item
        }
        self.positions[Int(item.id)] = UInt32(truncatingIfNeeded: position)
    }
}
