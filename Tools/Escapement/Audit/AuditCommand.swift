import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement audit`: what should have fired beside what is recorded.
struct AuditCommand: AsyncParsableCommand {
    /// What an item counts, by the API's names.
    private static let counts = ["expected", "recorded", "pending", "belated", "differences"]

    static let configuration = CommandConfiguration(
        commandName: "audit",
        abstract: "Compare what should have fired with what is recorded, and list every difference.",
        discussion: "Exit status 8: there are differences.")

    @Option(help: "From this instant on, or this long ago: 1h.")
    var from: String

    @Option(help: "Before this instant, or this long ago; now without it.")
    var to = "0s"

    @Option(help: "Only this schedule, and no timers.")
    var schedule: String?

    @Flag(help: "Do not look into the journal for what is missing; quicker when much is.")
    var withoutJournal = false

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let now = SystemClocks().wallNow()
            let from = try RelativeTime.instant(self.from, now: now, flag: "--from")
            let to = try RelativeTime.instant(self.to, now: now, flag: "--to")
            var totals: [String: Int64] = [:]
            var table = TextTable("NAME", "AT", "KIND", "DETAIL")
            var items: [JSONValue] = []
            var token: String?
            // One with many occurrences comes in parts.
            var schedules: Set<String> = []
            var timers: Int64 = 0
            repeat {
                let page = try await api.document(
                    .get, "\(api.home)/reconciliation",
                    query: [
                        ("from", from.description), ("to", to.description), ("schedule", self.schedule),
                        ("withoutJournal", self.withoutJournal ? "true" : nil), ("pageToken", token),
                    ])
                for item in page["items"]?.arrayValue ?? [] {
                    if let number = item["timers"]?.integerValue { timers += number }
                    if let name = item["schedule"]?.stringValue { schedules.insert(name) }
                    items.append(item)
                    for name in Self.counts {
                        totals[name, default: 0] += item[name]?.integerValue ?? 0
                    }
                    for difference in item["items"]?.arrayValue ?? [] {
                        table.add(
                            (difference["timer"] ?? item["schedule"])?.stringValue ?? "-", difference.cell("at"),
                            difference.cell("kind"),
                            difference.cell("detail"))
                    }
                }
                token = page["nextPageToken"]?.stringValue
            } while token != nil
            let summary = Self.counts.map { "\($0) \(totals[$0] ?? 0)" }
            switch self.client.output {
            case .table:
                Console.print("\(schedules.count) schedules, \(timers) timers, " + summary.joined(separator: ", "))
                if !table.isEmpty { Console.print(table.text) }
            case .json, .jsonl, .name:
                Printer(self.client.output, key: "schedule").show(items) { _ in table }
            }
            if totals["differences"] ?? 0 > 0 { throw ExitStatus.partly }
        }
    }
}
