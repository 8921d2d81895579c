package import EscapementModel
package import WireProtocol

/// Who may be at the other end of a link.
package struct PeerPolicy: Sendable {
    /// The only cluster whose members are let in.
    package var cluster: String
    package var roles: Set<Role>

    package init(cluster: String, roles: Set<Role>) {
        self.cluster = cluster
        self.roles = roles
    }

    /// - Throws: `LinkError` with code `wrongPeer`.
    package func check(_ peer: PeerIdentity) throws(LinkError) {
        guard peer.cluster == self.cluster else {
            throw LinkError(.wrongPeer, "\(peer.node) belongs to cluster \(peer.cluster), not to \(self.cluster)")
        }
        guard self.roles.contains(peer.role) else {
            let roles = self.roles.map(\.rawValue).sorted().joined(separator: ", ")
            throw LinkError(.wrongPeer, "\(peer.node) is a \(peer.role.rawValue), not one of: \(roles)")
        }
    }
}
