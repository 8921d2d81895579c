import AllocationCount
import EscapementModel
import JSON
import Scheduling

import Glibc

/// W5: the next occurrence strictly after random instants of 2025 to 2034, expressions parsed beforehand.
struct CronWorkload {
    static let standard = [
        "* * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "0 9-17 * * 1-5", "0 0 1 * *", "15 10 1,15 * *",
        "0 0 * * 0", "5,35 0-6/2 * 3,6,9,12 *", "0 0 29 2 *",
    ]

    /// What was measured for one expression.
    struct Line {
        var expression: String
        var nanoseconds: Double
        var allocations: UInt64
        var sum: UInt64
    }

    /// What was measured for one zone.
    struct Result {
        var zone: String
        var count: Int
        var lines: [Line]
        var wallNanoseconds: Double
        var cpuNanoseconds: Double
        var chainPerSecond: Double
        var chainAllocations: UInt64

        /// The keys of the peers' lines.
        var record: JSONValue {
            let operations = Double(self.count * self.lines.count)
            let per = self.lines.map { line in
                JSONValue.record([
                    "ns": .decimal(line.nanoseconds.rounded()), "sum": .integer(line.sum),
                    "allocations": .integer(line.allocations),
                ])
            }
            return .record([
                "w": "W5", "peer": "escapement", "zone": .string(self.zone),
                "ops_s": .decimal((operations / self.wallNanoseconds * 1e9).rounded()),
                "cpu_ns": .decimal((self.cpuNanoseconds / operations * 10).rounded() / 10),
                "chain_ops_s": .decimal(self.chainPerSecond.rounded()),
                "sum": .integer(self.lines.reduce(into: UInt64(0)) { $0 &+= $1.sum }),
                "allocations": .integer(self.lines.reduce(into: self.chainAllocations) { $0 += $1.allocations }),
                "k": .integer(self.count), "per": .array(per),
            ])
        }
    }

    let zone: String
    let count: Int
    private let schedules: [(expression: String, schedule: CompiledSchedule)]

    init(zone: String, count: Int, expressions: [String]) throws(BenchError) {
        let zones = ZoneDatabase(directory: getenv("ESCAPEMENT_TZDIR").map { String(cString: $0) })
        var schedules: [(String, CompiledSchedule)] = []
        for expression in expressions {
            do {
                let definition = ScheduleDefinition(trigger: .cron([expression]), timeZone: zone)
                let schedule = try CompiledSchedule(
                    definition, uid: .zero, createdAt: WallInstant(milliseconds: 0), zones: zones)
                schedules.append((expression, schedule))
            } catch {
                throw BenchError("'\(expression)' in \(zone): \(error.detail)")
            }
        }
        self.zone = zone
        self.count = count
        self.schedules = schedules
    }

    /// The first column of the peers' list.
    static func expressions(file path: String) throws(BenchError) -> [String] {
        guard let file = fopen(path, "r") else { throw BenchError("cannot read \(path)") }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 4096)
        var expressions: [String] = []
        while fgets(&buffer, Int32(buffer.count), file) != nil {
            let bytes = buffer.prefix { $0 != 0 && $0 != 10 && $0 != 9 }.map { UInt8(bitPattern: $0) }
            if !bytes.isEmpty { expressions.append(String(decoding: bytes, as: UTF8.self)) }
        }
        return expressions
    }

    private static let start: Int64 = 1_735_689_600
    private static let chainEnd: Int64 = 3_786_912_000

    func run() -> Result {
        // The peers' generator, so that all see the same instants.
        var generator = SplitMix(state: 42)
        let instants = (0..<self.count).map { _ in
            WallInstant(milliseconds: (Self.start + Int64(generator.next() >> 11) % 315_532_800) * 1000)
        }
        var lines: [Line] = []
        lines.reserveCapacity(self.schedules.count)
        let wall = Self.clock(CLOCK_MONOTONIC)
        let cpu = Self.clock(CLOCK_PROCESS_CPUTIME_ID)
        for (expression, schedule) in self.schedules {
            let start = Self.clock(CLOCK_MONOTONIC)
            let before = escapement_allocation_count()
            var sum: UInt64 = 0
            for instant in instants {
                if let next = schedule.next(after: instant) {
                    sum &+= UInt64(bitPattern: next.scheduled.milliseconds / 1000)
                }
            }
            let allocations = escapement_allocation_count() - before
            let nanoseconds = Double(Self.clock(CLOCK_MONOTONIC) - start) / Double(self.count)
            lines.append(Line(expression: expression, nanoseconds: nanoseconds, allocations: allocations, sum: sum))
        }
        let wallSpent = Double(Self.clock(CLOCK_MONOTONIC) - wall)
        let cpuSpent = Double(Self.clock(CLOCK_PROCESS_CPUTIME_ID) - cpu)
        let chainStart = Self.clock(CLOCK_MONOTONIC)
        let before = escapement_allocation_count()
        var chained: Int64 = 0
        for (_, schedule) in self.schedules {
            var position = WallInstant(milliseconds: Self.start * 1000)
            for _ in 0..<self.count {
                position = schedule.next(after: position)?.due ?? .distantFuture
                if position.milliseconds > Self.chainEnd * 1000 {
                    position = WallInstant(milliseconds: Self.start * 1000)
                }
                chained &+= position.milliseconds
            }
        }
        let chainSpent = Double(Self.clock(CLOCK_MONOTONIC) - chainStart)
        precondition(chained != 0, "the chain must be run")
        return Result(
            zone: self.zone, count: self.count, lines: lines, wallNanoseconds: wallSpent, cpuNanoseconds: cpuSpent,
            chainPerSecond: Double(self.count * self.schedules.count) / chainSpent * 1e9,
            chainAllocations: escapement_allocation_count() - before)
    }

    private static func clock(_ id: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(id, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Nanoseconds and allocations a `next`, one row an expression.
    static func table(_ results: [Result]) -> String {
        func pad(_ text: String, _ width: Int, right: Bool = false) -> String {
            let space = String(repeating: " ", count: max(0, width - text.count))
            return right ? space + text : text + space
        }
        var rows = [
            pad("expression", 26)
                + results.map { pad($0.zone, 22, right: true) + pad("alloc", 7, right: true) }.joined()
        ]
        for index in results.first?.lines.indices ?? 0..<0 {
            rows.append(
                pad(results[0].lines[index].expression, 26)
                    + results.map { result in
                        let line = result.lines[index]
                        return pad("\(Int(line.nanoseconds.rounded())) ns", 22, right: true)
                            + pad("\(line.allocations)", 7, right: true)
                    }.joined())
        }
        rows.append(
            pad("all, CPU", 26)
                + results.map { result in
                    let nanoseconds = result.cpuNanoseconds / Double(result.count * result.lines.count)
                    let allocations = result.lines.reduce(into: UInt64(0)) { $0 += $1.allocations }
                    return pad("\(Int(nanoseconds.rounded())) ns", 22, right: true)
                        + pad("\(allocations)", 7, right: true)
                }.joined())
        return rows.joined(separator: "\n")
    }
}

/// SplitMix64 (S. Vigna).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        self.state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = self.state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}
