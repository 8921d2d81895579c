import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// Which schedules an action concerns: one by name, or all that a selector finds.
struct ScheduleChoice: ParsableArguments {
    @Argument(help: "The schedule's name.")
    var name: String?

    @Option(name: [.customShort("l"), .customLong("selector")], help: "All with these labels: team=billing.")
    var selector: String?

    @Flag(help: "Do not ask for confirmation.")
    var yes = false

    func validate() throws {
        if (self.name == nil) == (self.selector == nil) {
            throw ValidationError("give either a name or a selector (-l team=billing)")
        }
    }

    /// The names; more than one is confirmed first.
    func names(_ api: APIClient, verb: String, dryRun: Bool) async throws -> [String] {
        if let name { return [name] }
        var names: [String] = []
        try await api.items(
            "\(api.home)/schedules", query: [("labelSelector", self.selector)], limit: Self.chosenMax
        ) { names.append($0.cell("name")) }
        Console.tell("\(names.count) schedules match")
        if dryRun || self.yes || names.isEmpty { return names }
        guard Console.confirms("\(verb) \(names.count) schedules?") else {
            throw ClientFailure(ExitStatus.usage, "escapement: nothing was done; --yes confirms without asking")
        }
        return names
    }

    private static let chosenMax = 100_000
}

/// `escapement schedule pause`.
struct SchedulePauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "pause", abstract: "Stop schedules from firing.")

    @OptionGroup(title: "Which")
    var choice: ScheduleChoice

    @Option(help: "Why; shown to whoever looks.")
    var reason: String

    @Option(help: "Resume by itself at this instant.")
    var until: String?

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let body = JSONValue.record(["reason": .string(self.reason), "until": self.until.map { .string($0) }])
            try await ScheduleAction(path: "pause", done: "paused", body: body)
                .run(api, self.choice, self.write, self.client.output)
        }
    }
}

/// `escapement schedule resume`.
struct ScheduleResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let schedules fire again; what fell due meanwhile stays unfired.")

    @OptionGroup(title: "Which")
    var choice: ScheduleChoice

    @Option(help: "Why; shown to whoever looks.")
    var reason: String?

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let body = JSONValue.record(["reason": self.reason.map { .string($0) }])
            try await ScheduleAction(path: "resume", done: "resumed", body: body)
                .run(api, self.choice, self.write, self.client.output)
        }
    }
}

/// The same request for one or many schedules.
struct ScheduleAction {
    var path: String
    var done: String
    var body: JSONValue

    func run(
        _ api: APIClient, _ choice: ScheduleChoice, _ write: WriteFlags, _ format: OutputFormat
    ) async throws {
        let names = try await choice.names(api, verb: self.path, dryRun: write.dryRun)
        var failures = 0
        for name in names {
            if write.dryRun {
                Console.print(name)
                continue
            }
            do {
                let schedule = try await api.document(
                    .post, "\(api.home)/schedules/\(APIClient.escaped(name))/\(self.path)", body: self.body,
                    headers: write.headers)
                Console.tell("\(self.done) \(name)")
                if names.count == 1 {
                    Printer(format).show(schedule, lines: ScheduleText(now: SystemClocks().wallNow()).lines)
                }
            } catch let failure as ClientFailure where names.count > 1 {
                failures += 1
                for line in ["\(name):"] + failure.lines { Console.tell(line) }
            }
        }
        if failures > 0 { throw ExitStatus.partly }
    }
}

/// `escapement schedule trigger`.
struct ScheduleTriggerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trigger", abstract: "Fire a schedule once, now, paused or not.")

    @Argument(help: "The schedule's name.")
    var name: String

    @Option(help: "JSON in the place of the schedule's payload.")
    var payload: String?

    @Option(help: "Why; kept in the audit trail.")
    var reason: String?

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            var payload: JSONValue?
            if let text = self.payload {
                do {
                    payload = try JSONParser.parse(text)
                } catch {
                    throw ClientFailure(ExitStatus.invalid, "escapement: --payload is not JSON: \(error)")
                }
            }
            let answer = try await api.document(
                .post, "\(api.home)/schedules/\(APIClient.escaped(self.name))/trigger",
                body: .record(["payload": payload, "reason": self.reason.map { .string($0) }]),
                headers: self.write.headers)
            Console.tell("triggered \(self.name)")
            Printer(self.client.output, key: "activationId").show(answer) { ["activation  \($0.cell("activationId"))"] }
        }
    }
}
