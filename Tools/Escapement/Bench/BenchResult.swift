import EscapementModel
import JSON

/// What one run of the benchmark found.
struct BenchResult: Sendable {
    let name: String
    let expected: Int
    let fired: Int
    let createdPerSecond: Double
    let firedPerSecond: Double
    /// From the first due instant to the moment when all were seen to be acknowledged; seen every 100 ms.
    let allAfterSeconds: Double
    /// Milliseconds, straight lines between the bounds of the histogram.
    let p50: Double
    let p99: Double
    let p999: Double
    /// The bound below which all lie.
    let max: Double
    /// By process: microseconds of processor time a fire, and resident MiB.
    let processes: [(name: String, microseconds: Double, mebibytes: Double)]

    init(
        name: String, expected: Int, createdPerSecond: Double, start: WallInstant, seconds: Int,
        before: BenchStack.Sample, after: BenchStack.Sample
    ) {
        let fired = after.fires - before.fires
        let earlier = Dictionary(before.lateness.map { ($0.bound, $0.count) }, uniquingKeysWith: { $1 })
        let counts = after.lateness.map { (bound: $0.bound, count: $0.count - (earlier[$0.bound] ?? 0)) }
        let span = Double(after.at.duration(since: start).wholeMilliseconds) / 1000
        self.name = name
        self.expected = expected
        self.fired = Int(fired)
        self.createdPerSecond = createdPerSecond
        self.allAfterSeconds = span
        self.firedPerSecond = span > 0 ? fired / span : 0
        self.p50 = Self.quantile(0.5, counts)
        self.p99 = Self.quantile(0.99, counts)
        self.p999 = Self.quantile(0.999, counts)
        self.max = (counts.first { $0.count >= fired }?.bound ?? .infinity) * 1000
        self.processes = after.processor.keys.sorted().map { name in
            let spent = (after.processor[name] ?? 0) &- (before.processor[name] ?? 0)
            return (
                name, fired > 0 ? Double(spent) / 1000 / fired : 0, Double(after.resident[name] ?? 0) / 1_048_576
            )
        }
    }

    private static func quantile(_ fraction: Double, _ counts: [(bound: Double, count: Double)]) -> Double {
        guard let total = counts.last?.count, total > 0 else { return 0 }
        let rank = fraction * total
        var lower = 0.0
        var below = 0.0
        for (bound, count) in counts {
            if count >= rank {
                guard bound.isFinite, count > below else { return lower * 1000 }
                return (lower + (bound - lower) * (rank - below) / (count - below)) * 1000
            }
            lower = bound
            below = count
        }
        return lower * 1000
    }

    private static func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }

    var json: JSONValue {
        .record([
            "w": "E2E", "run": .string(self.name), "expected": .integer(self.expected), "fired": .integer(self.fired),
            "created_s": .decimal(self.createdPerSecond.rounded()), "fires_s": .decimal(self.firedPerSecond.rounded()),
            "all_s": .decimal(Self.rounded(self.allAfterSeconds)), "p50_ms": .decimal(Self.rounded(self.p50)),
            "p99_ms": .decimal(Self.rounded(self.p99)), "p999_ms": .decimal(Self.rounded(self.p999)),
            "max_below_ms": self.max.isFinite ? .decimal(self.max) : nil,
            "processes": .array(
                self.processes.map { process in
                    .record([
                        "name": .string(process.name), "cpu_us_per_fire": .decimal(Self.rounded(process.microseconds)),
                        "rss_mib": .decimal(Self.rounded(process.mebibytes)),
                    ])
                }),
        ])
    }

    /// One row a run, then processor time and memory of each process in the last one.
    static func table(_ results: [BenchResult]) -> String {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: Swift.max(0, width - text.count)) + text
        }
        var text =
            ["run", "fired", "created/s", "fired/s", "p50 ms", "p99 ms", "p99.9 ms", "max below"]
            .map { pad($0, 14) }.joined() + "\n"
        for result in results {
            text +=
                [
                    result.name, "\(result.fired)/\(result.expected)", "\(Int(result.createdPerSecond))",
                    "\(Int(result.firedPerSecond))", "\(Self.rounded(result.p50))", "\(Self.rounded(result.p99))",
                    "\(Self.rounded(result.p999))", "\(result.max)",
                ].map { pad($0, 14) }.joined() + "\n"
        }
        text +=
            "\n" + pad("process", 18) + results.map { pad("us/fire", 12) + pad("MiB", 8) + pad($0.name, 14) }.joined()
        for (index, process) in (results.last?.processes ?? []).enumerated() {
            text += "\n" + pad(process.name, 18)
            for result in results where index < result.processes.count {
                let process = result.processes[index]
                text += pad("\(Self.rounded(process.microseconds))", 12)
                text += pad("\(Int(process.mebibytes))", 8) + pad("", 14)
            }
        }
        return text
    }
}
