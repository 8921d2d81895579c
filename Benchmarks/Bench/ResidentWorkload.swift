import AllocationCount
import EscapementModel
import Glibc
import JSON
import Scheduling
import TickerDomain

/// A ticker that holds millions: what a resident timer and a resident cron schedule cost, how long they take to
/// load, and how late fires leave in real time: at rest, while others are created and deleted, and over the start of
/// a minute, at which a sixtieth of the schedules fires.
///
/// The ticker's core as it runs in the product, all shards in it; the lane answers each batch at once. Payloads are
/// one and the same, so that the memory seen is that of the timers, unless each is to have one of its own. The workload's clock is set when everything is
/// loaded, so that loading may take what it takes.
struct ResidentWorkload: ~Copyable {
    private static let shardCount = 256
    private static let fireSpanMilliseconds: Int64 = 1_000_000
    private static let phaseMilliseconds: Int64 = 10_000
    /// Of creates, and as many of deletes, in the second phase.
    private static let changesPerMillisecond = 5
    /// Ten seconds of rest and ten of changes lie before the start of a minute.
    private static let start = WallInstant(milliseconds: 1_800_000_000_000 + 35_000)

    private let timers: Int
    private let schedules: Int
    private let payload = [UInt8](repeating: 120, count: 64)
    /// Bytes of a payload, of which then none is like another; `nil` for one that all share.
    private let distinctBytes: Int?
    private var core: TickerCore<[UInt8]>
    private var random = SplitMix(state: 7)
    private var revisions = [UInt64](repeating: 1, count: Self.shardCount)
    /// Timers that may be deleted: far ahead, in order of creation.
    private var created: [(shard: Int, uid: UID, due: WallInstant)] = []
    private var late: [Int64] = []
    private var answers: [(shard: ShardID, cursor: Cursor)] = []
    /// From the machine's clock to the workload's, in nanoseconds.
    private var offset: Int64 = 0

    init(timers: Int, schedules: Int, distinctBytes: Int? = nil) {
        self.distinctBytes = distinctBytes
        self.timers = timers
        self.schedules = schedules
        self.core = TickerCore(
            configuration: .init(horizon: .seconds(7200), timersMax: .max, payloadBytesMax: .max, lead: .seconds(1800)),
            laneCount: 1,
            now: Self.start.advanced(by: .milliseconds(-1000)))
    }

    private var nanoseconds: Int64 { Int64(Measuring.clock(CLOCK_MONOTONIC)) + self.offset }

    private var now: WallInstant { WallInstant(milliseconds: self.nanoseconds / 1_000_000) }

    mutating func run() throws(BenchError) {
        let plans = try Self.plans()
        self.open()
        let empty = Measuring.residentBytes()
        let began = Measuring.clock(CLOCK_MONOTONIC)
        for shard in 0..<Self.shardCount {
            self.load(shard, count: self.schedules) { workload, uid in
                .schedule(
                    ScheduleEntry(
                        uid: uid, generation: 1, kind: .cron, createdRevision: Revision(1), replaces: false,
                        from: Self.start, endedRevision: nil, until: nil,
                        plan: plans[Int(workload.random.next() % UInt64(plans.count))], payload: workload.nextPayload(),
                        payloadBytes: workload.distinctBytes ?? 64))
            }
            // Complete, so that it is planned; timers follow as those of a later horizon do.
            _ = self.core.page(ShardID(UInt16(shard)), epoch: Epoch(1), [], revision: Revision(1), last: true)
        }
        let scheduled = Measuring.clock(CLOCK_MONOTONIC)
        malloc_trim(0)
        let withSchedules = Measuring.residentBytes()
        let continued = Measuring.clock(CLOCK_MONOTONIC)
        try self.loadTimers()
        let loaded = Measuring.clock(CLOCK_MONOTONIC)
        malloc_trim(0)
        let full = Measuring.residentBytes()
        emit(
            .record([
                "w": "resident", "distinct_payload_bytes": self.distinctBytes.map { .integer($0) },
                "timers": .integer(self.timers), "schedules": .integer(self.schedules),
                "bytes_per_schedule": Self.ratio(withSchedules - empty, self.schedules),
                "bytes_per_timer": Self.ratio(full - withSchedules, self.timers),
                "load_schedules_s": Self.seconds(scheduled - began), "load_timers_s": Self.seconds(loaded - continued),
                "rss_mib": .integer(Int(full >> 20)),
            ]))
        self.offset = Self.start.milliseconds * 1_000_000 - 1_000_000_000 - Int64(Measuring.clock(CLOCK_MONOTONIC))
        self.fire("at rest", from: Self.start, changes: 0)
        let second = Self.start.advanced(by: .milliseconds(Self.phaseMilliseconds))
        self.fire("changes", from: second, changes: Self.changesPerMillisecond)
        let third = second.advanced(by: .milliseconds(Self.phaseMilliseconds))
        self.fire("start of a minute", from: third, changes: 0)
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
        let start = Watermark(through: Self.start.advanced(by: .milliseconds(-1000)))
        for shard in 0..<Self.shardCount { _ = self.core.assigned(ShardID(UInt16(shard)), epoch: Epoch(1)) }
        _ = self.core.feedReachable()
        _ = self.core.laneReachable(LaneID(0))
        for shard in 0..<Self.shardCount {
            _ = self.core.opened(
                ShardID(UInt16(shard)), epoch: Epoch(1),
                cursor: Cursor(cron: start, delay: start, revision: Revision(1)),
                credit: Credit(batches: 8, bytes: 8 << 20))
        }
    }

