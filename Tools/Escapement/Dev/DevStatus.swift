import Glibc
import HTTPClient
import JSON

/// Reads what a running stack says of itself.
enum DevStatus {
    static func report(in folder: String) -> JSONValue? {
        guard let text = try? DevFiles.read(DevStack.reportFile(in: folder)) else { return nil }
        return try? JSONParser.parse(text)
    }

    /// One line a process: name, process number, whether it is ready, and where its admin port is.
    static func table(_ report: JSONValue) async -> String {
        let http = HTTPClient()
        var lines = ["API        \(report["api"]?["url"]?.stringValue ?? "-")"]
        if let kafka = report["kafka"]?["bootstrapServers"]?.stringValue { lines.append("Kafka      \(kafka)") }
        if let store = report["elasticsearch"]?["url"]?.stringValue { lines.append("Search     \(store)") }
        if let postgres = report["postgres"]?["connectionString"]?.stringValue {
            lines.append("PostgreSQL \(postgres)")
        }
        lines.append("")
        for process in report["processes"]?.arrayValue ?? [] {
            let name = process["name"]?.stringValue ?? "?"
            let pid = process["pid"]?.integerValue ?? 0
            let admin = process["adminUrl"]?.stringValue
            var state = kill(pid_t(pid), 0) == 0 ? "running" : "gone"
            let isService = ["coordinator", "ticker", "dispatcher"].contains(process["role"]?.stringValue ?? "")
            if state == "running", isService, let admin {
                do {
                    let answer = try await http.send(HTTPRequest(.get, "\(admin)/readyz", timeout: .seconds(2)))
                    state = answer.isSuccess ? "ready" : "not ready: \(answer.text.split(separator: "\n").first ?? "")"
                } catch {
                    state = "does not answer"
                }
            }
            let padding = String(repeating: " ", count: max(1, 18 - name.count))
            lines.append("\(name)\(padding)pid \(pid)  \(state)  \(admin ?? "")")
        }
        await http.shutdown()
        return lines.joined(separator: "\n")
    }

    /// Stops processes that a killed supervisor left behind: those of the report whose executable is ours.
    static func stopLeftovers(in folder: String) async throws {
        guard let report = self.report(in: folder) else { return }
        for process in report["processes"]?.arrayValue ?? [] {
            guard let pid = process["pid"]?.integerValue.map({ pid_t($0) }), self.isOurs(pid, folder: folder) else {
                continue
            }
            kill(pid, process["role"]?.stringValue == "postgres" ? SIGINT : SIGTERM)
            print("stopped \(process["name"]?.stringValue ?? "process") (\(pid))")
        }
        unlink(DevStack.reportFile(in: folder))
    }

    static func logFiles(in folder: String, name: String?) throws(DevError) -> [String] {
        guard let directory = opendir(folder) else { throw DevError("there are no logs in \(folder) yet") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let file = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if file.hasSuffix(".log") { names.append(String(file.dropLast(4))) }
        }
        names.sort()
        guard let name else { return names.map { "\(folder)/\($0).log" } }
        guard names.contains(name) else {
            throw DevError("no process is called '\(name)'; there are \(names.joined(separator: ", "))")
        }
        return ["\(folder)/\(name).log"]
    }

    /// A process number may belong to somebody else by now: ours mention the data directory.
    private static func isOurs(_ pid: pid_t, folder: String) -> Bool {
        for part in ["cmdline", "environ"] {
            if let text = try? DevFiles.read("/proc/\(pid)/\(part)"), text.contains(folder) { return true }
        }
        return false
    }
}
