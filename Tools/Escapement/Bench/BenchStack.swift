import EscapementModel
import Glibc
import HTTPClient
import JSON

/// The processes of a running stack, as the benchmark looks at them: their metrics, processor time, memory.
struct BenchStack {
    struct Process: Sendable {
        var name: String
        var role: String
        var pid: Int
        var adminURL: String?
    }

    /// Everything at one moment.
    struct Sample: Sendable {
        /// Dispatched so far, by all dispatchers.
        var fires = 0.0
        /// Activation documents stored or refused so far, by all dispatchers.
        var documents = 0.0
        /// Cumulative counts of lateness up to each bound, in seconds; the last bound is infinite.
        var lateness: [(bound: Double, count: Double)] = []
        /// By name of the process: processor nanoseconds, and resident bytes.
        var processor: [String: UInt64] = [:]
        var resident: [String: UInt64] = [:]
        var at = WallInstant(milliseconds: 0)
    }

    let processes: [Process]
    /// `dev.json`.
    let report: JSONValue
    let client = HTTPClient()

    /// Where the stand-in for Elasticsearch takes orders for faults; `nil` when another one is used.
    var faultsURL: String? { self.report["elasticsearch"]?["adminUrl"]?.stringValue }

    /// What `./dev up` wrote in this folder.
    static func here(_ folder: String) -> BenchStack? {
        guard let report = DevStatus.report(in: DevFiles.absolute(folder)) else { return nil }
        let processes = (report["processes"]?.arrayValue ?? []).compactMap { entry -> Process? in
            guard let name = entry["name"]?.stringValue, let pid = entry["pid"]?.integerValue else { return nil }
            return Process(
                name: name, role: entry["role"]?.stringValue ?? "", pid: Int(pid),
                adminURL: entry["adminUrl"]?.stringValue)
        }
        return processes.isEmpty ? nil : BenchStack(processes: processes, report: report)
    }

    func shutdown() async { await self.client.shutdown() }

    func sample() async throws -> Sample {
        var sample = Sample()
        var counts: [Double: Double] = [:]
        for process in self.processes {
            sample.processor[process.name] = Self.processorNanoseconds(of: process.pid)
            sample.resident[process.name] = Self.residentBytes(of: process.pid)
            guard process.role == "dispatcher", let admin = process.adminURL else { continue }
            let text = try await self.client.send(HTTPRequest(.get, "\(admin)/metrics", timeout: .seconds(5))).text
            for line in text.split(separator: "\n") {
                guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
                    continue
                }
                if line.hasPrefix("escapement_fire_lateness_seconds_bucket"), let bound = Self.bound(in: line) {
                    counts[bound, default: 0] += value
                } else if line.hasPrefix("escapement_fire_lateness_seconds_count") {
                    sample.fires += value
                } else if line.hasPrefix("escapement_activation_writes_total"), !line.contains("duplicate") {
                    sample.documents += value
                }
            }
        }
        sample.lateness = counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        sample.at = SystemClocks().wallNow()
        return sample
    }

    /// The `le` of a bucket's line.
    private static func bound(in line: Substring) -> Double? {
        let parts = line.split(separator: "\"", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() where part.hasSuffix("le=") && index + 1 < parts.count {
            return parts[index + 1] == "+Inf" ? .infinity : Double(parts[index + 1])
        }
        return nil
    }

    /// User and system time; 0 for a process that is gone.
    private static func processorNanoseconds(of pid: Int) -> UInt64 {
        // The name, in parentheses, may hold spaces: the fields are counted from behind it.
        guard let text = Self.line(of: "/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return 0 }
        let fields = text[end...].split(separator: " ")
        guard fields.count > 13, let user = UInt64(fields[12]), let system = UInt64(fields[13]) else { return 0 }
        return (user + system) * (1_000_000_000 / UInt64(sysconf(Int32(_SC_CLK_TCK))))
    }

    private static func residentBytes(of pid: Int) -> UInt64 {
        guard let text = Self.line(of: "/proc/\(pid)/statm") else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (UInt64(fields[1]) ?? 0) * UInt64(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    private static func line(of path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 1024)
        guard fgets(&buffer, Int32(buffer.count), file) != nil else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
