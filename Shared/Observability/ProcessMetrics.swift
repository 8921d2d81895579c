#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The standard `process_*` metrics and `escapement_build_info`, read when scraped.
package enum ProcessMetrics {
    /// Adds the collectors to `registry`.
    package static func register(in registry: MetricsRegistry, identity: ProcessIdentity) {
        let build = MetricSnapshot(
            name: "escapement_build_info", help: "What is running; always 1.", kind: .gauge,
            series: [
                (
                    [
                        MetricLabel("version", identity.version), MetricLabel("revision", identity.revision),
                        MetricLabel("role", identity.role),
                    ], .number(1)
                )
            ])
        registry.addCollector { [build] + self.collect() }
    }

    /// What the kernel tells about this process now; what it does not tell is left out.
    static func collect() -> [MetricSnapshot] {
        var families: [MetricSnapshot] = []
        func add(_ name: String, _ help: String, _ kind: MetricKind, _ value: Double?) {
            guard let value else { return }
            families.append(MetricSnapshot(name: name, help: help, kind: kind, series: [([], .number(value))]))
        }
        var usage = rusage()
        #if canImport(Glibc)
        let hasUsage = getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0
        #else
        let hasUsage = getrusage(RUSAGE_SELF, &usage) == 0
        #endif
        add(
            "process_cpu_seconds_total", "User and system CPU time spent.", .counter,
            hasUsage ? Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime) : nil)
        #if os(Linux)
        let fields = Self.statFields()
        let pageSize = Double(sysconf(Int32(_SC_PAGESIZE)))
        let ticksPerSecond = Double(sysconf(Int32(_SC_CLK_TCK)))
        // Numbering of proc(5): field 3, the state, is the first after the command's name.
        add("process_virtual_memory_bytes", "Virtual memory size.", .gauge, Self.field(23, of: fields))
        add(
            "process_resident_memory_bytes", "Resident memory size.", .gauge,
            Self.field(24, of: fields).map { $0 * pageSize })
        if let start = Self.field(22, of: fields), let boot = Self.bootTime() {
            add(
                "process_start_time_seconds", "When the process started, since the Unix epoch.", .gauge,
                boot + start / ticksPerSecond)
        }
        add("process_threads", "Threads of the process.", .gauge, Self.field(20, of: fields))
        add("process_open_fds", "Open file descriptors.", .gauge, Self.openDescriptors())
        #endif
        var limit = rlimit()
        #if canImport(Glibc)
        let hasLimit = getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        #else
        let hasLimit = getrlimit(RLIMIT_NOFILE, &limit) == 0
        #endif
        add("process_max_fds", "Most file descriptors allowed.", .gauge, hasLimit ? Double(limit.rlim_cur) : nil)
        return families
    }

    private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

    #if os(Linux)
    private static func statFields() -> [Substring] {
        guard let text = self.read("/proc/self/stat"), let end = text.lastIndex(of: ")") else { return [] }
        return text[text.index(after: end)...].split(separator: " ")
    }

    private static func field(_ number: Int, of fields: [Substring]) -> Double? {
        let index = number - 3
        return fields.indices.contains(index) ? Double(fields[index]) : nil
    }

    private static func bootTime() -> Double? {
        self.read("/proc/stat")?.split(separator: "\n").first { $0.hasPrefix("btime ") }
            .flatMap { Double($0.dropFirst("btime ".utf8.count)) }
    }

    private static func openDescriptors() -> Double? {
        guard let directory = opendir("/proc/self/fd") else { return nil }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // Not counted: the two dots and the directory we are reading.
        return Double(count - 3)
    }

    /// At most 1 MiB: `/proc/stat` of the largest machines is smaller.
    private static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16_384)
        while bytes.count < 1 << 20 {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count <= 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
    #endif
}
