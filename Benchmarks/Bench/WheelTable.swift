import JSON

import Glibc

/// W1 to W4 and the herd on the wheel and on the heap, in turn inside each round, each measurement in a
/// process of its own; the table shows medians, so that a ratio is seen in one run.
struct WheelTable {
    private let rounds: Int
    private let counts: [Int]

    init(_ arguments: [String]) throws(BenchError) {
        var rounds = 3
        var counts: [Int] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--rounds" {
                guard let value = rest.popFirst().flatMap({ Int($0) }), (1...99).contains(value) else {
                    throw BenchError("--rounds needs a number from 1 to 99")
                }
                rounds = value
            } else if let count = Int(argument), count > 1 {
                counts.append(count)
            } else {
                throw BenchError("'\(argument)' is no number of timers")
            }
        }
        self.rounds = rounds
        self.counts = counts.isEmpty ? [1_000_000, 10_000_000] : counts
    }

    func run() throws(BenchError) {
        var measured: [(workload: String, key: String, queue: String, values: [Double])] = []
        func note(_ record: JSONValue, _ size: String, _ keys: [String], _ queue: QueueChoice) {
            let members = record.objectValue ?? []
            let workload = (members.first { $0.name == "w" }?.value.stringValue ?? "?") + " " + size
            for key in keys {
                guard let value = members.first(where: { $0.name == key })?.value.doubleValue else { continue }
                if let index = measured.firstIndex(where: {
                    $0.workload == workload && $0.key == key && $0.queue == queue.rawValue
                }) {
                    measured[index].values.append(value)
                } else {
                    measured.append((workload, key, queue.rawValue, [value]))
                }
            }
        }
        for round in 1...self.rounds {
            for queue in [QueueChoice.wheel, .heap] {
                for count in self.counts {
                    for record in try Self.child("w123 \(count) \(round) \(queue.rawValue)") {
                        emit(record)
                        note(record, "\(count)", ["cpu_ns", "rss_b"], queue)
                    }
                }
                for rate in [50_000, 100_000] {
                    for record in try Self.child("w4 \(rate) \(queue.rawValue)") {
                        emit(record)
                        note(record, "\(rate)/s", ["p50_us", "p99_us", "max_us", "cpu_pct"], queue)
                    }
                }
                for record in try Self.child("herd 500000 \(queue.rawValue)") {
                    emit(record)
                    note(record, "500000", ["all_ms"], queue)
                }
            }
        }
        write(Self.table(measured), to: 1)
    }

    private static func table(_ measured: [(workload: String, key: String, queue: String, values: [Double])]) -> String
    {
        func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
        func pad(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.count)) + text
        }
        func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
        var text = "\n" + pad("workload", 16) + pad("figure", 10) + pad("wheel", 10) + pad("heap", 10)
        text += pad("heap/wheel", 12) + "\n"
        for entry in measured where entry.queue == QueueChoice.wheel.rawValue {
            let wheel = median(entry.values)
            let other = measured.first {
                $0.workload == entry.workload && $0.key == entry.key && $0.queue == QueueChoice.heap.rawValue
            }
            let heap = other.map { median($0.values) } ?? .nan
            text += pad(entry.workload, 16) + pad(entry.key, 10) + pad(rounded(wheel), 10) + pad(rounded(heap), 10)
            text += pad(rounded(heap / wheel), 12) + "\n"
        }
        return text
    }

    /// Runs this program with other arguments and reads the JSON lines that it prints.
    private static func child(_ arguments: String) throws(BenchError) -> [JSONValue] {
        // Paths with spaces stay whole between the quotes; one with a quote is not run.
        let program = CommandLine.arguments[0]
        guard !program.contains("'"), let pipe = popen("'\(program)' \(arguments)", "r") else {
            throw BenchError("cannot start \(program)")
        }
        var lines: [JSONValue] = []
        var buffer = [CChar](repeating: 0, count: 4096)
        while fgets(&buffer, Int32(buffer.count), pipe) != nil {
            let bytes = buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
            do throws(JSONError) {
                lines.append(try JSONParser.parse(bytes))
            } catch {
                pclose(pipe)
                throw BenchError("'\(arguments)' printed what is not JSON: \(error.description)")
            }
        }
        guard pclose(pipe) == 0 else { throw BenchError("'\(arguments)' failed") }
        return lines
    }
}
