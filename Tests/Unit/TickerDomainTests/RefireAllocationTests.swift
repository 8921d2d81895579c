import AllocationCount
import EscapementModel
import Scheduling
import Testing
import TickerDomain

/// A schedule that fires is planned again, and a timer leaves, without a block of memory from the heap.
@Suite struct RefireAllocationTests {
    private static let start = WallInstant(milliseconds: 1_800_000_000_000)

    private func schedule(_ number: UInt64, plan: CompiledPlan) -> ShardChange<[UInt8]> {
        .schedule(
            ScheduleEntry(
                uid: UID(high: 0, low: number), generation: 1, kind: .cron, createdRevision: Revision(1),
                replaces: false, from: Self.start, endedRevision: nil, until: nil, plan: plan,
                payload: [1, 2, 3], payloadBytes: 3))
    }

    private func timer(_ number: UInt64, due: WallInstant) -> ShardChange<[UInt8]> {
        .timer(
            TimerEntry(
                uid: UID(high: 1, low: number), revision: Revision(1), due: due, expireAfterMilliseconds: 0,
                payload: [4, 5, 6], payloadBytes: 3))
    }

    /// A shard with 50 schedules of every second, and ten timers in each of the first 200 seconds.
    private func shard() throws -> ShardFiring<[UInt8]> {
        let zones = ZoneDatabase(directory: "/usr/share/zoneinfo")
        let plan = CompiledPlan(
            schedule: try CompiledSchedule(
                ScheduleDefinition(trigger: .cron(["* * * * * *"])), uid: UID(high: 0, low: 1),
                createdAt: Self.start, zones: zones),
            rule: MisfireRule(policy: .latest, toleranceMilliseconds: 60_000, windowMilliseconds: 3_600_000, limit: 60))
        var firing = ShardFiring<[UInt8]>(shard: ShardID(0), epoch: Epoch(1), now: Self.start)
        firing.opened(
            cursor: Cursor(
                cron: Watermark(through: Self.start), delay: Watermark(through: Self.start), revision: Revision(1)),
            credit: Credit(batches: 4, bytes: 1 << 20))
        firing.snapshotRequested(horizon: Self.start.advanced(by: .seconds(1000)))
        var changes = (1...50).map { self.schedule($0, plan: plan) }
        for number in 0..<2000 {
            let due = Self.start.advanced(by: .milliseconds(Int64(number / 10) * 1000 + 500))
            changes.append(self.timer(UInt64(number), due: due))
        }
        firing.load(changes, revision: Revision(1), last: true)
        return firing
    }

    @Test func `firing again, and firing a timer, allocate nothing`() throws {
        var firing = try self.shard()
        var draft = FireDraft<[UInt8]>()
        var fired = 0
        func seconds(_ range: ClosedRange<Int64>) {
            for second in range {
                let now = Self.start.advanced(by: .seconds(second))
                while let batch = firing.plan(now: now, in: &draft) {
                    fired += batch.occurrences.count
                    firing.acknowledged(batch.to)
                }
            }
        }
        // Queues find their size.
        seconds(1...60)
        fired = 0
        let before = escapement_thread_allocation_count()
        seconds(61...190)
        let allocated = escapement_thread_allocation_count() - before
        #expect(fired == 130 * 60)
        #if DEBUG
        // The standard library's accessors keep their frames on the heap where they are not compiled for their element:
        // reading the least of a heap, the next of an array, and a closure of the calendar.
        #expect(allocated <= UInt64(fired) * 7 / 2, "\(allocated) allocations for \(fired) fires")
        #else
        #expect(allocated == 0)
        #endif
    }
}
