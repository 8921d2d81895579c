import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement activation`.
struct ActivationCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "activation", abstract: "Records of what became of each fire.",
        subcommands: [
            ActivationListCommand.self, ActivationGetCommand.self, ActivationTailCommand.self,
            ActivationSummaryCommand.self,
        ])
}

/// Which records.
struct ActivationFilters: ParsableArguments {
    @Option(help: "dispatched, skipped or failed.")
    var outcome: String?

    @Option(help: "A reason such as CATCHUP_WINDOW.")
    var reason: String?

    @Option(help: "cron, interval, at, delay, manual or backfill.")
    var kind: String?

    @Option(help: "Only of this action, such as /guest/reports/nightly.")
    var action: String?

    @Option(help: "Scheduled since this instant, or this long ago: 24h.")
    var since: String?

    @Option(help: "Scheduled before this instant, or this long ago.")
    var until: String?

    @Option(help: "Words of the schedule's name or the error, or how the name or the action begins.")
    var text: String?

    @Option(help: "A label such as team=billing; several with commas between.")
    var label: String?

    @Option(help: "At most so many.")
    var limit = 100

    func query() throws -> [(String, String?)] {
        let now = SystemClocks().wallNow()
        return [
            ("outcome", self.outcome), ("reason", self.reason), ("kind", self.kind), ("action", self.action),
            ("q", self.text), ("label", self.label),
            ("from", try self.since.map { try RelativeTime.instant($0, now: now, flag: "--since").description }),
            ("to", try self.until.map { try RelativeTime.instant($0, now: now, flag: "--until").description }),
        ]
    }

    func list(
        _ api: APIClient, _ path: String, _ more: [(String, String?)], counting: Bool, _ format: OutputFormat
    ) async throws {
        var items: [JSONValue] = []
        let query = try self.query() + more
        if counting { try await self.tellCount(api, path, query) }
        try await api.items(path, query: query, limit: self.limit) { items.append($0) }
        Printer(format, key: "activation_id").show(items, table: ActivationText.table)
    }

    /// On standard error, so that the list stays one of records.
    private func tellCount(_ api: APIClient, _ path: String, _ query: [(String, String?)]) async throws {
        let answer = try await api.document(
            .get, path, query: query + [("countUpTo", "\(Self.countBound)"), ("pageSize", "1")])
        Console.tell(ActivationText.count(answer["total"]))
    }

    /// The API's own bound.
    private static let countBound = 10_000
}

/// Records as people read them.
enum ActivationText {
    static func table(_ records: [JSONValue]) -> TextTable {
        var table = TextTable("SCHEDULED", "NAME", "OUTCOME", "REASON", "LATE", "WHERE", "ID")
        for record in records {
            table.add(
                record.cell("scheduled_at"), record.cell("schedule"), record.cell("outcome"), record.cell("reason"),
                self.lateness(record), self.place(record), record.cell("activation_id"))
        }
        return table
    }

    /// How many match, as far as it was counted: `17 records`, `at least 10000 records`.
    static func count(_ total: JSONValue?) -> String {
        guard let value = total?["value"]?.integerValue else { return "the records are not counted" }
        let noun = value == 1 ? "record" : "records"
        return total?["isLowerBound"]?.boolValue == true ? "at least \(value) \(noun)" : "\(value) \(noun)"
    }

    static func line(_ record: JSONValue) -> String {
        let name = "\(record.cell("namespace"))/\(record.cell("schedule"))"
        let parts = [
            record.cell("scheduled_at"), name, record.cell("outcome"), self.lateness(record), self.place(record),
        ]
        return parts.filter { $0 != "-" }.joined(separator: "  ") + "  \(record.cell("activation_id"))"
    }

    private static func lateness(_ record: JSONValue) -> String {
        record["lateness_ms"]?.integerValue.map { "\($0)ms" } ?? "-"
    }

    private static func place(_ record: JSONValue) -> String {
        guard let kafka = record["kafka"], kafka["topic"]?.stringValue != nil else { return "-" }
        var text = kafka.cell("topic")
        if kafka["partition"] != nil { text += "/\(kafka.cell("partition"))" }
        if kafka["offset"] != nil { text += "@\(kafka.cell("offset"))" }
        return text
    }
}

/// `escapement activation list`.
struct ActivationListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List records, newest first.")

    @Option(help: "Only of this schedule or timer.")
    var schedule: String?

    @OptionGroup(title: "Filters")
    var filters: ActivationFilters

    @Flag(help: "Say how many there are: exactly up to 10000, beyond that 'at least 10000'.")
    var count = false

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            try await self.filters.list(
                api, "\(api.home)/activations", [("schedule", self.schedule)], counting: self.count,
                self.client.output)
        }
    }
}

/// `escapement activation get`.
struct ActivationGetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "get", abstract: "Show a record.")

    @Argument(help: "The activation id: 32 hexadecimal digits.")
    var id: String

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let record = try await api.document(.get, "\(api.home)/activations/\(APIClient.escaped(self.id))")
            Printer(self.client.output, key: "activation_id").show(record) { [$0.prettyText] }
        }
    }
}
