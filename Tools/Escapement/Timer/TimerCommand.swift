import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement timer`.
struct TimerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "timer", abstract: "Timers: delayed actions that fire once.",
        subcommands: [
            TimerCreateCommand.self, TimerBatchCommand.self, TimerGetCommand.self, TimerListCommand.self,
            TimerCancelCommand.self,
        ])
}

/// Timers as people read them.
struct TimerText {
    let now: WallInstant

    func lines(_ timer: JSONValue) -> [String] {
        var lines = [
            "id          \(timer.cell("namespace"))/\(timer.cell("id"))",
            "state       \(timer.cell("state"))",
            "due         \(timer.cell("dueAt")) (\(RelativeTime.text(timer.cell("dueAt"), now: self.now)))",
        ]
        if let action = timer["target"]?["action"]?.stringValue { lines.append("action      \(action)") }
        lines.append("priority    \(timer.cell("priority"))")
        lines.append("activation  \(timer.cell("activationId"))")
        return lines
    }

    func table(_ timers: [JSONValue]) -> TextTable {
        var table = TextTable("ID", "DUE", "STATE", "ACTION")
        for timer in timers {
            let due = timer.cell("dueAt")
            table.add(
                timer.cell("id"), "\(due) (\(RelativeTime.text(due, now: self.now)))", timer.cell("state"),
                timer["target"]?.cell("action") ?? "-")
        }
        return table
    }
}

/// `escapement timer create`.
struct TimerCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a timer.",
        discussion: "escapement timer create --delay 36h --action /guest/remind --payload '{\"order\": 8841}'")

    @Option(help: "An id of your own; a repeated request with it makes one timer.")
    var id: String?

    @Option(help: "After this time: 90s, 36h.")
    var delay: String?

    @Option(help: "At this instant: 2026-11-25T08:00:00Z.")
    var at: String?

    @Option(name: .customLong("expire-after"), help: "How late it is still worth firing.")
    var expireAfter: String?

    @Option(help: "Which of the fires due at one millisecond leave first: high, normal or low.")
    var priority: String?

    @OptionGroup(title: "Target")
    var target: TargetFlags

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func validate() throws {
        if (self.delay == nil) == (self.at == nil) { throw ValidationError("say when: either --delay or --at") }
    }

    func run() async throws {
        try await self.client.run { api in
            let document = JSONValue.record([
                "id": self.id.map { .string($0) }, "delay": self.delay.map { .string($0) },
                "at": self.at.map { .string($0) }, "target": try self.target.target(),
                "policy": self.expireAfter.map { ["expireAfter": .string($0)] }, "labels": self.target.labelMembers(),
                "priority": self.priority.map { .string($0) },
            ])
            let timer = try await api.document(
                .post, "\(api.home)/timers", query: self.write.query, body: document, headers: self.write.headers)
            Console.tell(self.write.dryRun ? "would be created" : "created")
            Printer(self.client.output, key: "id").show(timer, lines: TimerText(now: SystemClocks().wallNow()).lines)
        }
    }
}

/// `escapement timer get`.
struct TimerGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Show a timer.")

    @Argument(help: "The timer's id.")
    var id: String

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let timer = try await api.document(.get, "\(api.home)/timers/\(APIClient.escaped(self.id))")
            Printer(self.client.output, key: "id").show(timer, lines: TimerText(now: SystemClocks().wallNow()).lines)
        }
    }
}

/// `escapement timer list`.
struct TimerListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List timers that are still to fire, in order of due time.")

    @Option(help: "At most so many.")
    var limit = 1000

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            var items: [JSONValue] = []
            try await api.items("\(api.home)/timers", query: [], limit: self.limit) { items.append($0) }
            Printer(self.client.output, key: "id").show(items, table: TimerText(now: SystemClocks().wallNow()).table)
        }
    }
}

/// `escapement timer cancel`.
struct TimerCancelCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Cancel a timer that has not fired.")

    @Argument(help: "The timer's id.")
    var id: String

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let timer = try await api.document(
                .delete, "\(api.home)/timers/\(APIClient.escaped(self.id))", query: self.write.query,
                headers: self.write.headers)
            if self.write.dryRun {
                Console.tell("would be cancelled")
            } else if timer["confirmed"]?.boolValue == false {
                Console.tell("cancelled; whether in time is not known yet, its record will tell")
            } else {
                Console.tell("cancelled")
            }
            Printer(self.client.output, key: "id").show(timer) { ["\($0.cell("namespace"))/\($0.cell("id"))"] }
        }
    }
}
