import AllocationCount
import EscapementModel
import Glibc
import JSON
import Scheduling
import TickerDomain

/// A ticker that holds millions: what a resident timer and a resident cron schedule cost, how long they take to
/// load, and how late fires leave in real time, at rest and while others are created and deleted.
///
/// The ticker's core as it runs in the product, all shards in it; the lane answers each batch at once. Payloads are
/// one and the same, so that the memory seen is that of the timers.
struct ResidentWorkload: ~Copyable {
    private static let shardCount = 256
    private static let fireSpanMilliseconds: Int64 = 1_000_000
    private static let phaseMilliseconds: Int64 = 10_000
    /// Of creates, and as many of deletes, in the second phase.
    private static let changesPerMillisecond = 5

    private let timers: Int
    private let schedules: Int
    private let payload = [UInt8](repeating: 120, count: 64)
    private var core: TickerCore<[UInt8]>
    private var random = SplitMix(state: 7)
    private var start = WallInstant(milliseconds: 0)
    private var revisions = [UInt64](repeating: 1, count: Self.shardCount)
    /// Timers of the first shard positions that may still be deleted: far ahead, in order of creation.
    private var created: [(shard: Int, uid: UID, due: WallInstant)] = []
    private var fired = 0
    private var late: [Int64] = []

    init(timers: Int, schedules: Int) {
        self.timers = timers
        self.schedules = schedules
        self.core = TickerCore(
            configuration: .init(horizon: .seconds(7200)), laneCount: 1, now: Self.now)
    }

    private static var now: WallInstant {
        WallInstant(milliseconds: Int64(Measuring.clock(CLOCK_REALTIME) / 1_000_000))
    }

    mutating func run() throws(BenchError) {
        let plans = try Self.plans()
        self.open()
        // Everything is due after it is loaded.
        self.start = Self.now.advanced(by: .milliseconds(Int64(self.timers + self.schedules) / 300 + 5000))
        let empty = Measuring.residentBytes()
        let began = Measuring.clock(CLOCK_MONOTONIC)
        for shard in 0..<Self.shardCount {
            self.load(shard, count: self.schedules) { workload, uid in
                .schedule(
                    ScheduleEntry(
                        uid: uid, generation: 1, kind: .cron, createdRevision: Revision(1), replaces: false,
                        from: workload.start, endedRevision: nil, until: nil,
                        plan: plans[Int(workload.random.next() % UInt64(plans.count))], payload: workload.payload,
                        payloadBytes: 64))
            }
        }
        malloc_trim(0)
        let withSchedules = Measuring.residentBytes()
        let scheduled = Measuring.clock(CLOCK_MONOTONIC)
        for shard in 0..<Self.shardCount {
            self.load(shard, count: self.timers) { workload, uid in
                let due = workload.start.advanced(
                    by: .milliseconds(Int64(workload.random.next() % UInt64(Self.fireSpanMilliseconds))))
                return .timer(
                    TimerEntry(
                        uid: uid, revision: Revision(1), due: due, expireAfterMilliseconds: 0,
                        payload: workload.payload, payloadBytes: 64))
            }
            Self.perform(
                self.core.page(ShardID(UInt16(shard)), epoch: Epoch(1), [], revision: Revision(1), last: true))
        }
        malloc_trim(0)
        let loaded = Measuring.clock(CLOCK_MONOTONIC)
        let full = Measuring.residentBytes()
        guard Self.now < self.start else { throw BenchError("loading took longer than was allowed for") }
        emit(
            .record([
                "w": "resident", "timers": .integer(self.timers), "schedules": .integer(self.schedules),
                "bytes_per_schedule": Self.ratio(withSchedules - empty, self.schedules),
                "bytes_per_timer": Self.ratio(full - withSchedules, self.timers),
                "load_schedules_s": Self.seconds(scheduled - began), "load_timers_s": Self.seconds(loaded - scheduled),
                "rss_mib": .integer(Int(full >> 20)),
            ]))
        self.fire("at rest", from: self.start, changes: 0)
        self.fire(
            "changes", from: self.start.advanced(by: .milliseconds(Self.phaseMilliseconds)),
            changes: Self.changesPerMillisecond)
    }

    private static func plans() throws(BenchError) -> [CompiledPlan] {
        let zones = ZoneDatabase(directory: "/usr/share/zoneinfo")
        let cache = ProgramCache()
        let rule = MisfireRule(
            policy: .latest, toleranceMilliseconds: 60_000, windowMilliseconds: 86_400_000, limit: 100)
        var plans: [CompiledPlan] = []
        for minute in 0..<60 {
            do {
                plans.append(
                    CompiledPlan(
                        schedule: try CompiledSchedule(
                            ScheduleDefinition(trigger: .cron(["\(minute) * * * *"])), uid: UID(high: 1, low: 1),
                            createdAt: WallInstant(milliseconds: 0), zones: zones, cache: cache), rule: rule))
            } catch {
                throw BenchError("a plan does not compile: \(error)")
            }
        }
        return plans
    }

    private mutating func open() {
        for shard in 0..<Self.shardCount {
            Self.perform(self.core.assigned(ShardID(UInt16(shard)), epoch: Epoch(1)))
        }
        Self.perform(self.core.feedReachable())
        Self.perform(self.core.laneReachable(LaneID(0)))
        for shard in 0..<Self.shardCount {
            let cursor = Cursor(
                cron: Watermark(through: Self.now), delay: Watermark(through: Self.now), revision: Revision(1))
            Self.perform(
                self.core.opened(
                    ShardID(UInt16(shard)), epoch: Epoch(1), cursor: cursor,
                    credit: Credit(batches: 8, bytes: 8 << 20)))
        }
    }

