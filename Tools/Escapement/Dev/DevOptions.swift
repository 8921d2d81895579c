import ArgumentParser

/// What `escapement dev up` runs, and where.
struct DevOptions: ParsableArguments {
    @Option(help: "Coordinators.")
    var coordinators = 2
    @Option(help: "Tickers.")
    var tickers = 2
    @Option(help: "Dispatchers.")
    var dispatchers = 2
    @Option(help: "Brokers of the dev Kafka.")
    var brokers = 1
    @Option(help: "Shards; fixed at the first start of a data directory.")
    var shards = 256
    @Option(help: "Lanes; fixed at the first start of a data directory.")
    var lanes = 4
    @Option(help: "Where everything is kept.")
    var dataDir = ".dev"
    @Option(help: "Name of the cluster, which its topics bear; fixed at the first start of a data directory.")
    var clusterName = "dev"
    @Option(help: "Port of the first coordinator's API; 0 takes a free one.")
    var apiPort = 0
    @Option(help: "Port of PostgreSQL; 0 takes a free one.")
    var postgresPort = 0
    @Option(help: "Port of the first Kafka broker; 0 takes a free one.")
    var kafkaPort = 0
    @Option(help: "Port of Elasticsearch; 0 takes a free one.")
    var elasticsearchPort = 0
    @Option(help: "Log level of the services.")
    var logLevel = "info"
    @Flag(help: "Leave a process that ends by itself stopped, instead of starting it again.")
    var noRestart = false
    @Option(
        help: ArgumentHelp(
            "Run each service as a user of its own, from this number on: a firewall can tell them apart.",
            visibility: .hidden))
    var usersFrom = 0

    func validate() throws {
        for (name, value) in [
            ("coordinators", self.coordinators), ("tickers", self.tickers),
            ("dispatchers", self.dispatchers), ("brokers", self.brokers),
        ]
        where !(1...50).contains(value) {
            throw ValidationError("--\(name) must be from 1 to 50, not \(value).")
        }
        guard (0...1_000_000).contains(self.usersFrom) else {
            throw ValidationError("--users-from must be a number of a user, not \(self.usersFrom).")
        }
        for (name, value) in [
            ("api-port", self.apiPort), ("postgres-port", self.postgresPort),
            ("kafka-port", self.kafkaPort), ("elasticsearch-port", self.elasticsearchPort),
        ]
        where !(0...65535).contains(value) {
            throw ValidationError("--\(name) must be a port number or 0, not \(value).")
        }
        guard (1...4096).contains(self.shards), (1...256).contains(self.lanes), self.lanes <= self.shards else {
            throw ValidationError(
                "--shards must be from 1 to 4096 and --lanes from 1 to 256, not more than the shards.")
        }
    }
}
