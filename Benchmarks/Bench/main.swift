import EscapementModel
import JSON
import KafkaYardstick

import Glibc

/// `escapement-bench WORKLOAD ARGUMENTS`: one JSON object a line on the standard output, for the peer
/// benchmark, and tables for people. See `usage`.
let usage = """
    usage: escapement-bench WORKLOAD ...

      cron ZONE K [FILE]       W5: next occurrence of ten expressions at K random instants; one JSON line
      w5 [K]                   W5 in UTC and America/New_York as a table, then as JSON lines
      w123 N SEED [QUEUE]      W1 insert, W2 cancel half, W3 expire: three JSON lines
      w4 RATE [QUEUE]          W4: lateness of RATE timers a second for ten seconds; one JSON line
      herd N [QUEUE]           W4h: N timers due at one instant; one JSON line
      wheel [--rounds R] [N...]
                               W1 to W4 and the herd, wheel and heap in turn, as a table of medians and as
                               JSON lines; N is 1000000 and 10000000 unless given
      resident [TIMERS [SCHEDULES [BYTES]]]
                               a ticker with 10000000 timers and 1000000 cron schedules: bytes and time to load
                               each; lateness of 10 000 fires/s at rest, while 5 000 timers/s come and go, and over
                               the start of a minute; with BYTES each has a payload of its own of so many
      refire [SCHEDULES]       a shard with 10000 schedules of every second: processor time of a refire; fails when
                               one allocates
      fire-out [SCHEDULES [BYTES]]
                               a ticker with 10000 schedules of every second and payloads of 64 bytes: processor time
                               of a fire until it is planned again, and until its frame is encoded; fails when one
                               allocates
      fuzz-cron [--seconds N] [--seed S]
                               random and mutated expressions and zone files; stops at the first trap
      http MODE BYTES CONNS SECONDS
                               W9: POST requests of so many bytes against a server that does next to nothing
      durable N                W6: N timers into the PostgreSQL that PGHOST names, and read as a ticker reads them;
                               nothing is printed without PGHOST

      kafka BOOTSTRAP N SIZE plain|idem|txn LINGER_MS
                               W7: N records through the Kafka client; one JSON line
      dispatch [N [SIZE [ROUNDS]]] [exactly-once|at-least-once] [--dispatcher FILE]
                               fires acknowledged by lanes of one dispatcher, and by the program FILE as a process that
                               is fed over mutual TLS and records only where ELASTICSEARCH_URL says, beside librdkafka
                               alone with bare values, and with the same records without and with the dispatcher's
                               allocator, against a mock broker in another process; './dev bench dispatch' builds and
                               names the program
      plan [N [SIZE [ROUNDS]]] a dispatcher's work for a fire but for TLS and Kafka's part: processor time and
                               allocations, medians over rounds of N fires
      tls CERT KEY SUITE SECONDS
                               W8: TLS over loopback, both ends in this process

    'kafka', 'dispatch' and 'plan' run with the dispatcher's allocator, libjemalloc.so.2.
    QUEUE is 'wheel' (the product's, the default) or 'heap' (a 4-ary heap, the baseline).
    Without arguments: 'wheel', 'refire', 'fire-out', 'resident', then 'w5'.

    """

