import ArgumentParser
import HTTPClient
import JSON

/// `escapement timer batch`.
struct TimerBatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batch", abstract: "Create many timers from a file of JSON lines.",
        discussion: "The first line may be {\"defaults\": {...}}. Exit status 8: some lines were not accepted.")

    @Option(name: .shortAndLong, help: "The file; - is standard input.")
    var file: String

    @Flag(help: "All or nothing.")
    var atomic = false

    @OptionGroup(title: "Request")
    var write: WriteFlags

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let text = try DevFiles.read(self.file == "-" ? "/dev/stdin" : self.file)
            let response = try await api.send(
                .post, "\(api.home)/timers/batch",
                query: self.write.query + [("mode", self.atomic ? "atomic" : nil)], body: Array(text.utf8),
                contentType: "application/x-ndjson", headers: self.write.headers, compresses: true)
            let result = try JSONParser.parse(response.body)
            Printer(self.client.output, key: "batchId").show(result) { result in
                let counts = ["accepted", "duplicates", "conflicts", "rejected"].map { "\($0) \(result.cell($0))" }
                let lines = (result["results"]?.arrayValue ?? []).map { line in
                    let detail = line["error"]?["detail"]?.stringValue.map { ": \($0)" } ?? ""
                    return "line \(line.cell("line"))  \(line.cell("id"))  \(line.cell("status"))\(detail)"
                }
                return [counts.joined(separator: ", ")] + lines
            }
            let failed = ["conflicts", "rejected"].contains { (result[$0]?.integerValue ?? 0) > 0 }
            if failed { throw ExitStatus.partly }
        }
    }
}
