import ArgumentParser
import HTTPClient
import JSON

/// `escapement schedule backfill`.
struct ScheduleBackfillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Fire what a schedule names in a past time and has not fired.")

    @Argument(help: "The schedule's name.")
    var name: String

    @Option(help: "The first instant: 2026-11-20T00:00:00Z.")
    var from: String

    @Option(help: "The instant after the last.")
    var to: String

    @Option(help: "Fires per second, 1/s to 1000/s.")
    var rate = "10/s"

    @Option(name: .customLong("max"), help: "Refuse when there are more.")
    var firesMax = 100

    @Flag(name: .customLong("newest-first"), help: "Begin with the newest.")
    var isNewestFirst = false

    @Flag(help: "Also what has been fired.")
    var again = false

    @Option(help: "Why; kept in the audit trail.")
    var reason: String?

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let body = JSONValue.record([
                "from": .string(self.from), "to": .string(self.to), "rate": .string(self.rate),
                "maxFires": .integer(self.firesMax), "order": self.isNewestFirst ? "newest-first" : nil,
                "skipAlreadyFired": .bool(!self.again), "dryRun": self.write.dryRun ? true : nil,
                "reason": self.reason.map { .string($0) },
            ])
            let answer = try await api.document(
                .post, "\(api.home)/schedules/\(APIClient.escaped(self.name))/backfill", body: body,
                headers: self.write.headers)
            Console.tell(
                "\(answer.cell("planned")) occurrences, \(answer.cell("skipped")) fired before, "
                    + "\(answer.cell("created")) timers made")
            Printer(self.client.output, key: "schedule").show(answer) { backfill in
                (backfill["items"]?.arrayValue ?? []).map {
                    "\($0.cell("scheduledAt"))  \($0.cell("status"))  due \($0.cell("dueAt"))  \($0.cell("activationId"))"
                }
            }
        }
    }
}
