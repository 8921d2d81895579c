import AllocationCount
import EscapementModel
import NIOCore
import Scheduling
import Testing
import TickerDomain
import WireProtocol

@testable import TickerService

/// From a due instant to an encoded frame: blocks of memory from the heap are a matter of batches, not of fires.
@Suite struct FireOutAllocationTests {
    private static let start = WallInstant(milliseconds: 1_800_000_000_000)

    /// One shard that fires `schedules` schedules every second.
    private struct Stage: ~Copyable {
        var core: TickerCore<[UInt8]>
        var form = FireForm()
        var second: Int64 = 0
        var fires = 0
        var batches = 0

        init(schedules: Int) throws {
            let start = FireOutAllocationTests.start
            let plan = CompiledPlan(
                schedule: try CompiledSchedule(
                    ScheduleDefinition(trigger: .cron(["* * * * * *"])), uid: UID(high: 0, low: 1), createdAt: start,
                    zones: ZoneDatabase(directory: "/usr/share/zoneinfo")),
                rule: MisfireRule(
                    policy: .latest, toleranceMilliseconds: 60_000, windowMilliseconds: 3_600_000, limit: 60))
            let template = FireTemplate(
                origin: .schedule, namespace: "guest", name: "nightly", payload: ByteBuffer(repeating: 120, count: 64))
            let payload = Array(template.encoded().readableBytesView)
            let changes = (1...schedules).map { number -> ShardChange<[UInt8]> in
                .schedule(
                    ScheduleEntry(
                        uid: UID(high: 0, low: UInt64(number)), generation: 1, kind: .cron,
                        createdRevision: Revision(1), replaces: false, from: start, endedRevision: nil, until: nil,
                        plan: plan, payload: payload, payloadBytes: payload.count))
            }
            self.core = TickerCore(configuration: .init(), laneCount: 1, now: start)
            _ = self.core.feedReachable()
            _ = self.core.laneReachable(LaneID(0))
            _ = self.core.assigned(ShardID(0), epoch: Epoch(1))
            let settled = Watermark(through: start)
            _ = self.core.opened(
                ShardID(0), epoch: Epoch(1), cursor: Cursor(cron: settled, delay: settled, revision: Revision(1)),
                credit: Credit(batches: 16, bytes: 16 << 20))
            _ = self.core.page(ShardID(0), epoch: Epoch(1), changes, revision: Revision(1), last: true)
        }

        /// Blocks taken while everything of so many seconds is fired and encoded.
        mutating func allocations(seconds: Int) -> Int {
            (self.fires, self.batches) = (0, 0)
            let before = escapement_thread_allocation_count()
            for _ in 0..<seconds {
                self.second += 1
                var cursor: Cursor?
                self.core.tick(now: FireOutAllocationTests.start.advanced(by: .seconds(self.second))) { action in
                    guard case .fire(_, let batch) = action else { return }
                    cursor = batch.to
                    self.fires += batch.occurrences.count
                    self.batches += 1
                    precondition(Frame(self.form.message(of: batch)).payload.readableBytes > 0)
                    self.form.clear()
                }
                if let cursor { _ = self.core.acknowledged(ShardID(0), epoch: Epoch(1), cursor: cursor) }
            }
            return Int(escapement_thread_allocation_count() - before)
        }
    }

    @Test func `a fire on its way out allocates nothing, a batch its frame`() throws {
        var stage = try Stage(schedules: 300)
        // Queues and buffers find their size.
        _ = stage.allocations(seconds: 10)
        let allocated = stage.allocations(seconds: 10)
        try #require(stage.fires == 10 * 300 && stage.batches == 10)
        #if DEBUG
        // See `RefireAllocationTests`; here also the closures that encode nested fields.
        #expect(allocated <= stage.fires * 16, "\(allocated) for \(stage.fires) fires")
        #else
        #expect(allocated <= stage.batches * 4, "\(allocated) for \(stage.batches) batches")
        #endif
    }
}