    /// What a leader sends: pages of a thousand.
    private mutating func load(
        _ shard: Int, count: Int, _ make: (inout ResidentWorkload, UID) -> ShardChange<[UInt8]>
    ) {
        var changes: [ShardChange<[UInt8]>] = []
        var rest = count / Self.shardCount
        while rest > 0 {
            let size = min(rest, 1000)
            changes.removeAll(keepingCapacity: true)
            for _ in 0..<size { changes.append(make(&self, self.nextUID())) }
            _ = self.core.page(ShardID(UInt16(shard)), epoch: Epoch(1), changes, revision: Revision(1), last: false)
            rest -= size
        }
    }

    /// Timers come as the pages of a horizon, which all shards ask for as soon as they are active.
    private mutating func loadTimers() throws(BenchError) {
        var asked: [ShardID: WallInstant] = [:]
        self.core.tick(now: Self.start.advanced(by: .milliseconds(-1000))) { action in
            if case .requestHorizon(let shard, _, _, let through) = action { asked[shard] = through }
        }
        for number in 0..<Self.shardCount {
            let shard = ShardID(UInt16(number))
            guard let through = asked[shard] else { throw BenchError("shard \(number) asked for no horizon") }
            var timers: [TimerEntry<[UInt8]>] = []
            var rest = self.timers / Self.shardCount
            while rest > 0 {
                let size = min(rest, 1000)
                timers.removeAll(keepingCapacity: true)
                for _ in 0..<size {
                    let due = Self.start.advanced(
                        by: .milliseconds(Int64(self.random.next() % UInt64(Self.fireSpanMilliseconds))))
                    timers.append(
                        TimerEntry(
                            uid: self.nextUID(), revision: Revision(1), due: due, expireAfterMilliseconds: 0,
                            payload: self.nextPayload(), payloadBytes: self.distinctBytes ?? 64))
                }
                rest -= size
                _ = self.core.horizonPage(shard, epoch: Epoch(1), timers, through: through, last: rest == 0)
            }
        }
        guard self.core.timerCount == self.timers / Self.shardCount * Self.shardCount else {
            throw BenchError("\(self.core.timerCount) timers in memory")
        }
    }

    private mutating func nextPayload() -> [UInt8] {
        guard let distinctBytes else { return self.payload }
        let number = self.random.next()
        return [UInt8](unsafeUninitializedCapacity: distinctBytes) { bytes, count in
            bytes.initialize(repeating: 120)
            withUnsafeBytes(of: number) { UnsafeMutableRawBufferPointer(bytes).copyBytes(from: $0) }
            count = distinctBytes
        }
    }

    private mutating func nextUID() -> UID { UID(high: self.random.next(), low: self.random.next()) }

