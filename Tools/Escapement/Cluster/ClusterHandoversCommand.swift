import ArgumentParser
import HTTPClient
import JSON

/// `escapement cluster handovers`.
struct ClusterHandoversCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handovers", abstract: "Show changes of owner, newest first.")

    @Option(help: "Only of this shard.")
    var shard: UInt16?

    @Option(help: "At most so many.")
    var limit = 100

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let path = self.shard.map { "/v1/cluster/shards/\($0)/history" } ?? "/v1/cluster/handovers"
            var items: [JSONValue] = []
            try await api.items(path, query: [], limit: self.limit) { items.append($0) }
            Printer(self.client.output, key: "number").show(items) { items in
                var table = TextTable("AT", "KIND", "NUMBER", "OWNER", "EPOCH", "REASON")
                for item in items {
                    table.add(
                        item.cell("at"), item.cell("kind"), item.cell("number"), item.cell("owner"),
                        item.cell("epoch"), item.cell("reason"))
                }
                return table
            }
        }
    }
}
