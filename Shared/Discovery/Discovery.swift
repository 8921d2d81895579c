package import EscapementModel

/// Where the coordinators are, as far as is known now.
///
/// Discovery only has to find somebody to ask who leads: an address too many costs an attempt, a missing one
/// nothing as long as another is there. So what was known stays known while the source of it is away.
package protocol Discovery: Sendable {
    /// The addresses known now, sorted, each once; empty before the first answer. Returns soon: at once from
    /// memory, or after at most `DiscoveryLimits.askMax`.
    func addresses() async -> [PeerAddress]

    /// Keeps what is known fresh until the task is cancelled. Call once.
    func run() async
}

extension Discovery {
    package func run() async {}
}

/// The bounds that all implementations keep.
package enum DiscoveryLimits {
    /// How long `addresses` may take.
    package static let askMax = Duration.seconds(2)
    /// Addresses kept; a cluster has a handful of coordinators.
    package static let addressesMax = 256
}

extension Collection<PeerAddress> {
    /// Sorted, each once, not more than are kept.
    var orderly: [PeerAddress] { Array(Set(self).sorted().prefix(DiscoveryLimits.addressesMax)) }
}
