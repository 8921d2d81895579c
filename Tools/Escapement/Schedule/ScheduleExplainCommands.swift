import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement schedule explain`.
struct ScheduleExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say why a schedule fired, or did not, at an instant.")

    @Argument(help: "The schedule's name.")
    var name: String

    @Option(help: "The instant, past or future, or how long ago: 2026-11-24T08:00:00Z, 90m.")
    var at: String

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let at = try RelativeTime.instant(self.at, now: SystemClocks().wallNow(), flag: "--at")
            let answer = try await api.document(
                .get, "\(api.home)/schedules/\(APIClient.escaped(self.name))/explain",
                query: [("at", at.description)])
            Printer(self.client.output, key: "verdict").show(answer) { answer in
                let reason = answer["reason"]?.stringValue.map { " (\($0))" } ?? ""
                var lines = ["\(answer.cell("verdict"))\(reason): \(answer.cell("summary"))", ""]
                for check in answer["checks"]?.arrayValue ?? [] {
                    let mark = check["ok"]?.boolValue == true ? "[+]" : "[-]"
                    lines.append("\(mark) \(check.cell("check")): \(check.cell("detail"))")
                }
                let suggestions = (answer["suggest"]?.arrayValue ?? []).compactMap(\.stringValue)
                if !suggestions.isEmpty { lines += [""] + suggestions.map { "try: \($0)" } }
                return lines
            }
        }
    }
}

/// `escapement schedule revisions`.
struct ScheduleRevisionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "revisions", abstract: "Show who changed a schedule, when and how, newest first.")

    @Argument(help: "The schedule's name.")
    var name: String

    @Flag(help: "Show what each one changed.")
    var diff = false

    @Option(help: "At most so many.")
    var limit = 100

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            var items: [JSONValue] = []
            try await api.items(
                "\(api.home)/schedules/\(APIClient.escaped(self.name))/revisions", query: [], limit: self.limit
            ) { items.append($0) }
            guard self.diff, self.client.output == .table else {
                Printer(self.client.output, key: "generation").show(items) { items in
                    var table = TextTable("GENERATION", "AT", "BY", "CHANGED", "REASON")
                    for item in items {
                        let places = (item["changes"]?.arrayValue ?? []).map { $0.cell("pointer") }
                        table.add(
                            item.cell("generation"), item.cell("at"), item.cell("by"),
                            places.isEmpty ? "-" : places.joined(separator: " "), item.cell("reason"))
                    }
                    return table
                }
                return
            }
            for item in items {
                Console.print("generation \(item.cell("generation")), \(item.cell("at")), \(item.cell("by"))")
                for change in item["changes"]?.arrayValue ?? [] {
                    Console.print("  \(change.cell("pointer"))")
                    if let before = change["before"], before != .null { Console.print("  - \(before.text)") }
                    if let after = change["after"], after != .null { Console.print("  + \(after.text)") }
                }
            }
        }
    }
}
