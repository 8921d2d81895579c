import AllocationCount
import DispatcherDomain
import DispatcherKafka
import DispatcherService
import EscapementModel
import Glibc
import JSON
import KafkaClient
import KafkaYardstick
import Logging
import NIOCore
import Observability
import ServiceConfiguration
import Synchronization
import WireProtocol

/// A dispatcher's own work: lanes that take batches of fires, publish them with their journal and acknowledge, beside
/// librdkafka alone with the same records and with bare values, in turn, against a mock broker in another process.
struct DispatchWorkload {
    private static let lanes = 16
    private static let partitions = 4

    let count: Int
    let size: Int
    let rounds: Int
    /// Only this mode; for a profiler.
    let only: DeliveryMode?

    init(_ arguments: [String]) throws(BenchError) {
        var numbers: [Int] = []
        var only: DeliveryMode?
        for argument in arguments {
            if let mode = DeliveryMode(rawValue: argument) {
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
                for (name, headers) in [("bare values", false), ("bare records", true)] where self.only == nil {
                    let mock = try MockBroker(partitions: Self.partitions, lanes: Self.lanes)
                    let result = try self.bare(mock.bootstrap, mode, headers: headers)
                    mock.stop()
                    note(
                        "\(mode.rawValue) \(name)", Double(self.count) / Double(result.nanoseconds) * 1e9,
                        Double(result.cpu_nanoseconds) / Double(self.count), 0)
                }
                let mock = try MockBroker(partitions: Self.partitions, lanes: Self.lanes)
                let measured = try await self.lanes(mock.bootstrap, mode)
                mock.stop()
                note("\(mode.rawValue) lanes", measured.perSecond, measured.cpu, measured.allocations)
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

    // MARK: Ours

    private func lanes(
        _ bootstrap: String, _ mode: DeliveryMode
    ) async throws -> (perSecond: Double, cpu: Double, allocations: Double) {
        let logger = Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() })
        let clocks = SystemClocks()
        let observability = Observability(
            identity: ProcessIdentity(role: "dispatcher", instance: "d", cluster: "bench", revision: ""))
        let connection = KafkaConnection(
            KafkaSettings(bootstrapServers: [bootstrap], clientID: "bench"), clocks: clocks,
            health: observability.health, logger: logger)
        let journal = KafkaJournalReader(connection: connection, cluster: "bench")
        let rules = FireSample.rules()
        let environment = LaneShell.Environment(
            producers: KafkaLaneProducers(
                connection: connection, cluster: "bench", topics: [rules.journalTopic, FireSample.topic], mode: mode,
                clocks: clocks, seed: 1, recycled: {}),
            journal: journal, parked: journal,
            keeper: ParkedKeeper(
                probe: KafkaTopicProbe(connection: connection, clocks: clocks), web: nil, clocks: clocks),
            clocks: clocks, rules: rules, metrics: DispatcherMetrics(observability.metrics), logger: logger, seed: 1)
        let template = FireSample(size: self.size).template.encoded()
        let feeders = (0..<Self.lanes).map { number in
            LaneFeeder(
                lane: LaneID(UInt16(number)), environment: environment, template: template,
                count: self.count / Self.lanes)
        }
        await withDiscardingTaskGroup { group in
            for feeder in feeders { group.addTask { await feeder.open() } }
        }
        let allocations = escapement_allocation_count()
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        let cpu = Measuring.clock(CLOCK_PROCESS_CPUTIME_ID)
        await withDiscardingTaskGroup { group in
            for feeder in feeders { group.addTask { await feeder.feed() } }
        }
        let seconds = Double(Measuring.clock(CLOCK_MONOTONIC) - wall) / 1e9
        let used = Double(Measuring.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu)
        let made = Double(escapement_allocation_count() - allocations)
        for feeder in feeders { await feeder.stop() }
        let fires = Double(feeders.reduce(0) { $0 + $1.acknowledged })
        guard Int(fires) >= self.count / Self.lanes * Self.lanes else {
            throw BenchError("only \(Int(fires)) of \(self.count) fires were acknowledged")
        }
        return (fires / seconds, used / fires, made / fires)
    }

    // MARK: The yardstick

    private func bare(
        _ bootstrap: String, _ mode: DeliveryMode, headers: Bool
    ) throws -> yardstick_result {
        let template = FireSample(size: self.size).template
        let occurrence = FireOccurrence(
            kind: .cron, uid: .zero, generation: 1, scheduled: FireSample.due,
            due: FireSample.due, outcome: .dispatched, reason: .dispatched,
            template: template.encoded())
        let record = try FireSample.rules().format.record(
            of: EventFormat.Fire(
                id: ActivationID(.zero), occurrence: occurrence, template: template, lane: LaneID(0), sequence: 1),
            topic: FireSample.topic, now: occurrence.due)
        var names: [UnsafePointer<CChar>?] = []
        var values: [UnsafeRawPointer?] = []
        var lengths: [Int] = []
        for header in headers ? record.headers : [] {
            names.append(strdup(header.name).map { UnsafePointer($0) })
            values.append(strdup(header.value).map { UnsafeRawPointer($0) })
            lengths.append(header.value.utf8.count)
        }
        defer {
            for name in names { free(UnsafeMutablePointer(mutating: name)) }
            for value in values { free(UnsafeMutableRawPointer(mutating: value)) }
        }
        var result = yardstick_result()
        var problem = [CChar](repeating: 0, count: 512)
        let status = template.payload.withUnsafeReadableBytes { value in
            names.withUnsafeBufferPointer { names in
                values.withUnsafeBufferPointer { values in
                    lengths.withUnsafeBufferPointer { lengths in
                        var description = yardstick_record(
                            value: value.baseAddress, value_length: value.count, header_names: names.baseAddress,
                            header_values: values.baseAddress, header_lengths: lengths.baseAddress,
                            header_count: names.count)
                        return yardstick_produce(
                            bootstrap, FireSample.topic, UInt64(self.count), &description, 1,
                            mode == .exactlyOnce ? 1000 : 0, 1, &result, &problem, problem.count)
                    }
                }
            }
        }
        guard status == 0, result.failed == 0 else {
            let reason = String(decoding: problem.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            throw BenchError("the bare loop failed: \(reason), \(result.failed) records")
        }
        return result
    }
}

/// One lane under load: offers batches as its credit allows and counts what is acknowledged.
final class LaneFeeder: Sendable {
    private static let session = SessionID(1)
    private static let epoch = Epoch(5)

    private struct State {
        var cursor = Cursor.start
        var sent = 0
        var acknowledged = 0
    }

    private let shard: ShardID
    private let template: ByteBuffer
    private let count: Int
    private let clocks = SystemClocks()
    private let state = Mutex(State())
    private let replies: AsyncStream<LaneReply>
    private let shell: LaneShell
    private let run: Task<LaneShell.Ending, Never>

    init(lane: LaneID, environment: LaneShell.Environment, template: ByteBuffer, count: Int) {
        self.shard = ShardID(lane.rawValue)
        self.template = template
        self.count = count
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

    /// Offers everything and waits until it is acknowledged.
    func feed() async {
        let limits = LaneLimits()
        for _ in 0..<limits.batchesMax { self.offer() }
        for await reply in self.replies {
            guard case .acknowledged = reply else { continue }
            let isDone = self.state.withLock { state in
                state.acknowledged += FireSample.batchCount
                return state.acknowledged >= self.count
            }
            if isDone { return }
            self.offer()
        }
    }

    func stop() async {
        self.shell.stop()
        _ = await self.run.value
    }

    private func offer() {
        let now = self.clocks.wallNow()
        let offer = self.state.withLock { state -> Lane<FireWork>.Offer? in
            guard state.sent < self.count else { return nil }
            state.sent += FireSample.batchCount
            return FireSample.offer(
                self.shard, epoch: Self.epoch, session: Self.session, from: &state.cursor, now: now,
                template: self.template)
        }
        if let offer { self.shell.offer(offer) }
    }
}

/// librdkafka's mock cluster in a process of its own: this program, started as `kafka-mock`.
final class MockBroker {
    let bootstrap: String
    private let process: pid_t
    private let input: Int32

    init(partitions: Int, lanes: Int) throws(BenchError) {
        var input: [Int32] = [0, 0]
        var output: [Int32] = [0, 0]
        guard pipe(&input) == 0, pipe(&output) == 0 else { throw BenchError("no pipe") }
        for end in input + output { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input[0], 0)
        posix_spawn_file_actions_adddup2(&actions, output[1], 1)
        let words: [String] = ["escapement-bench", "kafka-mock", "\(partitions)", "\(lanes)"]
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let status = posix_spawn(&process, "/proc/self/exe", &actions, nil, arguments, environ)
        close(input[0])
        close(output[1])
        guard status == 0 else { throw BenchError("the mock broker does not start: \(status)") }
        var line: [UInt8] = []
        var byte: UInt8 = 0
        while read(output[0], &byte, 1) == 1, byte != UInt8(ascii: "\n") { line.append(byte) }
        close(output[0])
        guard !line.isEmpty else { throw BenchError("the mock broker says no address") }
        self.bootstrap = String(decoding: line, as: UTF8.self)
        self.process = process
        self.input = input[1]
    }

    func stop() {
        close(self.input)
        var status: Int32 = 0
        waitpid(self.process, &status, 0)
    }
}
