import AllocationCount
import DispatcherDomain
import DispatcherKafka
import DispatcherService
import EscapementModel
import Glibc
import JSON
import KafkaClient
import Logging
import NIOCore
import Observability
import ServiceConfiguration
import Synchronization
import WireProtocol

/// What a dispatcher acknowledges: its lanes, which take batches of fires and publish them with their journal, and it as
/// a whole process fed over its links; beside librdkafka alone with the same records and with bare values, in turn,
/// against a mock broker. The broker, the process and the loops of librdkafka are not in this process.
struct DispatchWorkload {
    private static let lanes = 16
    private static let yardsticks: [(name: String, content: BareLoop.Content, allocator: Allocator)] = [
        ("bare values", .values, .system), ("bare records", .records, .system),
        ("bare records jemalloc", .records, .dispatcher),
    ]

    let count: Int
    let size: Int
    let rounds: Int
    /// Only this mode; for a profiler.
    let only: DeliveryMode?
    /// The program to measure as a process.
    let dispatcher: String?

    init(_ arguments: [String]) throws(BenchError) {
        var numbers: [Int] = []
        var only: DeliveryMode?
        var dispatcher: String?
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--dispatcher" {
                guard let file = rest.popFirst() else { throw BenchError("--dispatcher needs a file") }
                dispatcher = file
            } else if let mode = DeliveryMode(rawValue: argument) {
                only = mode
            } else if let number = Int(argument), number > 0 {
                numbers.append(number)
            } else {
                throw BenchError("'\(argument)' is neither a number nor a delivery mode")
            }
        }
        self.count = numbers.first ?? 200_000
        self.size = numbers.dropFirst().first ?? 512
        self.rounds = numbers.dropFirst(2).first ?? 3
        self.only = only
        self.dispatcher = dispatcher
    }

    private struct Figure {
        var name: String
        var firesPerSecond: [Double] = []
        var nanosecondsOfCPU: [Double] = []
        var allocations: [Double] = []
    }

    func run() async throws {
        var figures: [Figure] = []
        func note(_ name: String, _ perSecond: Double, _ cpu: Double, _ allocations: Double) {
            let index = figures.firstIndex { $0.name == name } ?? figures.count
            if index == figures.count { figures.append(Figure(name: name)) }
            figures[index].firesPerSecond.append(perSecond)
            figures[index].nanosecondsOfCPU.append(cpu)
            figures[index].allocations.append(allocations)
        }
        let modes = self.only.map { [$0] } ?? DeliveryMode.allCases
        for _ in 0..<self.rounds {
            for mode in modes {
                for yardstick in Self.yardsticks where self.only == nil {
                    let mock = try MockBroker(lanes: Self.lanes)
                    let loop = BareLoop(
                        bootstrap: mock.bootstrap, mode: mode, count: self.count, size: self.size,
                        content: yardstick.content)
                    let result = try loop.measure(allocator: yardstick.allocator)
                    mock.stop()
                    note(
                        "\(mode.rawValue) \(yardstick.name)", Double(self.count) / Double(result.nanoseconds) * 1e9,
                        Double(result.nanosecondsOfCPU) / Double(self.count), 0)
                }
                let mock = try MockBroker(lanes: Self.lanes)
                let measured = try await self.lanes(mock.bootstrap, mode)
                mock.stop()
                note("\(mode.rawValue) lanes", measured.perSecond, measured.cpu, measured.allocations)
                guard let dispatcher else { continue }
                let process = try await self.process(dispatcher, mode)
                note("\(mode.rawValue) process", process.perSecond, process.cpu, 0)
            }
        }
        func median(_ values: [Double]) -> Int { Int(values.sorted()[values.count / 2]) }
        for figure in figures {
            emit(
                .record([
                    "w": "dispatch", "peer": .string(figure.name), "size": .integer(self.size),
                    "n": .integer(self.count), "fires_s": .integer(median(figure.firesPerSecond)),
                    "cpu_ns": .integer(median(figure.nanosecondsOfCPU)),
                    "allocations": figure.name.hasSuffix("lanes") ? .integer(median(figure.allocations)) : nil,
                ]))
        }
    }

    private func process(_ program: String, _ mode: DeliveryMode) async throws -> DispatcherProcess.Measured {
        let mock = try MockBroker(lanes: Self.lanes)
        defer { mock.stop() }
        return try await DispatcherProcess(program: program, bootstrap: mock.bootstrap, mode: mode, lanes: Self.lanes)
            .measure(count: self.count, size: self.size)
    }

    private func lanes(
        _ bootstrap: String, _ mode: DeliveryMode
    ) async throws -> (perSecond: Double, cpu: Double, allocations: Double) {
        let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        let clocks = SystemClocks()
        let observability = Observability(
            identity: ProcessIdentity(role: "dispatcher", instance: "d", cluster: FireSample.cluster, revision: ""))
        let connection = KafkaConnection(
            KafkaSettings(bootstrapServers: [bootstrap], clientID: "bench"), clocks: clocks,
            health: observability.health, logger: logger)
        let journal = KafkaJournalReader(connection: connection, cluster: FireSample.cluster)
        let rules = FireSample.rules()
        let environment = LaneShell.Environment(
            producers: KafkaLaneProducers(
                connection: connection, cluster: FireSample.cluster, topics: [rules.journalTopic, FireSample.topic],
                mode: mode,
                clocks: clocks, seed: 1, recycled: {}),
            journal: journal, parked: journal,
            keeper: ParkedKeeper(
                probe: KafkaTopicProbe(connection: connection, clocks: clocks), web: nil, clocks: clocks),
            clocks: clocks, rules: rules, metrics: DispatcherMetrics(observability.metrics), logger: logger, seed: 1)
        let template = FireSample(size: self.size).template.encoded()
        let feeders = (0..<Self.lanes).map { number in
            LaneFeeder(lane: LaneID(UInt16(number)), environment: environment, template: template)
        }
        await withDiscardingTaskGroup { group in
            for feeder in feeders { group.addTask { await feeder.open() } }
        }
        let share = self.count / Self.lanes
        try await withThrowingDiscardingTaskGroup { group in
            for feeder in feeders { group.addTask { try await feeder.feed(FireSample.warmUp(for: share)) } }
        }
        let warmUp = feeders.reduce(0) { $0 + $1.acknowledged }
        let allocations = escapement_allocation_count()
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        try await withThrowingDiscardingTaskGroup { group in
            for feeder in feeders { group.addTask { try await feeder.feed(share) } }
        }
        let seconds = Double(Measuring.clock(CLOCK_MONOTONIC) - wall) / 1e9
        let used = Double(Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu)
        let made = Double(escapement_allocation_count() - allocations)
        for feeder in feeders { await feeder.stop() }
        let fires = Double(feeders.reduce(0) { $0 + $1.acknowledged } - warmUp)
        guard Int(fires) >= share * Self.lanes else {
            throw BenchError("only \(Int(fires)) of \(self.count) fires were acknowledged")
        }
        return (fires / seconds, used / fires, made / fires)
    }
}

