import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement schedule create`.
struct ScheduleCreateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Create a schedule.",
        discussion: "escapement schedule create tick --cron '* * * * * *' --action /guest/tick")

    @Argument(help: "The schedule's name.")
    var name: String

    @OptionGroup(title: "Schedule")
    var flags: ScheduleFlags

    @Flag(help: "Create it paused.")
    var paused = false

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func validate() throws {
        if !self.flags.hasTrigger { throw ValidationError("say when: --cron, --every, --at or --delay") }
    }

    func run() async throws {
        try await self.client.run { api in
            guard case .object(var members) = try self.flags.document() else { return }
            members.insert(JSONMember("name", .string(self.name)), at: 0)
            if self.paused { members.append(JSONMember("paused", true)) }
            let schedule = try await api.document(
                .post, "\(api.home)/schedules", query: self.write.query, body: .object(members),
                headers: self.write.headers)
            Console.tell(self.write.dryRun ? "would be created" : "created")
            Printer(self.client.output).show(schedule, lines: ScheduleText(now: SystemClocks().wallNow()).lines)
        }
    }
}

/// Flags of requests that change something.
struct WriteFlags: ParsableArguments {
    @Flag(name: .customLong("dry-run"), help: "Check everything, change nothing.")
    var dryRun = false

    @Option(name: .customLong("idempotency-key"), help: "Repeating a request with the same key does it once.")
    var idempotencyKey: String?

    @Option(name: .customLong("if-match"), help: "Only when the object still has this generation.")
    var ifMatch: UInt64?

    var query: [(String, String?)] { [("dryRun", self.dryRun ? "true" : nil)] }

    var headers: HTTPHeaders {
        var headers: HTTPHeaders = [:]
        headers["Idempotency-Key"] = self.idempotencyKey.map { "\"\($0)\"" }
        headers["If-Match"] = self.ifMatch.map { "\"\($0)\"" }
        return headers
    }
}
