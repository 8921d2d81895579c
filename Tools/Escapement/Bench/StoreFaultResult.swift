import JSON

/// What one kind of fault of the activation store did.
struct StoreFaultResult: Sendable {
    let figures: BenchResult
    /// Outcomes with exactly one record, or several; `doubled` of them have several.
    let recorded: Int64
    let doubled: Int64
    /// Documents that the store refused, in the dead-letter topic with the reason.
    let parked: Int
    /// From the end of the fault until as many documents were stored or refused as fired.
    let caughtUpSeconds: Double
    /// The dispatchers' resident memory together: the largest, and before.
    let peakMebibytes: Double
    let restMebibytes: Double

    /// Whether everything was fired, and each outcome is recorded once or kept with its reason.
    var isSound: Bool {
        // The canary fires meanwhile, too.
        self.figures.fired >= self.figures.expected && self.doubled == 0
            && self.recorded + Int64(self.parked) == Int64(self.figures.expected)
    }

    private static func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }

    var json: JSONValue {
        .record([
            "w": "STORE", "fault": .string(self.figures.name), "expected": .integer(self.figures.expected),
            "fired": .integer(self.figures.fired), "p50_ms": .decimal(Self.rounded(self.figures.p50)),
            "p99_ms": .decimal(Self.rounded(self.figures.p99)), "p999_ms": .decimal(Self.rounded(self.figures.p999)),
            "recorded_once": .integer(self.recorded - self.doubled), "doubled": .integer(self.doubled),
            "parked": .integer(self.parked), "caught_up_s": .decimal(Self.rounded(self.caughtUpSeconds)),
            "dispatchers_mib_before": .decimal(Self.rounded(self.restMebibytes)),
            "dispatchers_mib_peak": .decimal(Self.rounded(self.peakMebibytes)), "ok": .bool(self.isSound),
        ])
    }

    static func table(_ results: [StoreFaultResult]) -> String {
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: Swift.max(0, width - text.count)) + text
        }
        let header = [
            "store", "fired", "p50 ms", "p99 ms", "p99.9 ms", "recorded", "doubled", "parked", "caught up",
            "MiB before",
            "MiB peak", "ok",
        ]
        var text = header.map { pad($0, 12) }.joined()
        for result in results {
            let figures = result.figures
            let cells = [
                figures.name, "\(figures.fired)", "\(Self.rounded(figures.p50))", "\(Self.rounded(figures.p99))",
                "\(Self.rounded(figures.p999))", "\(result.recorded)", "\(result.doubled)", "\(result.parked)",
                "\(Self.rounded(result.caughtUpSeconds)) s", "\(Int(result.restMebibytes))",
                "\(Int(result.peakMebibytes))", result.isSound ? "yes" : "NO",
            ]
            text += "\n" + cells.map { pad($0, 12) }.joined()
        }
        return text
    }
}