let arguments = CommandLine.arguments.dropFirst()
do {
    // What measures the dispatcher has its allocator. The Kafka client is worth a figure with any.
    if let first = arguments.first, ["dispatch", "kafka", "plan"].contains(first), try !Allocator.becomeDispatchers() {
        guard first == "kafka" else { throw BenchError(Allocator.remedy) }
        write("escapement-bench: measured with the system's allocator: \(Allocator.remedy)\n", to: 2)
    }
    switch arguments.first {
    case "cron":
        let rest = Array(arguments.dropFirst())
        guard rest.count >= 2, let count = Int(rest[1]), count > 0 else { throw BenchError("cron needs ZONE and K") }
        let expressions = try rest.count > 2 ? CronWorkload.expressions(file: rest[2]) : CronWorkload.standard
        emit(try CronWorkload(zone: rest[0], count: count, expressions: expressions).run().record)
    case "w5":
        try cronTable(count: arguments.dropFirst().first.flatMap { Int($0) } ?? 200_000)
    case "w123":
        let (count, queue) = try queueArguments(named: "N", queueAt: 3)
        let seed = UInt64(Array(arguments).dropFirst(2).first ?? "1") ?? 1
        if queue == .heap {
            WheelWorkload<HeapQueue>.insertCancelExpire(count: count, seed: seed)
        } else {
            WheelWorkload<WheelQueue>.insertCancelExpire(count: count, seed: seed)
        }
    case "w4":
        let (rate, queue) = try queueArguments(named: "RATE", queueAt: 2)
        if queue == .heap {
            WheelWorkload<HeapQueue>.lateness(rate: rate)
        } else {
            WheelWorkload<WheelQueue>.lateness(rate: rate)
        }
    case "herd":
        let (count, queue) = try queueArguments(named: "N", queueAt: 2)
        if queue == .heap {
            WheelWorkload<HeapQueue>.herd(count: count)
        } else {
            WheelWorkload<WheelQueue>.herd(count: count)
        }
    case "wheel":
        try WheelTable(Array(arguments.dropFirst())).run()
    case "resident":
        let counts = try arguments.dropFirst().map { text throws(BenchError) in
            guard let count = Int(text), (0...50_000_000).contains(count) else {
                throw BenchError("resident needs numbers of timers and schedules, up to 50000000")
            }
            return count
        }
        var workload = ResidentWorkload(
            timers: counts.first ?? 10_000_000, schedules: counts.dropFirst().first ?? 1_000_000,
            distinctBytes: counts.dropFirst(2).first.map { max(8, $0) })
        try workload.run()
    case "refire":
        guard let count = Int(Array(arguments).dropFirst().first ?? "10000"), (1...1_000_000).contains(count) else {
            throw BenchError("refire needs a number of schedules, up to 1000000")
        }
        try RefireWorkload(schedules: count).run()
    case "fire-out":
        let numbers = try arguments.dropFirst().map { text throws(BenchError) in
            guard let number = Int(text), (1...1_000_000).contains(number) else {
                throw BenchError("fire-out needs a number of schedules and one of bytes, up to 1000000")
            }
            return number
        }
        try FireOutWorkload(schedules: numbers.first ?? 10_000, payloadBytes: numbers.dropFirst().first ?? 64).run()
    case "fuzz-cron":
        let options = try FuzzOptions(Array(arguments.dropFirst()))
        try CronFuzz(options: options).run()
    case "durable" where DurableWorkload.isOffered:
        guard let count = arguments.dropFirst().first.flatMap({ Int($0) }), count > 0 else {
            throw BenchError("durable needs N")
        }
        try await DurableWorkload(count: count).run()
    case "http":
        try await HTTPWorkload(Array(arguments.dropFirst())).run()
    case "sink":
        try SinkServer.serve()
    case "kafka":
        try await KafkaWorkload(Array(arguments.dropFirst())).run()
    case "kafka-mock":
        guard let lanes = arguments.dropFirst().first.flatMap({ Int($0) }), lanes > 0 else {
            throw BenchError("kafka-mock needs a number of lanes")
        }
        exit(MockBroker.serve(lanes: lanes))
    case "bare":
        try BareLoop(Array(arguments.dropFirst())).run()
    case "dispatch":
        try await DispatchWorkload(Array(arguments.dropFirst())).run()
    case "plan":
        try PlanWorkload(Array(arguments.dropFirst())).run()
    case "tls":
        try await TLSWorkload(Array(arguments.dropFirst())).run()
    case "durable":
        // The harness takes silence and status 0 for "not offered".
        complain("escapement-bench: the workload '\(arguments.first ?? "")' is not offered by this build")
    case nil:
        try WheelTable([]).run()
        try RefireWorkload(schedules: 10_000).run()
        try FireOutWorkload(schedules: 10_000, payloadBytes: 64).run()
        var workload = ResidentWorkload(timers: 10_000_000, schedules: 1_000_000)
        try workload.run()
        try cronTable(count: 200_000)
    case "help", "--help", "-h":
        complain(usage)
    default:
        complain("escapement-bench: unknown workload '\(arguments.first ?? "")'\n" + usage)
    }
} catch let error as BenchError {
    complain("escapement-bench: \(error.message)")
    exit(2)
}

/// The queue that a workload runs on.
enum QueueChoice: String {
    case wheel
    case heap
}

/// The first number after the workload's name, and the queue at position `queueAt`.
func queueArguments(named name: String, queueAt: Int) throws(BenchError) -> (count: Int, queue: QueueChoice) {
    let all = Array(arguments)
    guard all.count > 1, let count = Int(all[1]), (1...100_000_000).contains(count) else {
        throw BenchError("\(all[0]) needs \(name), from 1 to 100000000")
    }
    guard all.count > queueAt else { return (count, .wheel) }
    guard let queue = QueueChoice(rawValue: all[queueAt]) else {
        throw BenchError("'\(all[queueAt])' is neither 'wheel' nor 'heap'")
    }
    return (count, queue)
}

/// W5 in two zones, as a table and as JSON lines.
func cronTable(count: Int) throws(BenchError) {
    var results: [CronWorkload.Result] = []
    for zone in ["UTC", "America/New_York"] {
        let workload = try CronWorkload(zone: zone, count: count, expressions: CronWorkload.standard)
        results.append(workload.run())
    }
    write(CronWorkload.table(results) + "\n", to: 1)
    for result in results { emit(result.record) }
}

/// What stops a run before it starts.
struct BenchError: Error {
    var message: String
    init(_ message: String) { self.message = message }
}

/// One line of JSON.
func emit(_ record: JSONValue) { write(record.text + "\n", to: 1) }

/// A line on the standard error.
func complain(_ text: String) { write(text + "\n", to: 2) }

/// Writes at once, so that the last line is there when the process traps.
func write(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard written > 0 else { return }
        rest = rest.dropFirst(written)
    }
}
