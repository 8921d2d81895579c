import DispatcherDomain
import EscapementModel
import Testing

@Suite struct DeliveryQueueTests {
    private typealias Queue = DeliveryQueue<Int64>

    private let start = WallInstant(milliseconds: 1_000_000)

    private func parked(
        _ offset: Int64, _ host: String, notBefore: WallInstant? = nil, endsAt: WallInstant = .distantFuture
    ) -> Queue.Parked {
        Queue.Parked(
            offset: offset, host: host, notBefore: notBefore ?? self.start, endsAt: endsAt, byteCount: 1, fire: offset)
    }

    /// A queue whose partition was read and is empty.
    private func queue(_ limits: Queue.Limits = Queue.Limits()) -> Queue {
        var queue = Queue(limits: limits)
        queue.begin(at: SettledOffsets())
        guard case .read(let order) = queue.next(now: self.start, admits: { _ in true }) else {
            preconditionFailure("nothing is read")
        }
        queue.read(order, [], next: 0, isEnd: true)
        return queue
    }

    /// All that may be delivered at `now`, and whom to.
    private func deliverable(_ queue: inout Queue, _ now: WallInstant, full: Set<String> = []) -> [Int64] {
        var offsets: [Int64] = []
        while case .deliver(let offset, _, _, _)? = queue.next(now: now, admits: { !full.contains($0) }) {
            offsets.append(offset)
        }
        return offsets
    }

    private func isIdle(_ queue: inout Queue, _ now: WallInstant) -> Bool {
        if case nil = queue.next(now: now, admits: { _ in true }) { true } else { false }
    }

    @Test func `a host without a place delays nobody else`() {
        var queue = self.queue()
        for offset: Int64 in 0..<6 { queue.add(self.parked(offset, offset < 4 ? "dead" : "alive"), now: self.start) }
        #expect(self.deliverable(&queue, self.start, full: ["dead"]) == [4, 5])
        queue.finished(5)
        #expect(queue.settled(with: [5]).stretches == [5..<6])
        queue.settle([5])
        queue.finished(4)
        queue.settle([4])
        #expect(queue.settled == SettledOffsets(next: 0, stretches: [4..<6]))
        #expect(self.deliverable(&queue, self.start) == [0, 1, 2, 3])
        for offset: Int64 in 0..<4 { queue.finished(offset) }
        queue.settle([0, 1, 2, 3])
        queue.checkInvariants()
        #expect(queue.settled == SettledOffsets(next: 6))
    }

    @Test func `a fire is not touched before its time, and ends without a place when its time is over`() {
        var queue = self.queue()
        let later = self.start.advanced(by: .seconds(20))
        queue.add(self.parked(0, "a", notBefore: later), now: self.start)
        queue.add(self.parked(1, "a", notBefore: later, endsAt: self.start.advanced(by: .seconds(10))), now: self.start)
        #expect(self.isIdle(&queue, self.start))
        #expect(queue.nextTime(after: self.start) == self.start.advanced(by: .seconds(10)))
        let over = self.start.advanced(by: .seconds(11))
        guard case .deliver(1, "a", 1, hasPlace: false)? = queue.next(now: over, admits: { _ in false }) else {
            Issue.record("the fire whose time is over does not end")
            return
        }
        #expect(self.deliverable(&queue, later) == [0])
    }

    @Test func `marks of transactions between fires hold nothing up`() {
        var queue = Queue()
        queue.begin(at: SettledOffsets())
        guard case .read(let order)? = queue.next(now: self.start, admits: { _ in true }) else {
            Issue.record("nothing is read")
            return
        }
        queue.read(order, [0, 2, 5].map { self.parked($0, "a") }, next: 7, isEnd: true)
        #expect(self.deliverable(&queue, self.start) == [0, 2, 5])
        for offset: Int64 in [5, 0, 2] { queue.finished(offset) }
        queue.settle([5])
        #expect(queue.settled.stretches == [5..<7])
        queue.settle([0])
        #expect(queue.settled.next == 2)
        queue.settle([2])
        #expect(queue.settled == SettledOffsets(next: 7))
        // Of fires that were not read the marks are learnt afterwards, and cost one read.
        for offset: Int64 in [7, 9] { queue.add(self.parked(offset, "a"), now: self.start) }
        #expect(self.deliverable(&queue, self.start) == [7, 9])
        for offset: Int64 in [7, 9] { queue.finished(offset) }
        queue.settle([7, 9])
        #expect(queue.settled == SettledOffsets(next: 8, stretches: [9..<10]))
        let then = queue.nextTime(after: self.start)
        guard case .read(let again)? = queue.next(now: then, admits: { _ in true }) else {
            Issue.record("nothing is read")
            return
        }
        queue.read(again, [7, 9].map { self.parked($0, "a") }, next: 11, isEnd: true)
        #expect(queue.settled == SettledOffsets(next: 11))
        #expect(self.isIdle(&queue, then))
    }

