import EscapementModel
import JSON

import Glibc

/// `escapement-bench WORKLOAD ARGUMENTS`: one JSON object a line on the standard output, for the peer
/// benchmark, and tables for people. See `usage`.
let usage = """
    usage: escapement-bench WORKLOAD ...

      cron ZONE K [FILE]       W5: next occurrence of ten expressions at K random instants; one JSON line
      w5 [K]                   W5 in UTC and America/New_York as a table, then as JSON lines
      fuzz-cron [--seconds N] [--seed S]
                               random and mutated expressions and zone files; stops at the first trap

    The other workloads of the peer benchmark (w123, w4, herd, durable, kafka, tls, http) print nothing.

    """

let arguments = CommandLine.arguments.dropFirst()
do {
    switch arguments.first {
    case "cron":
        let rest = Array(arguments.dropFirst())
        guard rest.count >= 2, let count = Int(rest[1]), count > 0 else { throw BenchError("cron needs ZONE and K") }
        let expressions = try rest.count > 2 ? CronWorkload.expressions(file: rest[2]) : CronWorkload.standard
        emit(try CronWorkload(zone: rest[0], count: count, expressions: expressions).run().record)
    case "w5":
        let count = arguments.dropFirst().first.flatMap { Int($0) } ?? 200_000
        var results: [CronWorkload.Result] = []
        for zone in ["UTC", "America/New_York"] {
            let workload = try CronWorkload(zone: zone, count: count, expressions: CronWorkload.standard)
            results.append(workload.run())
        }
        write(CronWorkload.table(results) + "\n", to: 1)
        for result in results { emit(result.record) }
    case "fuzz-cron":
        let options = try FuzzOptions(Array(arguments.dropFirst()))
        try CronFuzz(options: options).run()
    case "w123", "w4", "herd", "durable", "kafka", "tls", "http":
        // The harness takes silence and status 0 for "not offered".
        complain("escapement-bench: the workload '\(arguments.first ?? "")' is not offered by this build")
    case nil, "help", "--help", "-h":
        complain(usage)
    default:
        complain("escapement-bench: unknown workload '\(arguments.first ?? "")'\n" + usage)
    }
} catch let error as BenchError {
    complain("escapement-bench: \(error.message)")
    exit(2)
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
