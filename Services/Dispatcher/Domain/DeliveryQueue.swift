package import EscapementModel

/// The fires of one lane that go to HTTP targets: which of them are in memory, which are under way, and what of their
/// partition is settled.
///
/// **Problem.** A host that is dead, slow or refuses must delay its own fires only, however many they are, and what waits
/// for its next attempt must not be written again meanwhile. **Idea.** The fires lie in a partition of the lane's own. Those
/// that this lane puts there are known at once and delivered without a read; they end in any order, and what is settled
/// beyond the first that waits is remembered as stretches of offsets. Only an attempt that failed writes its fire anew, at
/// the end, with one more attempt in it.
///
/// **Bounds.** Memory holds so many fires and bytes in all, and so many fires of a host. Of a host with more the later ones
/// are *left*: they lie in Kafka from `left` on, and are read when half of its room is free. So those of a host in memory
/// always lie before those that are left. When all is full, the host with the most gives way.
///
/// **What is read.** From `unread` on nobody has read the partition: what this lane put there is known, and anything else,
/// such as fires of the owner before, is not. The slot of a fire reaches to the next record, so that marks of transactions
/// belong to the fire before them; that of a fire nobody has read ends with itself until then.
///
/// **Invariants.** A fire in memory is not settled; each is delivered by one request at a time; nothing in a slot but its
/// fire can wait.
package struct DeliveryQueue<Fire: Sendable>: Sendable {
    private enum State {
        case waiting
        case underWay
        /// Its end waits for its round.
        case decided
    }

    private struct Entry {
        var host: String
        /// When its turn comes.
        var due: WallInstant
        var endsAt: WallInstant
        var byteCount: Int
        /// Up to where nothing but this fire can wait.
        var until: Int64
        var state = State.waiting
        var fire: Fire?
    }

    private struct Host {
        /// Offsets of those in memory that wait, sorted.
        var waiting: [Int64] = []
        /// No turn of theirs comes before.
        var earliest = WallInstant.distantFuture
        var underWayCount = 0
        /// From here on fires of the host may lie that are not in memory.
        var left: Int64?
        /// The last one that was not taken into memory for its sake.
        var passedBy: Int64 = -1

        var isIdle: Bool { self.waiting.isEmpty && self.underWayCount == 0 && self.left == nil }
    }

    package private(set) var settled = SettledOffsets()
    private let limits: Limits
    private var entries: [Int64: Entry] = [:]
    private var byteCount = 0
    private var decidedCount = 0
    private var hosts: [String: Host] = [:]
    private var leftCount = 0
    /// From here on nobody has read.
    private var unread: Int64 = 0
    /// There may be fires from there on that are not known.
    private var mustRead = false
    /// Known without a read, and since when.
    private var unreadCount = 0
    private var unreadSince: WallInstant?
    private var isReading = false
    private var wasUnreadLast = false
    /// The last fire before `unread`.
    private var lastRead: Int64 = -1

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// The journal was read: whatever is not settled there may wait.
    package mutating func begin(at settled: SettledOffsets) {
        self.settled = settled
        self.unread = settled.next
        self.mustRead = true
    }

    // MARK: Fires

    /// This lane has put a fire there. O(hosts) when memory is full.
    package mutating func add(_ parked: Parked, now: WallInstant) {
        guard parked.offset >= 0 else {
            // Kafka had it already and does not say where.
            self.unread = self.settled.next
            self.mustRead = true
            return
        }
        if parked.offset >= self.unread {
            self.unreadCount += 1
            self.unreadSince = self.unreadSince ?? now
        }
        self.take(parked, until: parked.offset + 1)
    }

    /// What there is to do now; `nil` when nothing is, or all of it waits for a time, for a place or for a round.
    ///
    /// - Parameter admits: whether a request to a host may begin; then it does. O(hosts), and their fires where a turn came.
    package mutating func next(now: WallInstant, admits: (String) -> Bool) -> Step? {
        if let order = self.nextRead(now) { return .read(order) }
        guard self.decidedCount < self.limits.decidedCountMax else { return nil }
        if let step = self.nextMove(now, admits) { return step }
        var due: [(underWayCount: Int, due: WallInstant, offset: Int64, host: String)] = []
        var future: [(host: String, earliest: WallInstant)] = []
        for (name, host) in self.hosts where host.earliest <= now {
            if let first = self.first(of: host, now) {
                due.append((host.underWayCount, first.due, first.offset, name))
            } else {
                future.append((name, self.earliest(of: host)))
            }
        }
        for (name, earliest) in future { self.hosts[name]?.earliest = earliest }
        due.sort { ($0.underWayCount, $0.due, $0.offset) < ($1.underWayCount, $1.due, $1.offset) }
        for candidate in due {
            if let step = self.deliver(candidate.offset, now, admits) { return step }
        }
        return nil
    }

    private mutating func deliver(_ offset: Int64, _ now: WallInstant, _ admits: (String) -> Bool) -> Step? {
        guard let entry = self.entries[offset], entry.due <= now else { return nil }
        let needsPlace = entry.fire != nil && entry.endsAt >= now
        if needsPlace, !admits(entry.host) { return nil }
        self.start(offset, .underWay)
        self.hosts[entry.host]?.underWayCount += 1
        return .deliver(offset: offset, host: entry.host, fire: entry.fire, hasPlace: needsPlace)
    }

    /// When `next` is worth another question if nothing happens until then; asked after one that found nothing. O(hosts).
    package func nextTime(after now: WallInstant) -> WallInstant {
        var earliest = self.unreadSince?.advanced(by: self.limits.unreadFor) ?? .distantFuture
        // Where a turn has come already a place or a round is missing.
        for host in self.hosts.values where host.earliest > now { earliest = min(earliest, host.earliest) }
        return earliest
    }

    /// An attempt is over, and what follows is settled with the next round.
    package mutating func finished(_ offset: Int64) {
        guard let entry = self.entries[offset], entry.state == .underWay else {
            preconditionFailure("the fire at \(offset) is not under way")
        }
        self.entries[offset]?.state = .decided
        // What was its content is held by whoever decided.
        self.entries[offset]?.fire = nil
        self.decidedCount += 1
        self.hosts[entry.host]?.underWayCount -= 1
        self.dropIfIdle(entry.host)
    }

    /// What a journal entry says that settles these, too.
    package func settled(with offsets: [Int64]) -> SettledOffsets {
        var settled = self.settled
        for offset in offsets { settled.settle(offset..<(self.entries[offset]?.until ?? offset + 1)) }
        return settled
    }

    /// The journal says so.
    package mutating func settle(_ offsets: [Int64]) {
        self.settled = self.settled(with: offsets)
        for offset in offsets {
            guard let entry = self.entries.removeValue(forKey: offset) else { continue }
            self.byteCount -= entry.byteCount
            if entry.state == .decided { self.decidedCount -= 1 }
        }
    }

    // MARK: Reading

    /// - Parameters:
    ///   - records: all from `order.from` on that are committed, in order.
    ///   - next: where to read on.
    ///   - isEnd: nothing lay at or after `next`.
    package mutating func read(_ order: ReadOrder, _ records: [Parked], next: Int64, isEnd: Bool) {
        self.isReading = false
        // Where the slot of the last one ends is seen with the next read.
        let isCut = !isEnd && records.count > 1
        let position = isCut ? records[records.count - 1].offset : next
        if let hosts = order.hosts {
            self.reopen(hosts, before: position)
        } else {
            self.extendSlot(before: order.from, to: records.first?.offset ?? position)
            // It may have to begin before this one by now.
            if self.unread >= order.from {
                self.unread = max(self.unread, position)
                self.mustRead = !isEnd
            }
        }
        for (index, record) in records.enumerated() where !isCut || index < records.count - 1 {
            let until = index + 1 < records.count ? records[index + 1].offset : position
            if order.hosts == nil { self.lastRead = record.offset }
            if self.settled.contains(record.offset) {
                self.settled.settle(record.offset..<until)
            } else {
                self.take(record, until: until)
            }
        }
        if let hosts = order.hosts { self.close(hosts, at: position, isEnd: isEnd) }
    }

    package mutating func readFailed(_ order: ReadOrder) {
        self.isReading = false
        if order.hosts == nil { self.mustRead = true }
    }

    /// Kafka has nothing before `low` any more.
    ///
    /// - Returns: between which offsets fires are gone that nobody had read.
    package mutating func trimmed(before low: Int64) -> Range<Int64>? {
        var lost = low
        if self.unread < low {
            lost = self.unread
            self.unread = low
        }
        for name in Array(self.hosts.keys) {
            guard let left = self.hosts[name]?.left, left < low else { continue }
            lost = min(lost, left)
            self.setLeft(low, of: name)
        }
        guard lost < low else { return nil }
        // What is in memory is delivered all the same.
        var from = self.settled.next
        for offset in self.entries.keys.filter({ $0 < low }).sorted() {
            if from < offset { self.settled.settle(from..<offset) }
            from = max(from, offset + 1)
        }
        if from < low { self.settled.settle(from..<low) }
        return lost..<low
    }

    private mutating func nextRead(_ now: WallInstant) -> ReadOrder? {
        guard !self.isReading, self.hasRoom else { return nil }
        let isUnreadDue =
            self.mustRead || self.unreadCount >= self.limits.unreadCountMax
            || self.unreadSince.map { $0.advanced(by: self.limits.unreadFor) <= now } == true
        var order: ReadOrder?
        if self.leftCount > 0, !isUnreadDue || self.wasUnreadLast {
            let open = self.hosts.filter {
                $0.value.left != nil && $0.value.waiting.count < self.limits.hostFireCountMax / 2
            }
            if let from = open.compactMap(\.value.left).min() { order = ReadOrder(from: from, hosts: Set(open.keys)) }
        }
        if order == nil, isUnreadDue { order = ReadOrder(from: self.unread, hosts: nil) }
        guard let order else { return nil }
        self.isReading = true
        self.wasUnreadLast = order.hosts == nil
        if order.hosts == nil {
            self.unreadCount = 0
            self.unreadSince = nil
        }
        return order
    }

    /// Half of the room is free.
    private var hasRoom: Bool {
        self.entries.count < self.limits.fireCountMax / 2 && self.byteCount < self.limits.byteCountMax / 2
    }

    /// Fires of these hosts are taken in again from what is read up to `position`.
    private mutating func reopen(_ hosts: Set<String>, before position: Int64) {
        for name in hosts {
            guard let left = self.hosts[name]?.left, left < position else { continue }
            self.setLeft(nil, of: name)
        }
    }

    /// What lies behind `position` was not looked at.
    private mutating func close(_ hosts: Set<String>, at position: Int64, isEnd: Bool) {
        for name in hosts {
            guard let host = self.hosts[name], host.left == nil else { continue }
            if !isEnd || host.passedBy >= position { self.setLeft(position, of: name) }
            self.dropIfIdle(name)
        }
    }

    /// Nothing waits between `offset`, where a read began, and the first fire that it found.
    private mutating func extendSlot(before offset: Int64, to first: Int64) {
        guard offset < first else { return }
        if self.settled.next == offset || offset > 0 && self.settled.contains(offset - 1) {
            self.settled.settle(offset..<first)
        } else if self.entries[self.lastRead]?.until == offset {
            self.entries[self.lastRead]?.until = first
        }
    }

    // MARK: Memory

    private mutating func take(_ parked: Parked, until: Int64) {
        if self.entries[parked.offset] != nil {
            self.entries[parked.offset]?.until = until
            return
        }
        guard !self.settled.contains(parked.offset) else { return }
        var host = self.hosts[parked.host] ?? Host()
        if let left = host.left, left <= parked.offset {
            host.passedBy.grow(to: parked.offset)
            self.hosts[parked.host] = host
            return
        }
        self.entries[parked.offset] = Entry(
            host: parked.host, due: min(parked.notBefore, parked.endsAt), endsAt: parked.endsAt,
            byteCount: parked.byteCount, until: until, fire: parked.fire)
        self.byteCount += parked.byteCount
        host.waiting.insert(parked.offset, at: host.waiting.firstIndex { $0 > parked.offset } ?? host.waiting.endIndex)
        host.earliest = min(host.earliest, min(parked.notBefore, parked.endsAt))
        self.hosts[parked.host] = host
        if host.waiting.count > self.limits.hostFireCountMax { self.leaveLast(of: parked.host) }
        while self.entries.count > self.limits.fireCountMax || self.byteCount > self.limits.byteCountMax {
            // The one with the most gives way; the last fire in memory never does.
            guard let most = self.hosts.max(by: { $0.value.waiting.count < $1.value.waiting.count }),
                !most.value.waiting.isEmpty, self.entries.count > 1
            else { break }
            self.leaveLast(of: most.key)
        }
    }

    private mutating func leaveLast(of name: String) {
        guard let offset = self.hosts[name]?.waiting.popLast(),
            let entry = self.entries.removeValue(forKey: offset)
        else { return }
        self.byteCount -= entry.byteCount
        let left = self.hosts[name]?.left
        if left == nil, self.leftCount >= self.limits.hostCountMax {
            self.unread = min(self.unread, offset)
            self.mustRead = true
            self.dropIfIdle(name)
        } else {
            self.setLeft(min(left ?? offset, offset), of: name)
            self.hosts[name]?.passedBy.grow(to: offset)
        }
    }

    private mutating func setLeft(_ left: Int64?, of name: String) {
        guard var host = self.hosts[name] else { return }
        self.leftCount += (left != nil ? 1 : 0) - (host.left != nil ? 1 : 0)
        host.left = left
        self.hosts[name] = host
    }

    private mutating func dropIfIdle(_ name: String) {
        if self.hosts[name]?.isIdle == true { self.hosts[name] = nil }
    }

    /// The first fire of a host whose turn it is.
    private func first(of host: Host, _ now: WallInstant) -> (offset: Int64, due: WallInstant)? {
        for offset in host.waiting {
            if let due = self.entries[offset]?.due, due <= now { return (offset, due) }
        }
        return nil
    }

    private func earliest(of host: Host) -> WallInstant {
        host.waiting.reduce(.distantFuture) { min($0, self.entries[$1]?.due ?? .distantFuture) }
    }

    /// With too many stretches the first fire that waits goes first; one that cannot go is put behind all others.
    private mutating func nextMove(_ now: WallInstant, _ admits: (String) -> Bool) -> Step? {
        guard self.settled.stretches.count >= self.limits.stretchCountMax, let last = self.settled.stretches.last,
            let first = self.hosts.values.compactMap(\.waiting.first).min(), first < last.lowerBound,
            let entry = self.entries[first], let fire = entry.fire
        else { return nil }
        if let step = self.deliver(first, now, admits) { return step }
        self.start(first, .decided)
        self.dropIfIdle(entry.host)
        self.entries[first]?.fire = nil
        self.decidedCount += 1
        return .move(offset: first, fire: fire)
    }

    private mutating func start(_ offset: Int64, _ state: State) {
        guard let name = self.entries[offset]?.host else { return }
        self.entries[offset]?.state = state
        self.hosts[name]?.waiting.removeAll { $0 == offset }
    }

    /// Checks what must always hold; for tests and debug builds. O(fires in memory).
    package func checkInvariants() {
        self.settled.checkInvariants()
        precondition(
            self.byteCount == self.entries.values.reduce(0) { $0 + $1.byteCount }, "the bytes are counted wrongly")
        precondition(
            self.decidedCount == self.entries.values.count { $0.state == .decided }, "the ends are counted wrongly")
        precondition(self.leftCount == self.hosts.values.count { $0.left != nil }, "the hosts are counted wrongly")
        for (offset, entry) in self.entries {
            precondition(!self.settled.contains(offset), "the fire at \(offset) is settled and in memory")
            let isListed = self.hosts[entry.host]?.waiting.contains(offset) == true
            precondition(isListed == (entry.state == .waiting), "the fire at \(offset) is listed wrongly")
        }
        for (name, host) in self.hosts {
            precondition(host.waiting == host.waiting.sorted(), "the fires of \(name) are out of order")
            precondition(!host.isIdle, "\(name) is remembered for nothing")
            if let left = host.left, let last = host.waiting.last {
                precondition(last < left, "the fire of \(name) at \(last) lies behind what is left")
            }
        }
    }
}

extension Int64 {
    fileprivate mutating func grow(to other: Int64) { self = Swift.max(self, other) }
}
