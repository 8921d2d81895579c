import ArgumentParser
import HTTPClient
import JSON
import Observability

/// `escapement version`.
struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Show the version of this program, and of the server with --remote.")

    @Flag(help: "Ask the server too.")
    var remote = false

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        let own: JSONValue = [
            "version": .string(BuildInformation.version), "revision": .string(BuildInformation.revision),
        ]
        guard self.remote else {
            Printer(self.client.output, key: "version").show(own) { ["escapement \($0.cell("version"))"] }
            return
        }
        try await self.client.run { api in
            let server = try await api.document(.get, "/version")
            Printer(self.client.output, key: "client").show(["client": own, "server": server]) { both in
                [
                    "client  \(both["client"]?.cell("version") ?? "-")",
                    "server  \(both["server"]?.cell("version") ?? "-"), time zones \(both["server"]?.cell("tzdata") ?? "-")",
                ]
            }
        }
    }
}
