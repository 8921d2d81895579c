package import EscapementModel

/// What is assigned: shards to tickers, lanes to dispatchers. Both by the same rules.
package enum AssignedKind: String, CaseIterable, Sendable {
    case shard
    case lane

    /// Who owns them.
    package var owner: Role {
        switch self {
        case .shard: .ticker
        case .lane: .dispatcher
        }
    }

    /// Who has to know the owners.
    package var audience: Role {
        switch self {
        case .shard: .dispatcher
        case .lane: .ticker
        }
    }
}
