import AllocationCount
import DispatcherDomain
import DispatcherService
import EscapementModel
import Glibc
import JSON
import NIOCore
import Observability
import WireProtocol

/// A dispatcher's work for a fire but for TLS and Kafka's part, on one thread: it is read from its frame, what its round
/// sends, what follows from the fates, and the metrics of that. Processor time, and blocks of memory from the heap.
struct PlanWorkload {
    private static let shard = ShardID(0)
    private static let epoch = Epoch(1)
    private static let session = SessionID(1)

    /// Fires of one round of the measurement.
    let count: Int
    let size: Int
    let rounds: Int

    init(_ arguments: [String]) throws(BenchError) {
        let numbers = try arguments.map { text throws(BenchError) in
            guard let number = Int(text), number > 0 else { throw BenchError("plan needs numbers, not '\(text)'") }
            return number
        }
        let batch = FireSample.batchCount
        self.count = max(1, (numbers.first ?? 200_000) / batch) * batch
        self.size = numbers.dropFirst().first ?? 512
        self.rounds = numbers.dropFirst(2).first ?? 9
    }

    /// One lane with one open shard, and the time.
    private struct Stage: ~Copyable {
        private var lane = Lane<FireWork>(id: LaneID(0), epoch: PlanWorkload.epoch)
        private var cursor = Cursor.start
        private var now = FireSample.due
        private let template: ByteBuffer
        private let rules = FireSample.rules()
        private let metrics: DispatcherMetrics
        private let health = TopicHealth()
        private let fates: [RecordFate] = (0..<FireSample.batchCount).map {
            .delivered(partition: 0, offset: Int64($0), attempts: 1)
        }
        private(set) var nanoseconds: UInt64 = 0
        private(set) var allocations: UInt64 = 0

        init(size: Int) {
            self.template = FireSample(size: size).template.encoded()
            self.metrics = DispatcherMetrics(
                Observability(
                    identity: ProcessIdentity(role: "dispatcher", instance: "d", cluster: "bench", revision: "")
                ).metrics)
            _ = self.lane.recovered(.unused)
            _ = self.lane.open(PlanWorkload.shard, epoch: PlanWorkload.epoch, session: PlanWorkload.session)
            _ = self.lane.beginRound()
            _ = self.lane.commitRound()
        }

        /// Settles one batch.
        mutating func pass() throws(BenchError) {
            self.now = self.now.advanced(by: .milliseconds(1))
            let frame = Frame(
                FireSample.batch(
                    PlanWorkload.shard, epoch: PlanWorkload.epoch, from: &self.cursor, now: self.now,
                    template: self.template))
            let allocations = escapement_thread_allocation_count()
            let cpu = Measuring.clock(CLOCK_THREAD_CPUTIME_ID)
            try self.offer(frame)
            guard let round = self.lane.beginRound() else { throw BenchError("the lane begins no round") }
            self.settle(round)
            self.nanoseconds += Measuring.clock(CLOCK_THREAD_CPUTIME_ID) - cpu
            self.allocations += escapement_thread_allocation_count() - allocations
            _ = self.lane.commitRound()
        }

        private mutating func offer(_ frame: Frame) throws(BenchError) {
            let batch: FireBatch
            do throws(WireError) {
                batch = try frame.decode(FireBatch.self)
            } catch {
                throw BenchError("the frame cannot be read: \(error)")
            }
            let offer = Lane<FireWork>.Offer(
                session: PlanWorkload.session, shard: batch.shard, epoch: batch.epoch, from: batch.from, to: batch.to,
                byteCount: frame.payload.readableBytes,
                work: FireWork(occurrences: batch.occurrences, ticker: NodeID("ticker-1")))
            if let refusal = self.lane.offer(offer, now: self.now) { throw BenchError("refused: \(refusal)") }
        }

        /// A function of its own, so that what it makes is gone when it returns.
        @inline(never) private func settle(_ round: Lane<FireWork>.Round) {
            let plan = RoundPlan(
                round, lane: LaneID(0), laneEpoch: PlanWorkload.epoch, rules: self.rules, health: self.health,
                now: self.now)
            self.metrics.settled(plan.settlement(self.fates, now: self.now))
        }
    }

    func run() throws(BenchError) {
        var stage = Stage(size: self.size)
        var nanoseconds: [Double] = []
        var allocations: [Double] = []
        // The first one warms up.
        for round in 0...self.rounds {
            let before = (nanoseconds: stage.nanoseconds, allocations: stage.allocations)
            for _ in 0..<self.count / FireSample.batchCount { try stage.pass() }
            guard round > 0 else { continue }
            nanoseconds.append(Double(stage.nanoseconds - before.nanoseconds) / Double(self.count))
            allocations.append(Double(stage.allocations - before.allocations) / Double(self.count))
        }
        emit(
            .record([
                "w": "plan", "peer": "escapement", "size": .integer(self.size), "n": .integer(self.count),
                "ns": Self.median(nanoseconds), "allocations": Self.median(allocations),
            ]))
    }

    private static func median(_ values: [Double]) -> JSONValue {
        .decimal((values.sorted()[values.count / 2] * 100).rounded() / 100)
    }
}
