import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement deadletter`.
struct DeadLetterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deadletter", abstract: "Fires that could not be delivered.",
        subcommands: [DeadLetterListCommand.self, DeadLetterReplayCommand.self])
}

/// `escapement deadletter list`.
struct DeadLetterListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List them, newest first.")

    @Option(help: "Only of this schedule or timer.")
    var schedule: String?

    @Option(help: "Scheduled since this instant, or this long ago: 24h.")
    var since: String?

    @Option(help: "At most so many.")
    var limit = 100

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let now = SystemClocks().wallNow()
            let from = try self.since.map { try RelativeTime.instant($0, now: now, flag: "--since").description }
            var items: [JSONValue] = []
            try await api.items(
                "\(api.home)/deadletters", query: [("schedule", self.schedule), ("from", from)], limit: self.limit
            ) { items.append($0) }
            Printer(self.client.output, key: "activation_id").show(items) { items in
                var table = TextTable("SCHEDULED", "NAME", "REASON", "ERROR", "ID")
                for item in items {
                    table.add(
                        item.cell("scheduled_at"), item.cell("schedule"), item.cell("reason"), item.cell("error"),
                        item.cell("activation_id"))
                }
                return table
            }
        }
    }
}

/// `escapement deadletter replay`.
struct DeadLetterReplayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Fire them again, now; asking twice fires once.",
        discussion: "escapement deadletter list -o name | xargs escapement deadletter replay")

    @Argument(help: "Activation ids.")
    var ids: [String]

    @Option(help: "Why; kept in the audit trail.")
    var reason: String?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    /// As many as the server takes at once.
    private static let atOnce = 100

    func run() async throws {
        try await self.client.run { api in
            var items: [JSONValue] = []
            for start in stride(from: 0, to: self.ids.count, by: Self.atOnce) {
                let part = self.ids[start..<min(start + Self.atOnce, self.ids.count)]
                let answer = try await api.document(
                    .post, "\(api.home)/deadletters/replay",
                    body: .record([
                        "activationIds": .array(part.map { .string($0) }),
                        "reason": self.reason.map { .string($0) },
                    ]))
                items += answer["items"]?.arrayValue ?? []
            }
            Printer(self.client.output, key: "activationId").show(items) { items in
                var table = TextTable("ID", "STATUS", "REPLAYED AS", "DETAIL")
                for item in items {
                    table.add(
                        item.cell("activationId"), item.cell("status"), item.cell("replayedAs"), item.cell("detail"))
                }
                return table
            }
            let done = items.count { $0.cell("status").hasPrefix("replayed") }
            if done < items.count { throw ExitStatus.partly }
        }
    }
}
