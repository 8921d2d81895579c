import ArgumentParser

/// What `escapement bench failover` does to a cluster.
enum FailoverFault: String, CaseIterable, ExpressibleByArgument, Sendable {
    /// Shards go to other tickers as planned: a ticker is drained, and the next time they are spread again.
    case move
    /// The same with the lanes of a dispatcher.
    case lanes
    /// `kill -9` of a ticker.
    case ticker
    /// `kill -9` of a dispatcher.
    case dispatcher
    /// `kill -9` of the coordinator that leads.
    case leader
    /// SIGTERM to every process of ours at once; each is started again when it has ended.
    case restart
    /// `kill -9` of every process of ours at once; each is started again.
    case crash

    var title: String {
        switch self {
        case .move: "planned move of shards"
        case .lanes: "planned move of lanes"
        case .ticker: "ticker killed"
        case .dispatcher: "dispatcher killed"
        case .leader: "leader killed"
        case .restart: "everything stopped and started"
        case .crash: "everything killed and started"
        }
    }

    /// Milliseconds that 99 of 100 shards may be late; docs/benchmarks.md.
    var budget: Double {
        switch self {
        case .move: 100
        case .lanes: 200
        case .ticker: 1500
        case .dispatcher: 2000
        case .leader: 100
        case .restart, .crash: 5000
        }
    }
}
