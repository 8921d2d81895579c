import ArgumentParser
import EscapementModel
import Glibc
import HTTPClient
import JSON

/// `escapement bench`.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure real processes: end to end, and under faults.",
        subcommands: [EndToEndCommand.self, FailoverCommand.self, StoreFaultsCommand.self, IndexBenchCommand.self],
        defaultSubcommand: EndToEndCommand.self)
}

/// `escapement bench end-to-end`: timers through a running stack, from the API to Kafka's acknowledgement.
struct EndToEndCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "end-to-end", abstract: "Measure a stack that runs here, end to end.",
        discussion: """
            Creates timers in batches through the API of the stack of ./dev up, waits until they have fired, and \
            reports what its processes say: lateness from due instant to Kafka's acknowledgement, throughput, \
            processor time a fire, memory. One JSON line a run, and a table. With --schedules the fires are those of \
            schedules that fire every second, as many as the rate; they are deleted afterwards.
            """)

    @Option(help: "Fires a second, one run each, separated by commas; empty for none.")
    var rates = "1000,10000,50000"

    @Option(help: "How long each rate is kept up, in seconds.")
    var seconds = 10

    @Option(help: "Timers due at one instant; 0 for no such run.")
    var herd = 500_000

    @Flag(help: "Schedules of every second instead of one-shots; no herd.")
    var schedules = false

    @Option(help: "Bytes of each payload.")
    var payloadBytes = 64

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func validate() throws {
        guard (1...600).contains(self.seconds), (0...1_000_000).contains(self.herd), self.parsedRates != nil,
            (0...100_000).contains(self.payloadBytes)
        else {
            throw ValidationError(
                "--rates are numbers from 1 to 1000000, --seconds 1 to 600, --herd 0 to 1000000, --payload-bytes to 100000"
            )
        }
    }

    private var parsedRates: [Int]? {
        var rates: [Int] = []
        for part in self.rates.split(separator: ",") {
            guard let rate = Int(part), (1...1_000_000).contains(rate) else { return nil }
            rates.append(rate)
        }
        return rates
    }

    func run() async throws {
        guard let stack = BenchStack.here(".dev") else {
            throw DevError("no stack runs here; start one with './dev up -d'")
        }
        try await self.client.run { api in
            var results: [BenchResult] = []
            for rate in self.parsedRates ?? [] where self.schedules {
                results.append(try await self.measureSchedules(rate, stack, api))
            }
            for rate in self.parsedRates ?? [] where !self.schedules {
                results.append(
                    try await self.measure("\(rate)/s", count: rate * self.seconds, over: self.seconds, stack, api))
            }
            if self.herd > 0, !self.schedules {
                results.append(try await self.measure("herd \(self.herd)", count: self.herd, over: 0, stack, api))
            }
            for result in results { print(result.json.text) }
            print(BenchResult.table(results))
        }
        await stack.shutdown()
    }

    /// Follows `rate` schedules of every second for `seconds`.
    private func measureSchedules(
        _ rate: Int, _ stack: BenchStack, _ api: APIClient
    ) async throws -> BenchResult {
        let clocks = SystemClocks()
        let load = BenchLoad(payloadBytes: self.payloadBytes)
        Console.tell("\(rate)/s: creating \(rate) schedules")
        let created = clocks.monotonicNow()
        try await load.createSchedules(rate, api)
        let creation = clocks.monotonicNow().duration(since: created)
        // What was late because it was just made is over by then.
        try await clocks.sleep(for: .seconds(5))
        let start = clocks.wallNow()
        let before = try await stack.sample()
        try await clocks.sleep(for: .seconds(self.seconds))
        let after = try await stack.sample()
        Console.tell("\(rate)/s: deleting \(rate) schedules")
        try await load.deleteSchedules(rate, api)
        return BenchResult(
            name: "\(rate)/s, schedules", expected: rate * self.seconds,
            createdPerSecond: Double(rate) / creation.inSeconds, start: start, seconds: self.seconds, before: before,
            after: after)
    }

    /// Creates `count` timers, due evenly over `seconds` or, with 0, at one instant, and follows them.
    private func measure(
        _ name: String, count: Int, over seconds: Int, _ stack: BenchStack, _ api: APIClient
    ) async throws -> BenchResult {
        let clocks = SystemClocks()
        // Far enough ahead that the last batch is stored before the first timer is due.
        let start = clocks.wallNow().advanced(by: BenchLoad.lead(for: count))
        Console.tell("\(name): creating \(count) timers")
        let created = clocks.monotonicNow()
        try await BenchLoad(payloadBytes: self.payloadBytes).create(count, from: start, over: seconds, api)
        let creation = clocks.monotonicNow().duration(since: created)
        guard clocks.wallNow() < start else {
            throw DevError("the timers were not created before the first was due: took \(creation)")
        }
        try await clocks.sleep(for: start.duration(since: clocks.wallNow()) - .milliseconds(300))
        let before = try await stack.sample()
        let end = start.advanced(by: .seconds(Int64(seconds)))
        // As long again as the run, and a minute, before those that are missing are given up.
        let patience = end.advanced(by: .seconds(Int64(seconds + 60)))
        var after = before
        while after.fires - before.fires < Double(count), clocks.wallNow() < patience {
            try await clocks.sleep(for: .milliseconds(100))
            after = try await stack.sample()
        }
        return BenchResult(
            name: name, expected: count, createdPerSecond: Double(count) / creation.inSeconds,
            start: start, seconds: max(1, seconds), before: before, after: after)
    }
}

extension Duration {
    /// Seconds, with a fraction.
    fileprivate var inSeconds: Double {
        Double(self.components.seconds) + Double(self.components.attoseconds) * 1e-18
    }
}