    @Test func `with too many stretches what waits before them is written again`() {
        var limits = Queue.Limits()
        limits.stretchCountMax = 4
        var queue = self.queue(limits)
        for offset: Int64 in 0..<10 {
            queue.add(self.parked(offset, offset % 2 == 0 ? "dead" : "alive"), now: self.start)
        }
        for offset in self.deliverable(&queue, self.start, full: ["dead"]) {
            queue.finished(offset)
            queue.settle([offset])
        }
        guard case .move(0, 0)? = queue.next(now: self.start, admits: { $0 != "dead" }) else {
            Issue.record("nothing is written again")
            return
        }
        queue.settle([0])
        queue.add(self.parked(10, "dead"), now: self.start)
        #expect(queue.settled.next == 2)
        queue.checkInvariants()
    }

    @Test func `what is gone from Kafka before it was read is told, and the position moves on`() {
        var queue = Queue()
        queue.begin(at: SettledOffsets(next: 3, stretches: [8..<9]))
        guard case .read(let order)? = queue.next(now: self.start, admits: { _ in true }) else {
            Issue.record("nothing is read")
            return
        }
        #expect(order.from == 3)
        #expect(queue.trimmed(before: 6) == 3..<6)
        queue.read(order, [self.parked(6, "a")], next: 9, isEnd: true)
        #expect(queue.settled == SettledOffsets(next: 6, stretches: [8..<9]))
        #expect(queue.trimmed(before: 8) == nil, "what is in memory is not lost")
        #expect(self.deliverable(&queue, self.start) == [6])
        queue.checkInvariants()
    }

    /// Whatever fails, moves, falls behind the bounds of memory or changes its owner: each fire ends once, none is lost, and
    /// nothing is delivered twice at a time.
    @Test(arguments: 1...60) func `every fire ends once`(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var limits = Queue.Limits()
        limits.fireCountMax = Int.random(in: 4...40, using: &random)
        limits.hostFireCountMax = Int.random(in: 2...10, using: &random)
        limits.hostCountMax = Int.random(in: 1...4, using: &random)
        limits.stretchCountMax = Int.random(in: 2...8, using: &random)
        limits.unreadCountMax = Int.random(in: 1...20, using: &random)
        limits.decidedCountMax = 6
        var model = Model(limits: limits, now: self.start)
        for step in 0..<600 {
            // Faults first; then all has to end.
            model.isCalm = step >= 400
            if !model.isCalm, Int.random(in: 0..<3, using: &random) == 0 { model.park(&random) }
            if !model.isCalm, Int.random(in: 0..<60, using: &random) == 0 { model.changeOwner() }
            model.step(&random)
        }
        for _ in 0..<4000 where !model.isOver { model.step(&random) }
        let isOver = model.isOver
        #expect(isOver, "\(model.waiting.count) fires never end")
        #expect(model.queue.settled.stretches.isEmpty)
        #expect(model.queue.settled.next == Int64(model.log.count))
    }

    /// A partition, the journal that says what of it is settled, and the queue between them.
    private struct Model {
        enum Record {
            case fire(id: Int, host: String, notBefore: WallInstant)
            case mark
        }

        var queue: Queue
        let limits: Queue.Limits
        var log: [Record] = []
        var now: WallInstant
        var isCalm = false
        private var journal = SettledOffsets()
        /// Fires that have not ended.
        private(set) var waiting: Set<Int> = []
        private var made = 0
        private var underWay: Set<Int64> = []
        private var ends: [(offset: Int64, again: Record?)] = []
        private var order: Queue.ReadOrder?