    /// Ten seconds in real time from `begin` on.
    private mutating func fire(_ phase: String, from begin: WallInstant, changes: Int) {
        self.sleep(until: begin)
        self.perform()
        self.late = []
        self.late.reserveCapacity(400_000)
        let end = begin.advanced(by: .milliseconds(Self.phaseMilliseconds))
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        let allocations = escapement_allocation_count()
        var changedAt = self.now
        var changeCount = 0
        while true {
            let now = self.now
            if now >= end { break }
            if changes > 0, now > changedAt {
                // As a leader's deltas come: what fell due in the milliseconds since the last look.
                let count = Int(min(now.milliseconds - changedAt.milliseconds, 100)) * changes
                for _ in 0..<count { self.change(now) }
                changeCount += count
                changedAt = now
            }
            self.perform()
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
                "w": "resident-fires", "phase": .string(phase),
                "fires_s": .integer(Int(Double(self.late.count) / seconds)),
                "creates_s": .integer(Int(Double(changeCount) / seconds)),
                "deletes_s": .integer(Int(Double(changeCount) / seconds)),
                "p50_us": .integer(Int(Measuring.percentile(self.late, 0.5))),
                "p99_us": .integer(Int(Measuring.percentile(self.late, 0.99))),
                "p999_us": .integer(Int(Measuring.percentile(self.late, 0.999))),
                "max_us": .integer(Int(self.late.last ?? 0)), "early": .integer(self.late.count { $0 < 0 }),
                "cpu_pct": .decimal((Double(spent) / seconds / 1e7 * 10).rounded() / 10),
                "allocations_per_fire": .decimal(
                    (Double(made) / Double(max(1, self.late.count)) * 1000).rounded() / 1000),
            ]))
    }

    /// One timer comes, and one that came before goes.
    private mutating func change(_ now: WallInstant) {
        let shard = Int(self.random.next() % UInt64(Self.shardCount))
        let uid = self.nextUID()
        let due = now.advanced(by: .milliseconds(60_000 + Int64(self.random.next() % 600_000)))
        let payload = self.nextPayload()
        let payloadBytes = payload.count
        self.delta(shard) { revision in
            .timer(
                TimerEntry(
                    uid: uid, revision: revision, due: due, expireAfterMilliseconds: 0, payload: payload,
                    payloadBytes: payloadBytes))
        }
        self.created.append((shard, uid, due))
        let chosen = Int(self.random.next() % UInt64(self.created.count))
        self.created.swapAt(chosen, self.created.count - 1)
        guard let old = self.created.popLast() else { return }
        self.delta(old.shard) { _ in .timerCancelled(uid: old.uid, due: old.due) }
    }

    private mutating func delta(_ shard: Int, _ change: (Revision) -> ShardChange<[UInt8]>) {
        let from = Revision(self.revisions[shard])
        self.revisions[shard] += 1
        let through = Revision(self.revisions[shard])
        _ = self.core.delta(ShardID(UInt16(shard)), [change(through)], from: from, through: through)
    }

    /// Fires what is due; the lane has it, and answers when the turn is over.
    private mutating func perform() {
        let offset = self.offset
        var late: [Int64] = []
        swap(&late, &self.late)
        var answers: [(shard: ShardID, cursor: Cursor)] = []
        swap(&answers, &self.answers)
        self.core.tick(now: self.now) { action in
            guard case .fire(_, let batch) = action else { return }
            let left = (Int64(Measuring.clock(CLOCK_MONOTONIC)) + offset) / 1000
            for occurrence in batch.occurrences { late.append(left - occurrence.due.milliseconds * 1000) }
            answers.append((batch.shard, batch.to))
        }
        for answer in answers { _ = self.core.acknowledged(answer.shard, epoch: Epoch(1), cursor: answer.cursor) }
        answers.removeAll(keepingCapacity: true)
        swap(&answers, &self.answers)
        swap(&late, &self.late)
    }

    private func sleep(until instant: WallInstant) {
        let end = instant.milliseconds * 1_000_000 - self.offset
        guard end > 0 else { return }
        Measuring.sleep(until: UInt64(end))
    }

    private static func ratio(_ total: UInt64, _ count: Int) -> JSONValue {
        .decimal((Double(total) / Double(max(1, count)) * 10).rounded() / 10)
    }

    private static func seconds(_ nanoseconds: UInt64) -> JSONValue {
        .decimal((Double(nanoseconds) / 1e8).rounded() / 10)
    }
}
