import AllocationCount
import EscapementModel
import Glibc
import JSON
import Scheduling
import TickerDomain

/// What it costs a shard that a schedule fires and is planned again: processor time, and blocks of memory from the
/// heap, of which there must be none.
struct RefireWorkload {
    private static let start = WallInstant(milliseconds: 1_800_000_000_000)
    private static let warmUpSeconds: Int64 = 20
    private static let measuredSeconds: Int64 = 200

    let schedules: Int

    func run() throws(BenchError) {
        var firing = try self.shard()
        var draft = FireDraft<[UInt8]>()
        _ = Self.fire(&firing, &draft, seconds: 1...Self.warmUpSeconds)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        let before = escapement_allocation_count()
        let last = Self.warmUpSeconds + Self.measuredSeconds
        let fired = Self.fire(&firing, &draft, seconds: Self.warmUpSeconds + 1...last)
        let allocated = escapement_allocation_count() - before
        let spent = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu
        emit(
            .record([
                "w": "refire", "schedules": .integer(self.schedules), "fired": .integer(fired),
                "expected": .integer(self.schedules * Int(Self.measuredSeconds)),
                "cpu_ns": .decimal((Double(spent) / Double(max(1, fired)) * 10).rounded() / 10),
                "allocations": .integer(Int(allocated)),
            ]))
        guard allocated == 0 else { throw BenchError("firing again allocated \(allocated) times") }
    }

    private static func fire(
        _ firing: inout ShardFiring<[UInt8]>, _ draft: inout FireDraft<[UInt8]>, seconds: ClosedRange<Int64>
    ) -> Int {
        var fired = 0
        for second in seconds {
            let now = Self.start.advanced(by: .seconds(second))
            while let batch = firing.plan(now: now, in: &draft) {
                fired += batch.occurrences.count
                firing.acknowledged(batch.to)
            }
        }
        return fired
    }

    /// The plan of every second.
    static func everySecond(from start: WallInstant) throws(BenchError) -> CompiledPlan {
        do {
            return CompiledPlan(
                schedule: try CompiledSchedule(
                    ScheduleDefinition(trigger: .cron(["* * * * * *"])), uid: UID(high: 1, low: 1),
                    createdAt: start, zones: ZoneDatabase(directory: "/usr/share/zoneinfo")),
                rule: MisfireRule(
                    policy: .latest, toleranceMilliseconds: 60_000, windowMilliseconds: 3_600_000, limit: 60))
        } catch {
            throw BenchError("a plan does not compile: \(error)")
        }
    }

    private func shard() throws(BenchError) -> ShardFiring<[UInt8]> {
        let plan = try Self.everySecond(from: Self.start)
        var firing = ShardFiring<[UInt8]>(shard: ShardID(0), epoch: Epoch(1), now: Self.start)
        let cursor = Watermark(through: Self.start)
        firing.opened(
            cursor: Cursor(cron: cursor, delay: cursor, revision: Revision(1)),
            credit: Credit(batches: 8, bytes: 8 << 20))
        firing.snapshotRequested(horizon: Self.start)
        var random = SplitMix(state: 7)
        var changes: [ShardChange<[UInt8]>] = []
        for _ in 0..<self.schedules {
            changes.append(
                .schedule(
                    ScheduleEntry(
                        uid: UID(high: random.next(), low: random.next()), generation: 1, kind: .cron,
                        createdRevision: Revision(1), replaces: false, from: Self.start, endedRevision: nil, until: nil,
                        plan: plan, payload: [UInt8](repeating: 120, count: 64), payloadBytes: 64)))
        }
        firing.load(changes, revision: Revision(1), last: true)
        return firing
    }
}
