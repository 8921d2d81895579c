package import EscapementModel
import Synchronization
package import WireProtocol

/// Connectors and listeners of one process that reach each other by address, and a hand that cuts their links.
///
/// Identities are given, not proven; roles and clusters are checked as `Transport` checks them.
package final class InMemoryNetwork: Sendable {
    private struct State {
        var listeners: [PeerAddress: InMemoryListener] = [:]
        /// Addresses and nodes that nobody reaches at present.
        var severedAddresses: Set<PeerAddress> = []
        var severedNodes: Set<NodeID> = []
        var links: [Live] = []
        var nextPort = 40_000
    }

    private struct Live {
        var link: InMemoryLink
        var address: PeerAddress
        var ends: [NodeID]
    }

    private let state = Mutex(State())

    package init() {}

    /// Listens at `address` as `identity`; port 0 takes a free one.
    package func listen(
        at address: PeerAddress, as identity: PeerIdentity, admitting roles: Set<Role> = Set(Role.allCases)
    ) -> InMemoryListener {
        self.state.withLock { state in
            var bound = address
            if bound.port == 0 {
                bound.port = state.nextPort
                state.nextPort += 1
            }
            precondition(state.listeners[bound] == nil, "\(bound) is taken")
            let listener = InMemoryListener(address: bound, identity: identity, roles: roles, network: self)
            state.listeners[bound] = listener
            return listener
        }
    }

    /// A connector that shows `identity`.
    package func connector(as identity: PeerIdentity) -> InMemoryConnector {
        InMemoryConnector(network: self, identity: identity)
    }

    /// Cuts all links to and from `node` and lets it open none until it is healed.
    package func sever(_ node: NodeID) {
        self.cut { state in
            state.severedNodes.insert(node)
            return { $0.ends.contains(node) }
        }
    }

    /// Cuts all links to `address` and lets nobody reach it until it is healed.
    package func sever(_ address: PeerAddress) {
        self.cut { state in
            state.severedAddresses.insert(address)
            return { $0.address == address }
        }
    }

    /// Cuts the links between two nodes, once; they may connect again.
    package func cut(between first: NodeID, and second: NodeID) {
        self.cut { _ in { $0.ends.contains(first) && $0.ends.contains(second) } }
    }

    /// Ends all that `sever` began; links that were cut stay cut.
    package func heal() {
        self.state.withLock { state in
            state.severedAddresses = []
            state.severedNodes = []
        }
    }

    private func cut(_ choose: (inout State) -> (Live) -> Bool) {
        let doomed = self.state.withLock { state in
            let isDoomed = choose(&state)
            let doomed = state.links.filter(isDoomed)
            state.links.removeAll { isDoomed($0) || $0.link.isClosed }
            return doomed
        }
        for live in doomed { live.link.cut() }
    }

    fileprivate func connect(
        _ identity: PeerIdentity, to address: PeerAddress, expecting role: Role
    ) throws(LinkError) -> InMemoryLink {
        let result: Result<(InMemoryListener, InMemoryLink, InMemoryLink), LinkError> = self.state.withLock { state in
            guard let listener = state.listeners[address], !state.severedAddresses.contains(address),
                state.severedNodes.isDisjoint(with: [identity.node, listener.identity.node])
            else { return .failure(LinkError(.unreachable, "nobody listens at \(address)")) }
            guard listener.identity.role == role, listener.identity.cluster == identity.cluster else {
                return .failure(LinkError(.wrongPeer, "\(address) is \(listener.identity.node)"))
            }
            guard listener.roles.contains(identity.role) else {
                return .failure(LinkError(.refused, "\(identity.role.rawValue) is not admitted"))
            }
            let pair = InMemoryLink.pair(a: identity, b: listener.identity)
            state.links.removeAll { $0.link.isClosed }
            state.links.append(Live(link: pair.a, address: address, ends: [identity.node, listener.identity.node]))
            return .success((listener, pair.a, pair.b))
        }
        let (listener, own, theirs) = try result.get()
        listener.accept(theirs)
        return own
    }

    fileprivate func forget(_ address: PeerAddress) { self.state.withLock { $0.listeners[address] = nil } }
}

/// See `InMemoryNetwork.connector`.
package struct InMemoryConnector: MessageConnector {
    fileprivate let network: InMemoryNetwork
    fileprivate let identity: PeerIdentity

    package func connect(to address: PeerAddress, expecting role: Role) async throws -> any MessageLink {
        try self.network.connect(self.identity, to: address, expecting: role)
    }
}

/// See `InMemoryNetwork.listen`.
package final class InMemoryListener: MessageListener {
    package let links: AsyncStream<any MessageLink>
    package let address: PeerAddress
    fileprivate let identity: PeerIdentity
    fileprivate let roles: Set<Role>
    private let continuation: AsyncStream<any MessageLink>.Continuation
    private let network: InMemoryNetwork

    fileprivate init(address: PeerAddress, identity: PeerIdentity, roles: Set<Role>, network: InMemoryNetwork) {
        self.address = address
        self.identity = identity
        self.roles = roles
        self.network = network
        (self.links, self.continuation) = AsyncStream.makeStream(
            of: (any MessageLink).self, bufferingPolicy: .bufferingOldest(256))
    }

    fileprivate func accept(_ link: InMemoryLink) {
        if case .enqueued = self.continuation.yield(link) { return }
        link.cut()
    }

    package func close() async {
        self.network.forget(self.address)
        self.continuation.finish()
    }
}
