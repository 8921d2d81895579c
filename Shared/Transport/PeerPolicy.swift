package import EscapementModel
import TLS
package import WireProtocol

/// Who may be at the other end of a link.
package struct PeerPolicy: Sendable {
    /// The only cluster whose members are let in.
    package var cluster: String
    package var roles: Set<Role>
    /// Where the peer was reached: a certificate that names hosts has to name this one. `nil` for who came by
    /// itself.
    var host: String?

    package init(cluster: String, roles: Set<Role>) {
        self.cluster = cluster
        self.roles = roles
    }

    /// A certificate without host names says who its holder is wherever it runs: then cluster and role, signed by
    /// our own authority, are all there is to check. One with host names is good at those alone.
    ///
    /// - Throws: `LinkError` with code `refused`.
    func checkHost(_ certificate: PeerCertificate) throws(LinkError) {
        guard let host = self.host, certificate.namesHosts, !certificate.shows(host: host) else { return }
        throw LinkError(.refused, "the certificate at \(host) is for other hosts")
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
