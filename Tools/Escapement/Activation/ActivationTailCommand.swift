import ArgumentParser
import EscapementModel
import JSON

/// `escapement activation tail`: records as they come.
struct ActivationTailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Show records as they appear; Ctrl-C ends it.")

    @Option(help: "Only of this schedule or timer.")
    var schedule: String?

    @Option(help: "dispatched, skipped or failed.")
    var outcome: String?

    @Option(help: "Begin this long ago.")
    var since = "10s"

    @Option(help: "End after so many records.")
    var limit: Int?

    @OptionGroup(title: "Server")
    var client: ClientOptions

    /// Between two looks.
    private static let every = Duration.milliseconds(500)
    /// How far each look reaches back: records appear a little later than they happened.
    private static let overlap = Duration.seconds(30)
    /// Ids remembered, so that each record is shown once.
    private static let rememberedMax = 100_000

    func run() async throws {
        try await self.client.run { api in
            let clocks = SystemClocks()
            let begin = try RelativeTime.instant(self.since, now: clocks.wallNow(), flag: "--since")
            var known: Set<String> = []
            var shown = 0
            Console.tell("waiting for records; Ctrl-C ends it")
            while true {
                let from = max(begin, clocks.wallNow().advanced(by: .zero - Self.overlap))
                var fresh: [JSONValue] = []
                try await api.items(
                    "\(api.home)/activations",
                    query: [("from", from.description), ("schedule", self.schedule), ("outcome", self.outcome)],
                    limit: 5000
                ) { item in
                    if known.insert(item.cell("activation_id")).inserted { fresh.append(item) }
                }
                for record in fresh.reversed() {
                    Console.print(self.client.output == .table ? ActivationText.line(record) : self.text(record))
                    shown += 1
                    if let limit, shown >= limit { return }
                }
                if known.count > Self.rememberedMax { known = Set(fresh.map { $0.cell("activation_id") }) }
                try await clocks.sleep(for: Self.every)
            }
        }
    }

    private func text(_ record: JSONValue) -> String {
        self.client.output == .name ? record.cell("activation_id") : record.text
    }
}
