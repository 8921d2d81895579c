import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement activation summary`: outcomes and lateness over time.
struct ActivationSummaryCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "summary", abstract: "Count outcomes and show lateness over time, the last day by the hour.")

    @Option(help: "Only of this schedule or timer.")
    var schedule: String?

    @Option(help: "Length of a row: 1m, 1h, 1d.")
    var every = "1h"

    @OptionGroup(title: "Filters")
    var filters: ActivationFilters

    @OptionGroup(title: "Server")
    var client: ClientOptions

    /// How far back, when nobody says.
    private static let sinceDefault = Duration.seconds(86_400)

    func run() async throws {
        try await self.client.run { api in
            var query = try self.filters.query()
            let now = SystemClocks().wallNow()
            for (name, fallback) in [("from", now.advanced(by: .zero - Self.sinceDefault)), ("to", now)] {
                for index in query.indices where query[index].0 == name && query[index].1 == nil {
                    query[index].1 = fallback.description
                }
            }
            let answer = try await api.document(
                .get, "\(api.home)/activation-summary",
                query: query + [("every", self.every), ("schedule", self.schedule)])
            if answer["storeAvailable"] == false {
                Console.tell("the activation store is away: this is what one dispatcher remembers")
            }
            Printer(self.client.output, key: "start").show(answer["buckets"]?.arrayValue ?? [], table: Self.table)
        }
    }

    private static func table(_ buckets: [JSONValue]) -> TextTable {
        var table = TextTable("FROM", "COUNT", "DISPATCHED", "SKIPPED", "FAILED", "P50", "P95", "P99", "MAX")
        for bucket in buckets {
            func count(_ outcome: Outcome) -> String { "\(bucket["outcomes"]?[outcome.name]?.integerValue ?? 0)" }
            func late(_ name: String) -> String {
                bucket["latenessMs"]?[name]?.doubleValue.map { "\(Int($0.rounded()))ms" } ?? "-"
            }
            table.add(
                bucket.cell("start"), bucket.cell("count"), count(.dispatched), count(.skipped), count(.failed),
                late("p50"), late("p95"), late("p99"), late("max"))
        }
        return table
    }
}