        init(limits: Queue.Limits, now: WallInstant) {
            self.limits = limits
            self.now = now
            self.queue = Queue(limits: limits)
            self.queue.begin(at: self.journal)
        }

        var isOver: Bool { self.waiting.isEmpty && self.queue.settled.next == Int64(self.log.count) }

        mutating func park(_ random: inout SplitMix64) {
            var records: [Record] = []
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let host = "h\(Int.random(in: 0..<6, using: &random))"
                records.append(.fire(id: self.made, host: host, notBefore: self.now))
                self.waiting.insert(self.made)
                self.made += 1
            }
            self.commit([], records, knowsOffsets: Int.random(in: 0..<10, using: &random) != 0)
        }

        /// One round: what is settled, what is written anew, and the mark of the transaction.
        private mutating func commit(_ settled: [Int64], _ records: [Record], knowsOffsets: Bool = true) {
            self.journal = self.queue.settled(with: settled)
            let start = Int64(self.log.count)
            self.log += records.isEmpty ? [] : records + [.mark]
            self.queue.settle(settled)
            for (index, record) in records.enumerated() {
                guard case .fire = record else { continue }
                let parked = self.parked(start + Int64(index))
                var told = parked
                if !knowsOffsets { told?.offset = -1 }
                if let told { self.queue.add(told, now: self.now) }
            }
            self.queue.checkInvariants()
        }

        private func parked(_ offset: Int64) -> Queue.Parked? {
            guard case .fire(_, let host, let notBefore) = self.log[Int(offset)] else { return nil }
            return Queue.Parked(offset: offset, host: host, notBefore: notBefore, byteCount: 1, fire: offset)
        }

        mutating func changeOwner() {
            self.queue = Queue(limits: self.limits)
            self.queue.begin(at: self.journal)
            self.underWay = []
            self.ends = []
            self.order = nil
        }

        mutating func step(_ random: inout SplitMix64) {
            self.now = self.now.advanced(by: .milliseconds(Int.random(in: 0...2000, using: &random)))
            switch self.queue.next(now: self.now, admits: { self.isCalm || $0 != "h0" }) {
            case .deliver(let offset, _, _, _):
                #expect(self.underWay.insert(offset).inserted, "the fire at \(offset) is under way twice")
            case .move(let offset, _): self.ends.append((offset, self.log[Int(offset)]))
            case .read(let order):
                #expect(self.order == nil, "two reads at a time")
                self.order = order
            case nil: break
            }
            if let order, Bool.random(using: &random) { self.answer(order, &random) }
            for offset in self.underWay.sorted() where Int.random(in: 0..<3, using: &random) == 0 {
                self.underWay.remove(offset)
                self.queue.finished(offset)
                guard case .fire(let id, let host, _) = self.log[Int(offset)] else { continue }
                let isDone = self.isCalm || Bool.random(using: &random)
                let pause = Duration.milliseconds(Int.random(in: 0...20_000, using: &random))
                self.ends.append(
                    (offset, isDone ? nil : .fire(id: id, host: host, notBefore: self.now.advanced(by: pause))))
            }
            if !self.ends.isEmpty, Int.random(in: 0..<3, using: &random) == 0 { self.publish() }
        }

        private mutating func publish() {
            for end in self.ends where end.again == nil {
                guard case .fire(let id, _, _) = self.log[Int(end.offset)] else { continue }
                #expect(self.waiting.remove(id) != nil, "fire \(id) ends twice")
            }
            let ends = self.ends
            self.ends = []
            self.commit(ends.map(\.offset), ends.compactMap(\.again))
        }

        private mutating func answer(_ order: Queue.ReadOrder, _ random: inout SplitMix64) {
            self.order = nil
            if Int.random(in: 0..<10, using: &random) == 0 { return self.queue.readFailed(order) }
            var records: [Queue.Parked] = []
            var position = Int(order.from)
            while position < self.log.count, records.count < 5 {
                if let parked = self.parked(Int64(position)) { records.append(parked) }
                position += 1
            }
            self.queue.read(order, records, next: Int64(position), isEnd: position == self.log.count)
            self.queue.checkInvariants()
        }
    }
}
