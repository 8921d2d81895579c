import EscapementModel
package import TLS
package import WireProtocol

extension PeerIdentity {
    /// The trust domain of all identities.
    private static let prefix = "spiffe://escapement/"

    /// The identity as a URI for certificates: `spiffe://escapement/<cluster>/<role>/<node>`; `nil` when the
    /// cluster's or the node's name breaks the grammar of names, so that it could be read as another's. The node
    /// of a certificate that a role shares is `*`.
    package var uri: String? {
        guard NameGrammar.fault(in: self.cluster) == nil,
            self.node == Self.sharedNode || NameGrammar.fault(in: self.node.name) == nil
        else { return nil }
        return "\(Self.prefix)\(self.cluster)/\(self.role.rawValue)/\(self.node.name)"
    }

    /// Reads what `uri` prints, and nothing else.
    package init?(uri: String) {
        guard uri.hasPrefix(Self.prefix) else { return nil }
        let parts = uri.dropFirst(Self.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, let role = Role(rawValue: String(parts[1])) else { return nil }
        self.init(cluster: String(parts[0]), role: role, node: NodeID(String(parts[2])))
        guard self.uri == uri else { return nil }
    }

    /// The identity in a verified certificate.
    ///
    /// - Throws: `LinkError` with code `wrongPeer` unless it has exactly one URI, of our form: a second one would
    ///   let its holder choose who to be.
    package init(_ certificate: PeerCertificate) throws(LinkError) {
        guard let uri = certificate.uris.first, certificate.uris.count == 1, let identity = PeerIdentity(uri: uri)
        else { throw LinkError(.wrongPeer, "the certificate \(certificate.serial) names no identity of this system") }
        self = identity
    }
}
