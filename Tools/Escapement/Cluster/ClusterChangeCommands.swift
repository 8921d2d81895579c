import ArgumentParser
import HTTPClient
import JSON

/// `escapement cluster drain`.
struct ClusterDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Empty a ticker or dispatcher by planned moves; it stays and gets nothing new.")

    @Argument(help: "The member's id.")
    var member: String

    @Flag(help: "Let a drained member work again.")
    var undo = false

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(
                .post, "/v1/cluster/members/\(APIClient.escaped(self.member))/\(self.undo ? "resume" : "drain")",
                body: [:])
            Console.tell(self.undo ? "works again" : "draining; 'escapement cluster members' shows how far it is")
            Printer(self.client.output, key: "id").show(answer) { [$0.prettyText] }
        }
    }
}

/// `escapement cluster rebalance`.
struct ClusterRebalanceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebalance", abstract: "Spread shards and lanes evenly now.")

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(.post, "/v1/cluster/rebalance", body: [:])
            Printer(self.client.output).show(answer) { [$0.prettyText] }
        }
    }
}
