package import EscapementModel

/// A list in the configuration: `ESCAPEMENT_DISCOVERY=static`.
package struct StaticDiscovery: Discovery {
    private let list: [PeerAddress]

    package init(_ addresses: [PeerAddress]) { self.list = addresses.orderly }

    package func addresses() async -> [PeerAddress] { self.list }
}
