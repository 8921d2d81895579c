import AllocationCount
import EscapementModel
import Glibc
import JSON
import NIOCore
import Scheduling
import TickerDomain
import TickerService
import WireProtocol

/// What a fire costs a ticker from its due instant to the frame that a link takes: the occurrence expanded and the next one
/// planned, and the batch in the form of the wire. Processor time of both apart, and blocks of memory from the heap, of
/// which there must be none for a fire.
struct FireOutWorkload {
    private static let start = WallInstant(milliseconds: 1_800_000_000_000)
    private static let warmUpSeconds: Int64 = 20
    private static let secondsPerRound: Int64 = 20
    private static let rounds = 9
    /// A frame and its memory.
    private static let allocationsPerBatchMax = 4

    let schedules: Int
    let payloadBytes: Int

    /// One shard on its owner, and the time.
    private struct Stage: ~Copyable {
        var core: TickerCore<[UInt8]>
        var form = FireForm()
        var now: Int64 = 0
        var fires = 0
        var batches = 0
        var frameBytes = 0

        /// Fires everything of so many seconds.
        mutating func pass(seconds: Int64, encodes: Bool) {
            for _ in 0..<seconds {
                self.now += 1
                let instant = FireOutWorkload.start.advanced(by: .seconds(self.now))
                var cursor: Cursor?
                repeat {
                    cursor = nil
                    self.core.tick(now: instant) { action in
                        guard case .fire(_, let batch) = action else { return }
                        cursor = batch.to
                        self.fires += batch.occurrences.count
                        self.batches += 1
                        guard encodes else { return }
                        self.frameBytes += Frame(self.form.message(of: batch)).payload.readableBytes
                        self.form.clear()
                    }
                    if let cursor { _ = self.core.acknowledged(ShardID(0), epoch: Epoch(1), cursor: cursor) }
                } while cursor != nil
            }
        }
    }

    func run() throws(BenchError) {
        var stage = Stage(core: try self.core())
        stage.pass(seconds: Self.warmUpSeconds, encodes: true)
        var plan: [Double] = []
        var both: [Double] = []
        var allocations = 0
        stage.batches = 0
        stage.frameBytes = 0
        var encoded = (fires: 0, batches: 0)
        for _ in 0..<Self.rounds {
            for encodes in [false, true] {
                let (fires, batches) = (stage.fires, stage.batches)
                let before = escapement_allocation_count()
                let cpu = Measuring.clock(CLOCK_THREAD_CPUTIME_ID)
                stage.pass(seconds: Self.secondsPerRound, encodes: encodes)
                let spent = Measuring.clock(CLOCK_THREAD_CPUTIME_ID) - cpu
                let perFire = Double(spent) / Double(max(1, stage.fires - fires))
                if encodes {
                    both.append(perFire)
                    allocations += Int(escapement_allocation_count() - before)
                    encoded.fires += stage.fires - fires
                    encoded.batches += stage.batches - batches
                } else {
                    plan.append(perFire)
                }
            }
        }
        let expand = Self.median(plan)
        func decimal(_ value: Double) -> JSONValue { .decimal((value * 100).rounded() / 100) }
        emit(
            .record([
                "w": "fire-out", "schedules": .integer(self.schedules), "payload_bytes": .integer(self.payloadBytes),
                "fired": .integer(encoded.fires), "batches": .integer(encoded.batches),
                "frame_bytes_per_fire": decimal(Double(stage.frameBytes) / Double(max(1, encoded.fires))),
                "expand_ns": decimal(expand), "encode_ns": decimal(Self.median(both) - expand),
                "allocations_per_batch": decimal(Double(allocations) / Double(max(1, encoded.batches))),
                "allocations_per_fire": decimal(Double(allocations) / Double(max(1, encoded.fires))),
            ]))
        guard allocations <= Self.allocationsPerBatchMax * encoded.batches else {
            throw BenchError("\(allocations) allocations for \(encoded.batches) batches")
        }
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

    private func core() throws(BenchError) -> TickerCore<[UInt8]> {
        let plan = try RefireWorkload.everySecond(from: Self.start)
        let template = FireTemplate(
            origin: .schedule, namespace: "guest", name: "nightly-report", action: "/guest/reports/nightly",
            payload: ByteBuffer(repeating: 120, count: self.payloadBytes))
        let payload = Array(template.encoded().readableBytesView)
        var random = SplitMix(state: 7)
        let changes = (0..<self.schedules).map { _ in
            ShardChange.schedule(
                ScheduleEntry(
                    uid: UID(high: random.next(), low: random.next()), generation: 1, kind: .cron,
                    createdRevision: Revision(1), replaces: false, from: Self.start, endedRevision: nil, until: nil,
                    plan: plan, payload: payload, payloadBytes: payload.count))
        }
        var core = TickerCore<[UInt8]>(configuration: .init(), laneCount: 1, now: Self.start)
        _ = core.feedReachable()
        _ = core.laneReachable(LaneID(0))
        _ = core.assigned(ShardID(0), epoch: Epoch(1))
        let settled = Watermark(through: Self.start)
        _ = core.opened(
            ShardID(0), epoch: Epoch(1), cursor: Cursor(cron: settled, delay: settled, revision: Revision(1)),
            credit: Credit(batches: 1 << 20, bytes: 1 << 40))
        _ = core.page(ShardID(0), epoch: Epoch(1), changes, revision: Revision(1), last: true)
        return core
    }
}
