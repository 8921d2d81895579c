/// What a process needs to speak TLS in one role. A description only: `TLSContext` reads and checks it.
package struct TLSConfiguration: Sendable {
    /// Where PEM text comes from.
    package enum Source: Equatable, Sendable, CustomStringConvertible {
        /// A path, read when a context is built and again at each reload. Symbolic links are followed.
        case file(String)
        /// The text itself.
        case pem(String)

        /// The path; never the text, which may be a key.
        package var description: String {
            switch self {
            case .file(let path): path
            case .pem: "PEM text"
            }
        }
    }

    package enum Role: Sendable {
        case server
        case client
    }

    package enum Authentication: Sendable {
        /// Both ends show a certificate.
        case mutual
        /// Only the server does.
        case serverOnly
    }

    package enum Version: Comparable, Sendable {
        case tls12
        case tls13
    }

    package var role: Role
    package var authentication: Authentication
    /// The own certificate, leaf first. Needed by servers, and by clients when mutual.
    package var certificateChain: Source?
    /// The leaf's key, without a password. May be the same file as the chain.
    package var privateKey: Source?
    /// Certificates of the authorities trusted. Needed by clients, and by servers when mutual.
    package var trust: Source?
    /// ALPN names, the most wanted first; empty for none.
    package var applicationProtocols: [String]
    /// Refuse a peer that offers no ALPN at all. A peer that offers only other names is always refused.
    package var requiresApplicationProtocol: Bool
    /// Internal links stay with 1.3; servers that outsiders use may allow 1.2.
    package var minimumVersion: Version
    package var maximumVersion: Version
    /// Gives a connection's 34 KB of record buffers back while it is idle, at the cost of an allocation
    /// for each record: for listeners with many idle connections.
    package var releasesIdleBuffers: Bool

    package init(
        role: Role, authentication: Authentication = .mutual, certificateChain: Source? = nil,
        privateKey: Source? = nil, trust: Source? = nil, applicationProtocols: [String] = [],
        requiresApplicationProtocol: Bool = false, minimumVersion: Version = .tls13,
        maximumVersion: Version = .tls13, releasesIdleBuffers: Bool = false
    ) {
        self.role = role
        self.authentication = authentication
        self.certificateChain = certificateChain
        self.privateKey = privateKey
        self.trust = trust
        self.applicationProtocols = applicationProtocols
        self.requiresApplicationProtocol = requiresApplicationProtocol
        self.minimumVersion = minimumVersion
        self.maximumVersion = maximumVersion
        self.releasesIdleBuffers = releasesIdleBuffers
    }

    var needsOwnCertificate: Bool { self.role == .server || self.authentication == .mutual }
    var needsTrust: Bool { self.role == .client || self.authentication == .mutual }

    /// - Throws: `TLSError` with code `invalidConfiguration`.
    func validate() throws(TLSError) {
        func fault(_ subject: String, _ reason: String) -> TLSError {
            TLSError(.invalidConfiguration, subject: subject, reason: reason)
        }
        if self.needsOwnCertificate {
            if self.certificateChain == nil { throw fault("certificate chain", "is needed") }
            if self.privateKey == nil { throw fault("private key", "is needed") }
        } else if (self.certificateChain == nil) != (self.privateKey == nil) {
            throw fault("certificate chain", "needs a private key, and a key needs a chain")
        }
        if self.needsTrust, self.trust == nil { throw fault("trust", "is needed to check the peer") }
        if self.minimumVersion > self.maximumVersion { throw fault("versions", "minimum is above maximum") }
        for name in self.applicationProtocols where !(1...255).contains(name.utf8.count) {
            throw fault("application protocols", "a name has 1 to 255 bytes")
        }
        if self.requiresApplicationProtocol, self.applicationProtocols.isEmpty {
            throw fault("application protocols", "one is required, but none is given")
        }
    }

    /// The ALPN list as it stands on the wire: each name after its length.
    var applicationProtocolList: [UInt8] {
        self.applicationProtocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
    }
}
