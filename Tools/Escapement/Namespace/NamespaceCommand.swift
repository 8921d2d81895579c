import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement namespace`.
struct NamespaceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "namespace", abstract: "Namespaces: quotas, and pausing all of one.",
        subcommands: [
            NamespaceListCommand.self, NamespaceGetCommand.self, NamespaceQuotaCommand.self,
            NamespacePauseCommand.self, NamespaceResumeCommand.self,
        ])
}

/// Namespaces as people read them.
enum NamespaceText {
    static func lines(_ namespace: JSONValue) -> [String] {
        var lines = ["\("namespace".padded(to: 20)) \(namespace.cell("namespace"))"]
        if namespace["paused"]?.boolValue == true {
            lines.append(
                "\("paused".padded(to: 20)) \(namespace["pause"]?.cell("reason") ?? "-"), since \(namespace["pause"]?.cell("since") ?? "-")"
            )
        }
        for name in ["schedules", "pendingTimers"] {
            let used = namespace["usage"]?[name]?.cell("value") ?? "-"
            lines.append("\(name.padded(to: 20)) \(used) of \(namespace["quota"]?.cell(name) ?? "-")")
        }
        for name in ["creationsPerSecond", "payloadBytes", "minInterval"] {
            lines.append("\(name.padded(to: 20)) \(namespace["quota"]?.cell(name) ?? "-")")
        }
        return lines
    }

    static func table(_ namespaces: [JSONValue]) -> TextTable {
        var table = TextTable("NAMESPACE", "PAUSED", "SCHEDULES MAX", "TIMERS MAX")
        for namespace in namespaces {
            table.add(
                namespace.cell("namespace"), namespace.cell("paused"), namespace["quota"]?.cell("schedules") ?? "-",
                namespace["quota"]?.cell("pendingTimers") ?? "-")
        }
        return table
    }
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - self.count)) }
}

/// `escapement namespace list`.
struct NamespaceListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List namespaces.")

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            var items: [JSONValue] = []
            try await api.items("/v1/namespaces", query: [], limit: 10_000) { items.append($0) }
            Printer(self.client.output, key: "namespace").show(items, table: NamespaceText.table)
        }
    }
}

/// `escapement namespace get`.
struct NamespaceGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Show a namespace and its quota.")

    @Argument(help: "The namespace; the token's own without it.")
    var name: String?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let path = self.name.map { "/v1/namespaces/\(APIClient.escaped($0))" } ?? api.home
            Printer(self.client.output, key: "namespace")
                .show(try await api.document(.get, path), lines: NamespaceText.lines)
        }
    }
}

/// `escapement namespace quota`.
struct NamespaceQuotaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quota",
        abstract: "Set a namespace's quota; a flag that is not given keeps its value, 'none' removes it.")

    @Argument(help: "The namespace.")
    var name: String

    @Option(help: "How many schedules.")
    var schedules: String?

    @Option(name: .customLong("pending-timers"), help: "How many pending timers.")
    var pendingTimers: String?

    @Option(name: .customLong("creations-per-second"), help: "How many creations a second, on each coordinator.")
    var creationsPerSecond: String?

    @Option(name: .customLong("payload-bytes"), help: "The largest payload.")
    var payloadBytes: String?

    @Option(name: .customLong("min-interval"), help: "The least time between two fires of a schedule: 1m.")
    var minInterval: String?

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let path = "/v1/namespaces/\(APIClient.escaped(self.name))"
            let current = try await api.document(.get, path)
            var quota = current["quota"]?.objectValue ?? []
            func set(_ name: String, _ value: String?, isNumber: Bool = true) {
                guard let value else { return }
                quota.removeAll { $0.name == name }
                if value == "none" { return }
                quota.append(JSONMember(name, isNumber && Int64(value) != nil ? .number(value) : .string(value)))
            }
            set("schedules", self.schedules)
            set("pendingTimers", self.pendingTimers)
            set("creationsPerSecond", self.creationsPerSecond)
            set("payloadBytes", self.payloadBytes)
            set("minInterval", self.minInterval, isNumber: false)
            var headers = self.write.headers
            if headers["If-Match"] == nil { headers["If-Match"] = "\"\(current.cell("generation"))\"" }
            let changed = try await api.document(
                .put, path, query: self.write.query, body: ["quota": .object(quota)], headers: headers)
            Printer(self.client.output, key: "namespace").show(changed, lines: NamespaceText.lines)
        }
    }
}

/// `escapement namespace pause`.
struct NamespacePauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Stop all schedules of a namespace from firing.")

    @Argument(help: "The namespace.")
    var name: String

    @Option(help: "Why; shown to whoever looks.")
    var reason: String

    @Option(help: "Resume by itself at this instant.")
    var until: String?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(
                .post, "/v1/namespaces/\(APIClient.escaped(self.name))/pause",
                body: .record(["reason": .string(self.reason), "until": self.until.map { .string($0) }]))
            Console.tell("paused \(self.name)")
            Printer(self.client.output, key: "namespace").show(answer, lines: NamespaceText.lines)
        }
    }
}

/// `escapement namespace resume`.
struct NamespaceResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "resume", abstract: "End the pause of a namespace.")

    @Argument(help: "The namespace.")
    var name: String

    @Option(help: "Why; shown to whoever looks.")
    var reason: String?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(
                .post, "/v1/namespaces/\(APIClient.escaped(self.name))/resume",
                body: .record(["reason": self.reason.map { .string($0) }]))
            Console.tell("resumed \(self.name)")
            Printer(self.client.output, key: "namespace").show(answer, lines: NamespaceText.lines)
        }
    }
}
