import JSON

/// What the faults of one kind cost.
struct FailoverResult: Sendable {
    let fault: FailoverFault
    var faults = 0
    /// For each shard that a fault touched: by how many milliseconds the latest of its fires was later than usual.
    private(set) var pauses: [Double] = []
    /// For each fault: the longest of these.
    private(set) var worst: [Double] = []

    init(_ fault: FailoverFault) { self.fault = fault }

    mutating func add(_ pauses: [Double]) {
        self.faults += 1
        self.pauses += pauses
        self.worst.append(pauses.max() ?? 0)
    }

    /// The nearest rank: a value that was measured.
    static func quantile(_ fraction: Double, _ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let rank = Int((fraction * Double(values.count)).rounded(.up))
        return values.sorted()[max(0, min(values.count, rank) - 1)]
    }

    var p99: Double { Self.quantile(0.99, self.pauses) }

    var isWithinBudget: Bool { self.p99 < self.fault.budget }

    var json: JSONValue {
        .record([
            "w": "failover", "fault": .string(self.fault.rawValue), "faults": .integer(self.faults),
            "shards": .integer(self.pauses.count),
            "p50_ms": .decimal(Self.quantile(0.5, self.pauses)), "p99_ms": .decimal(self.p99),
            "max_ms": .decimal(self.pauses.max() ?? 0),
            "worst_of_fault_p50_ms": .decimal(Self.quantile(0.5, self.worst)),
            "budget_p99_ms": .decimal(self.fault.budget), "within": .bool(self.isWithinBudget),
        ])
    }

    static func table(_ results: [FailoverResult]) -> String {
        let head = ["fault", "faults", "shards", "p50 ms", "p99 ms", "max ms", "budget p99"]
        let rows = results.map { result in
            [
                result.fault.title, "\(result.faults)", "\(result.pauses.count)",
                "\(Int(Self.quantile(0.5, result.pauses)))", "\(Int(result.p99))", "\(Int(result.pauses.max() ?? 0))",
                "\(Int(result.fault.budget))\(result.isWithinBudget ? "" : " MISSED")",
            ]
        }
        return ([head] + rows).map { row in
            row.enumerated().map { index, cell in
                let pad = String(repeating: " ", count: max(0, (index == 0 ? 32 : 12) - cell.count))
                return index == 0 ? cell + pad : pad + cell
            }.joined()
        }.joined(separator: "\n")
    }
}
