import ArgumentParser
import EscapementModel
import HTTPClient
import JSON

/// `escapement cluster`.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "The cluster: who leads, who is there, who owns what.",
        subcommands: [
            ClusterStatusCommand.self, ClusterMembersCommand.self, ClusterShardsCommand.self,
            ClusterDrainCommand.self, ClusterResumeCommand.self, ClusterRebalanceCommand.self,
            ClusterHandoversCommand.self,
        ])
}

/// `escapement cluster status`.
struct ClusterStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "status", abstract: "Show the cluster's status.")

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let status = try await api.document(.get, "/v1/cluster")
            Printer(self.client.output, key: "cluster").show(status) { status in
                let leader = status["leader"]
                let shards = status["shards"]
                var lines = [
                    "cluster   \(status.cell("cluster")), version \(status.cell("version"))",
                    "leader    \(leader?.cell("id") ?? "-"), epoch \(leader?.cell("epoch") ?? "-")",
                    "shards    \(shards?.cell("total") ?? "-"), owned \(shards?.cell("owned") ?? "-"), unowned \(shards?.cell("unowned") ?? "-")",
                ]
                lines.append(ClusterText.members(status["members"]?.arrayValue ?? []).text)
                return lines
            }
        }
    }
}

/// Members as people read them.
enum ClusterText {
    static func members(_ members: [JSONValue]) -> TextTable {
        var table = TextTable("MEMBER", "ROLE", "STATE", "SHARDS", "LANES", "VERSION", "SEEN")
        let now = SystemClocks().wallNow()
        for member in members {
            table.add(
                member.cell("id"), member.cell("role"), member.cell("state"), member.cell("shards"),
                member.cell("lanes"), member.cell("version"),
                member["lastSeenAt"]?.stringValue.map { RelativeTime.text($0, now: now) } ?? "-")
        }
        return table
    }
}

/// `escapement cluster members`.
struct ClusterMembersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "members", abstract: "List the members.")

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(.get, "/v1/cluster/members")
            Printer(self.client.output, key: "id").show(answer["items"]?.arrayValue ?? [], table: ClusterText.members)
        }
    }
}

/// `escapement cluster shards`.
struct ClusterShardsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "shards", abstract: "Show who owns the shards.")

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(.get, "/v1/cluster/shards")
            Printer(self.client.output).show(answer) { answer in
                var shards = TextTable("SHARD", "STATE", "OWNER", "EPOCH", "NEXT", "WEIGHT", "FIRES/S", "IN MEMORY")
                for item in answer["shards"]?.arrayValue ?? [] {
                    shards.add(
                        item.cell("shard"), item.cell("state"), item.cell("owner"), item.cell("epoch"),
                        item.cell("next"), item.cell("weight"), item["load"]?.cell("firesPerSecond") ?? "-",
                        item["load"]?.cell("resident") ?? "-")
                }
                var lanes = TextTable("LANE", "STATE", "OWNER", "EPOCH", "NEXT")
                for item in answer["lanes"]?.arrayValue ?? [] {
                    lanes.add(
                        item.cell("lane"), item.cell("state"), item.cell("owner"), item.cell("epoch"),
                        item.cell("next"))
                }
                return [shards.text, lanes.text]
            }
        }
    }
}

/// `escapement cluster drain`.
struct ClusterDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Empty a ticker or dispatcher; the process stays and gets nothing new.")

    @Argument(help: "The member's id, as 'cluster members' shows it.")
    var member: String

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(.post, "/v1/cluster/members/\(self.member)/drain")
            Printer(self.client.output, key: "id").show(answer) { answer in
                let what = answer["lanes"] == nil ? "shards" : "lanes"
                return ["\(self.member) is being emptied; it has \(answer.cell(what)) \(what) now"]
            }
        }
    }
}

/// `escapement cluster resume`.
struct ClusterResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Let a drained member work again.")

    @Argument(help: "The member's id, as 'cluster members' shows it.")
    var member: String

    @OptionGroup(title: "Server")
    var client: ClientOptions

    func run() async throws {
        try await self.client.run { api in
            let answer = try await api.document(.post, "/v1/cluster/members/\(self.member)/resume")
            Printer(self.client.output, key: "id").show(answer) { _ in ["\(self.member) may work again"] }
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
            let answer = try await api.document(.post, "/v1/cluster/rebalance")
            Printer(self.client.output).show(answer) { answer in
                let shards = answer["shards"]?.cell("moving") ?? "-"
                let lanes = answer["lanes"]?.cell("moving") ?? "-"
                return ["moving: \(shards) shards, \(lanes) lanes"]
            }
        }
    }
}
