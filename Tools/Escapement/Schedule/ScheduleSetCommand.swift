import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement schedule set`.
struct ScheduleSetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "set", abstract: "Change what the flags name; everything else stays as it is.",
        discussion: "escapement schedule set nightly --cron '0 3 * * *'")

    @Argument(help: "The schedule's name.")
    var name: String

    @OptionGroup(title: "Schedule")
    var flags: ScheduleFlags

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let patch = try self.patch()
            if patch == .object([]) {
                throw ClientFailure(ExitStatus.usage, "escapement: nothing to change; give at least one flag")
            }
            let schedule = try await api.document(
                .patch, "\(api.home)/schedules/\(APIClient.escaped(self.name))", query: self.write.query, body: patch,
                contentType: "application/merge-patch+json", headers: self.write.headers)
            Console.tell(self.write.dryRun ? "would be changed" : "changed")
            Printer(self.client.output).show(schedule, lines: ScheduleText(now: SystemClocks().wallNow()).lines)
        }
    }

    /// The merge patch; a new trigger takes the place of the one that is there.
    private func patch() throws -> JSONValue {
        guard case .object(var members) = try self.flags.document() else { return .object([]) }
        guard self.flags.hasTrigger, let index = members.firstIndex(where: { $0.name == "when" }),
            case .object(var when) = members[index].value
        else { return .object(members) }
        for name in ["cron", "every", "at", "anchor"] where !when.contains(where: { $0.name == name }) {
            when.append(JSONMember(name, .null))
        }
        members[index].value = .object(when)
        return .object(members)
    }
}