/// One lane under load: offers batches as its credit allows and counts what is acknowledged.
final class LaneFeeder: Sendable {
    private static let session = SessionID(1)
    private static let epoch = Epoch(5)

    private struct State {
        var cursor = Cursor.start
        /// Fires, as the other counts.
        var wanted = 0
        var sent = 0
        var acknowledged = 0
        /// Sizes of the batches on their way, the oldest first.
        var inFlight: [Int] = []
    }

    private let shard: ShardID
    private let template: ByteBuffer
    private let clocks = SystemClocks()
    private let state = Mutex(State())
    private let replies: AsyncStream<LaneReply>
    private let shell: LaneShell
    private let run: Task<LaneShell.Ending, Never>

    init(lane: LaneID, environment: LaneShell.Environment, template: ByteBuffer) {
        self.shard = ShardID(lane.rawValue)
        self.template = template
        let (replies, send) = AsyncStream<LaneReply>.makeStream()
        self.replies = replies
        let shell = LaneShell(
            id: lane, epoch: Epoch(1), environment: environment, reply: { send.yield($0) }, settled: { _ in })
        self.shell = shell
        // Ended by `stop`.
        self.run = Task { await shell.run() }
    }

    var acknowledged: Int { self.state.withLock { $0.acknowledged } }

    /// Waits until the lane is taken over and the shard open.
    func open() async {
        self.shell.open(self.shard, epoch: Self.epoch, session: Self.session)
        for await reply in self.replies {
            if case .opened = reply { return }
        }
    }

    /// Offers at least `count` fires more, in whole batches, and waits until they are acknowledged.
    func feed(_ count: Int) async throws(BenchError) {
        guard count > 0 else { return }
        self.state.withLock { $0.wanted = $0.sent + count }
        self.offer()
        for await reply in self.replies {
            switch reply {
            case .opened: continue
            case .refused(_, let shard, _, let refusal, _):
                throw BenchError("the lane refuses a batch of shard \(shard): \(refusal)")
            case .acknowledged:
                let isDone = self.state.withLock { state in
                    state.acknowledged += FireSample.batchCount
                    state.inFlight.removeFirst()
                    return state.acknowledged >= state.wanted
                }
                if isDone { return }
                self.offer()
            }
        }
    }

    func stop() async {
        self.shell.stop()
        _ = await self.run.value
    }

    /// Offers what the credit allows, as a ticker does.
    private func offer() {
        let limits = LaneLimits()
        let now = self.clocks.wallNow()
        let offers = self.state.withLock { state in
            var offers: [Lane<FireWork>.Offer] = []
            while state.sent < state.wanted, state.inFlight.count < limits.batchesMax,
                state.inFlight.reduce(0, +) < limits.bytesMax
            {
                state.sent += FireSample.batchCount
                let offer = FireSample.offer(
                    self.shard, epoch: Self.epoch, session: Self.session, from: &state.cursor, now: now,
                    template: self.template)
                state.inFlight.append(offer.byteCount)
                offers.append(offer)
            }
            return offers
        }
        for offer in offers { self.shell.offer(offer) }
    }
}