    private mutating func load(
        _ shard: Int, count: Int, _ make: (inout ResidentWorkload, UID) -> ShardChange<[UInt8]>
    ) {
        var rest = count / Self.shardCount
        while rest > 0 {
            let size = min(rest, 1000)
            var changes: [ShardChange<[UInt8]>] = []
            changes.reserveCapacity(size)
            for _ in 0..<size {
                let uid = UID(high: self.random.next(), low: self.random.next())
                changes.append(make(&self, uid))
            }
            Self.perform(
                self.core.page(
                    ShardID(UInt16(shard)), epoch: Epoch(1), changes, revision: Revision(1), last: false))
            rest -= size
        }
    }

    /// Ten seconds in real time from `begin` on.
    private mutating func fire(_ phase: String, from begin: WallInstant, changes: Int) {
        self.sleep(until: begin.advanced(by: .milliseconds(-300)))
        self.perform(due: Self.now)
        self.fired = 0
        self.late = []
        self.late.reserveCapacity(200_000)
        let end = begin.advanced(by: .milliseconds(Self.phaseMilliseconds))
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        let allocations = escapement_allocation_count()
        var changedAt = Self.now
        var changeCount = 0
        while true {
            let now = Self.now
            if now >= end { break }
            if changes > 0, now > changedAt {
                // As a leader's deltas come: what fell due in the milliseconds since the last look.
                let count = Int(min(now.milliseconds - changedAt.milliseconds, 100)) * changes
                for _ in 0..<count { self.change(now) }
                changeCount += count
                changedAt = now
            }
            self.perform(due: Self.now)
            let wake = self.core.nextWake ?? end
            let next = changes > 0 ? min(wake, changedAt.advanced(by: .milliseconds(1))) : wake
            self.sleep(until: min(next, end))
        }
        let spent = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu
        let made = escapement_allocation_count() - allocations
        self.late.sort()
        let seconds = Double(Self.phaseMilliseconds) / 1000
        emit(
            .record([
                "w": "resident-fires", "phase": .string(phase), "fires_s": .integer(Int(Double(self.fired) / seconds)),
                "creates_s": .integer(Int(Double(changeCount) / seconds)),
                "deletes_s": .integer(Int(Double(changeCount) / seconds)),
                "p50_ms": .integer(Int(Measuring.percentile(self.late, 0.5))),
                "p99_ms": .integer(Int(Measuring.percentile(self.late, 0.99))),
                "p999_ms": .integer(Int(Measuring.percentile(self.late, 0.999))),
                "max_ms": .integer(Int(self.late.last ?? 0)), "early": .integer(self.late.count { $0 < 0 }),
                "cpu_pct": .decimal((Double(spent) / seconds / 1e7 * 10).rounded() / 10),
                "allocations_per_fire": Self.ratio(UInt64(made), max(1, self.fired)),
            ]))
    }

    /// One timer comes, and one that came before goes.
    private mutating func change(_ now: WallInstant) {
        let shard = Int(self.random.next() % UInt64(Self.shardCount))
        let uid = UID(high: self.random.next(), low: self.random.next())
        let due = now.advanced(by: .milliseconds(60_000 + Int64(self.random.next() % 600_000)))
        let payload = self.payload
        self.delta(shard) { revision in
            .timer(
                TimerEntry(
                    uid: uid, revision: revision, due: due, expireAfterMilliseconds: 0, payload: payload,
                    payloadBytes: 64))
        }
        self.created.append((shard, uid, due))
        let old = self.created.remove(at: Int(self.random.next() % UInt64(self.created.count)))
        // Half of them stay, so that the ticker grows as it would.
        self.delta(old.shard) { _ in .timerCancelled(uid: old.uid, due: old.due) }
    }

    private mutating func delta(_ shard: Int, _ change: (Revision) -> ShardChange<[UInt8]>) {
        let from = Revision(self.revisions[shard])
        self.revisions[shard] += 1
        let through = Revision(self.revisions[shard])
        Self.perform(self.core.delta(ShardID(UInt16(shard)), [change(through)], from: from, through: through))
    }

    private mutating func perform(due now: WallInstant) {
        var batches: [PlannedBatch<[UInt8]>] = []
        self.core.tick(now: now) { action in
            if case .fire(_, let batch) = action { batches.append(batch) }
        }
        guard !batches.isEmpty else { return }
        let left = Self.now.milliseconds
        for batch in batches {
            for occurrence in batch.occurrences { self.late.append(left - occurrence.due.milliseconds) }
            self.fired += batch.occurrences.count
            Self.perform(self.core.acknowledged(batch.shard, epoch: batch.epoch, cursor: batch.to))
        }
    }

    /// Nothing but fires is of interest here: the lane and the leader are this program.
    private static func perform(_ actions: [TickerAction<[UInt8]>]) {}

    private func sleep(until instant: WallInstant) {
        let nanoseconds = instant.milliseconds * 1_000_000 - Int64(Measuring.clock(CLOCK_REALTIME))
        guard nanoseconds > 0 else { return }
        Measuring.sleep(until: Measuring.clock(CLOCK_MONOTONIC) + UInt64(nanoseconds))
    }

    private static func ratio(_ total: UInt64, _ count: Int) -> JSONValue {
        .decimal((Double(total) / Double(max(1, count)) * 10).rounded() / 10)
    }

    private static func seconds(_ nanoseconds: UInt64) -> JSONValue {
        .decimal((Double(nanoseconds) / 1e8).rounded() / 10)
    }
}
