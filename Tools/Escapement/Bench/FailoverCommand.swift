import ArgumentParser
import EscapementModel
import JSON

/// `escapement bench failover`: how long nothing fires when something fails, and that nothing is missed or doubled.
struct FailoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover", abstract: "Do harm to a cluster under load, and measure the time without fires.",
        discussion: """
            Starts a cluster of its own, real processes with the stand-ins for Kafka and Elasticsearch, and schedules that \
            fire every second, evenly spread. For each fault and each shard that it touches: by how much the latest fire \
            was later than usual when a read_committed consumer had it. At the end every instant of every schedule is \
            looked for. A table, and one JSON line for each kind of fault. Exits with 1 when a fire is missed or \
            doubled, or a budget is exceeded.
            """)

    @Option(
        parsing: .upToNextOption,
        help: "Kinds of faults: \(FailoverFault.allCases.map(\.rawValue).joined(separator: ", ")).")
    var kinds: [FailoverFault] = [.move, .lanes, .ticker, .dispatcher, .leader, .restart, .crash]

    @Option(help: "Faults of each kind.")
    var faults = 20

    @Option(help: "Fires a second: so many schedules.")
    var fires = 480

    @Option(help: "Shards.")
    var shards = 16

    @Option(help: "Lanes.")
    var lanes = 4

    @Option(help: "Tickers.")
    var tickers = 3

    @Option(help: "Dispatchers.")
    var dispatchers = 2

    @Option(help: "Where everything is kept; emptied before.")
    var dataDir = ".dev-bench"

    func validate() throws {
        guard (1...1000).contains(self.faults), (1...1000).contains(self.fires), (2...50).contains(self.tickers),
            (2...50).contains(self.dispatchers), (1...4096).contains(self.shards), (1...256).contains(self.lanes),
            self.lanes <= self.shards
        else {
            throw ValidationError(
                "--faults and --fires are from 1 to 1000, --tickers and --dispatchers 2 to 50, --shards 1 to 4096, "
                    + "--lanes 1 to 256 and not more than the shards")
        }
    }

    func run() async throws {
        let folder = DevFiles.absolute(self.dataDir)
        if let holder = DevLock.holder(of: folder) { throw DevError("process \(holder) uses \(folder)") }
        _ = try await runCommand("/bin/rm", ["-rf", folder], environment: [:], outputFile: "\(folder).output")
        try DevFiles.makeDirectory(folder)
        let lock = try DevLock(folder: folder)
        defer { lock.release() }
        var options = try DevOptions.parse([])
        options.coordinators = 2
        options.tickers = self.tickers
        options.dispatchers = self.dispatchers
        options.shards = self.shards
        options.lanes = self.lanes
        options.dataDir = folder
        options.noRestart = true
        let stack = try DevStack(options: options) { line in Console.tell("==> \(line)") }
        let interruption = Interruption()
        do {
            let isSound = try await withThrowingTaskGroup(of: Bool?.self) { group in
                group.addTask { try await self.measure(stack) }
                group.addTask {
                    await interruption.wait()
                    return nil
                }
                let result = try await group.next() ?? nil
                group.cancelAll()
                return result
            }
            await stack.stop()
            if isSound != true { throw ExitCode.failure }
        } catch {
            await stack.stop()
            throw error
        }
    }

    private func measure(_ stack: DevStack) async throws -> Bool {
        try await stack.start()
        let bench = try await FailoverBench(stack: stack, schedules: self.fires, shards: self.shards, lanes: self.lanes)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await bench.ledger.run() }
            try await bench.begin()
            var results: [FailoverResult] = []
            for kind in self.kinds {
                var result = FailoverResult(kind)
                for number in 0..<self.faults {
                    let pauses = try await bench.fault(kind, number: number)
                    result.add(pauses)
                    Console.tell(
                        "\(kind.rawValue) \(number + 1)/\(self.faults): \(pauses.count) shards, p50 "
                            + "\(Int(FailoverResult.quantile(0.5, pauses))) ms, max \(Int(pauses.max() ?? 0)) ms")
                }
                results.append(result)
                print(result.json.text)
            }
            let count = try await bench.judge()
            group.cancelAll()
            await bench.close()
            print(FailoverResult.table(results))
            print(
                JSONValue.record([
                    "w": "failover", "expected": .integer(count.expected), "missed": .integer(count.missed),
                    "doubled": .integer(count.doubled),
                ]).text)
            let exceeded = results.filter { !$0.isWithinBudget }
            for result in exceeded {
                Console.tell(
                    "over its budget: \(result.fault.title), p99 \(Int(result.p99)) ms of \(Int(result.fault.budget)) ms"
                )
            }
            return count.missed == 0 && count.doubled == 0 && exceeded.isEmpty
        }
    }
}
