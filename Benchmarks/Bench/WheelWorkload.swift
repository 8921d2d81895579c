import AllocationCount
import JSON
import TimerSlack

import Glibc

/// W1 to W4 and the herd, on any queue; one JSON line a result, with the keys of the peers' lines.
enum WheelWorkload<Queue: TimerQueue & ~Copyable> {
    private static var hourMilliseconds: UInt64 { 3_600_000 }

    /// W1 insert, W2 cancel a random half, W3 expire the rest: `count` one-shots due within an hour.
    static func insertCancelExpire(count: Int, seed: UInt64) {
        var generator = SplitMix(state: seed)
        let due = (0..<count).map { _ in UInt32(1 + (generator.next() >> 11) % Self.hourMilliseconds) }
        let order = Self.permutation(count: count, seed: seed)
        var queue = Queue()
        // The caller's handles lie on large pages for either queue, so that the queue is measured and not the address
        // cache. Every page is touched before the first look at the memory: only the queue's own growth is counted.
        let bytes = count * MemoryLayout<Queue.Handle>.stride
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 2 << 20)
        defer { memory.deallocate() }
        _ = madvise(memory, bytes, MADV_HUGEPAGE)
        memset(memory, 1, bytes)
        let handles = memory.bindMemory(to: Queue.Handle.self, capacity: count)
        let resident = Measuring.residentBytes()
        let allocations = escapement_allocation_count()
        let start = Mark()
        for index in 0..<count {
            (handles + index).initialize(to: queue.insert(due: due[index], token: UInt32(index)))
        }
        let inserted = Mark()
        let insertAllocations = escapement_allocation_count() - allocations
        let grown = Int64(Measuring.residentBytes()) - Int64(resident)
        let cancelStart = Mark()
        for index in 0..<(count / 2) { queue.remove(handles[Int(order[index])]) }
        let cancelled = Mark()
        var fired = 0
        var sum: UInt64 = 0
        let allocationsBefore = escapement_allocation_count()
        let expireStart = Mark()
        queue.advance(to: UInt32(Self.hourMilliseconds)) { token in
            fired &+= 1
            sum &+= UInt64(token)
        }
        let expired = Mark()
        let expireAllocations = escapement_allocation_count() - allocationsBefore
        precondition(sum > 0 && queue.count == 0, "everything must have expired")
        emit(
            .record([
                "w": "W1", "peer": .string(Queue.name), "n": .integer(count), "ns": inserted.wall(start, count),
                "cpu_ns": inserted.cpu(start, count),
                "rss_b": .decimal((Double(grown) / Double(count) * 10).rounded() / 10),
                "allocations": .integer(insertAllocations),
            ]))
        emit(
            .record([
                "w": "W2", "peer": .string(Queue.name), "n": .integer(count),
                "ns": cancelled.wall(cancelStart, count / 2), "cpu_ns": cancelled.cpu(cancelStart, count / 2),
            ]))
        emit(
            .record([
                "w": "W3", "peer": .string(Queue.name), "n": .integer(count), "ns": expired.wall(expireStart, fired),
                "cpu_ns": expired.cpu(expireStart, fired), "fired": .integer(fired),
                "expected": .integer(count - count / 2), "allocations": .integer(expireAllocations),
            ]))
    }

    /// W4: `rate` timers a second on a grid of milliseconds for ten seconds; how late each callback is.
    static func lateness(rate: Int) {
        // As the clock thread does.
        _ = escapement_timer_slack_minimize()
        let total = rate * 10
        let perMillisecond = max(1, rate / 1000)
        var late = [Int64](repeating: 1, count: total)
        var queue = Queue()
        for index in 0..<total {
            let due = UInt32(1 + index / perMillisecond)
            _ = queue.insert(due: due, token: due)
        }
        let base = Measuring.clock(CLOCK_MONOTONIC) + 500_000_000
        Measuring.sleep(until: base - 2_000_000)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        var fired = 0
        var position: UInt64 = 0
        while queue.count > 0 {
            let now = Measuring.clock(CLOCK_MONOTONIC)
            let reached = now > base ? (now - base) / 1_000_000 : 0
            if reached > position {
                position = reached
                queue.advance(to: UInt32(reached)) { token in
                    late[fired] =
                        Int64(bitPattern: Measuring.clock(CLOCK_MONOTONIC))
                        &- Int64(base + UInt64(token) * 1_000_000)
                    fired += 1
                }
            } else {
                Measuring.sleep(until: base + (position + 1) * 1_000_000)
            }
        }
        let busy = Double(Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu)
        let span = Double(Measuring.clock(CLOCK_MONOTONIC) - wall)
        late.sort()
        func microseconds(_ fraction: Double) -> JSONValue {
            .decimal((Double(Measuring.percentile(late, fraction)) / 100).rounded() / 10)
        }
        emit(
            .record([
                "w": "W4", "peer": .string(Queue.name), "rate": .integer(rate), "p50_us": microseconds(0.5),
                "p99_us": microseconds(0.99), "p999_us": microseconds(0.999), "max_us": microseconds(1),
                "min_us": microseconds(0), "early": .integer(late.count { $0 < 0 }), "count": .integer(fired),
                "expected": .integer(total), "cpu_pct": .decimal((busy / span * 1000).rounded() / 10),
            ]))
    }

    /// W4h: all timers due at one instant; how long until the last callback.
    static func herd(count: Int) {
        _ = escapement_timer_slack_minimize()
        var queue = Queue()
        for index in 0..<count { _ = queue.insert(due: 1000, token: UInt32(index)) }
        let base = Measuring.clock(CLOCK_MONOTONIC)
        let instant = base + 1_000_000_000
        // As the clock thread does: woken where the wheel asks for it, before the instant.
        Measuring.sleep(until: base + 768_000_000)
        var fired = 0
        var sum: UInt64 = 0
        queue.advance(to: 768) { _ in fired += 1 }
        precondition(fired == 0, "nothing is due yet")
        Measuring.sleep(until: instant)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        let first = Measuring.clock(CLOCK_MONOTONIC) - instant
        queue.advance(to: 1000) { token in
            fired += 1
            sum &+= UInt64(token)
        }
        let all = Measuring.clock(CLOCK_MONOTONIC) - instant
        let spent = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu
        precondition(fired == count && sum > 0, "the whole herd must leave")
        func milliseconds(_ nanoseconds: UInt64) -> JSONValue {
            .decimal((Double(nanoseconds) / 1000).rounded() / 1000)
        }
        emit(
            .record([
                "w": "W4h", "peer": .string(Queue.name), "n": .integer(count), "first_ms": milliseconds(first),
                "all_ms": milliseconds(all), "cpu_ms": milliseconds(spent),
                "ns_per": .decimal((Double(all) / Double(count) * 10).rounded() / 10),
            ]))
    }

    /// Fisher and Yates, with the peers' generator.
    private static func permutation(count: Int, seed: UInt64) -> [UInt32] {
        var order = (0..<count).map { UInt32($0) }
        var generator = SplitMix(state: seed ^ 0xc0ffee)
        for index in stride(from: count - 1, to: 0, by: -1) {
            order.swapAt(index, Int((generator.next() >> 11) % UInt64(index + 1)))
        }
        return order
    }
}

/// Wall and processor time at one moment.
struct Mark {
    private let wallNanoseconds = Measuring.clock(CLOCK_MONOTONIC_RAW)
    private let cpuNanoseconds = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)

    /// Nanoseconds of wall time an operation since `start`.
    func wall(_ start: Mark, _ operations: Int) -> JSONValue {
        Self.per(self.wallNanoseconds - start.wallNanoseconds, operations)
    }

    /// Nanoseconds of processor time, user and system, an operation since `start`.
    func cpu(_ start: Mark, _ operations: Int) -> JSONValue {
        Self.per(self.cpuNanoseconds - start.cpuNanoseconds, operations)
    }

    private static func per(_ nanoseconds: UInt64, _ operations: Int) -> JSONValue {
        .decimal((Double(nanoseconds) / Double(max(1, operations)) * 100).rounded() / 100)
    }
}
