import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement schedule get`.
struct ScheduleGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Show a schedule.")

    @Argument(help: "The schedule's name.")
    var name: String

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let schedule = try await api.document(.get, "\(api.home)/schedules/\(APIClient.escaped(self.name))")
            Printer(self.client.output).show(schedule, lines: ScheduleText(now: SystemClocks().wallNow()).lines)
        }
    }
}

/// `escapement schedule list`.
struct ScheduleListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List schedules.")

    @Option(name: .shortAndLong, help: "Only names that hold this text.")
    var query: String?

    @Option(name: [.customShort("l"), .customLong("selector")], help: "Only with these labels: team=billing.")
    var selector: String?

    @Option(help: "active or paused.")
    var state: String?

    @Option(help: "At most so many.")
    var limit = 1000

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            var items: [JSONValue] = []
            try await api.items(
                "\(api.home)/schedules",
                query: [("q", self.query), ("labelSelector", self.selector), ("state", self.state)],
                limit: self.limit
            ) { items.append($0) }
            Printer(self.client.output).show(items, table: ScheduleText(now: SystemClocks().wallNow()).table)
        }
    }
}

/// `escapement schedule delete`.
struct ScheduleDeleteCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "delete", abstract: "End a schedule.")

    @Argument(help: "The schedule's name.")
    var name: String

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let schedule = try await api.document(
                .delete, "\(api.home)/schedules/\(APIClient.escaped(self.name))", query: self.write.query,
                headers: self.write.headers)
            Console.tell(self.write.dryRun ? "would be deleted" : "deleted")
            Printer(self.client.output).show(schedule) { ["\($0.cell("namespace"))/\($0.cell("name"))"] }
        }
    }
}

/// `escapement schedule preview`.
struct SchedulePreviewCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preview", abstract: "Show the next fires of a schedule, or of flags that are not stored.")

    @Argument(help: "The schedule's name; without it --cron, --every or --at.")
    var name: String?

    @OptionGroup(title: "Schedule")
    var flags: ScheduleFlags

    @Option(help: "How many fires.")
    var count = 10

    @Option(help: "After this instant; now.")
    var from: String?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func validate() throws {
        if (self.name == nil) != self.flags.hasTrigger {
            throw ValidationError("give either a name, or one of --cron, --every, --at, --delay")
        }
    }

    func run() async throws {
        try await self.client.run { api in
            let answer: JSONValue
            if let name {
                answer = try await api.document(
                    .get, "\(api.home)/schedules/\(APIClient.escaped(name))/upcoming",
                    query: [("count", "\(self.count)"), ("from", self.from)])
            } else {
                answer = try await api.document(
                    .post, "/v1/preview",
                    body: .record([
                        "when": try self.flags.document()["when"], "count": .integer(self.count),
                        "from": self.from.map { .string($0) },
                    ]))
            }
            Printer(self.client.output).show(answer) { answer in
                var table = TextTable("AT", "LOCAL", "NOTE")
                for fire in (answer["fires"] ?? answer["items"])?.arrayValue ?? [] {
                    table.add(fire.cell("at"), fire.cell("local"), fire["note"]?.stringValue ?? "")
                }
                let warnings = (answer["warnings"]?.arrayValue ?? []).map { "warning: \($0.cell("detail"))" }
                return [answer.cell("text"), table.text] + warnings
            }
        }
    }
}

/// `escapement schedule history`.
struct ScheduleHistoryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history", abstract: "Show what became of a schedule's fires, newest first.")

    @Argument(help: "The schedule's name.")
    var name: String

    @OptionGroup(title: "Filters")
    var filters: ActivationFilters

    @Flag(help: "Say how many there are: exactly up to 10000, beyond that 'at least 10000'.")
    var count = false

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            try await self.filters.list(
                api, "\(api.home)/schedules/\(APIClient.escaped(self.name))/activations", [],
                counting: self.count, self.client.output)
        }
    }
}
