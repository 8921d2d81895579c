/// How a client connects. Certificates and host names are always verified; there is no switch for that.
package struct HTTPClientConfiguration: Sendable {
    /// PEM file with the authorities to trust, and no others; `nil` trusts the system's.
    package var certificateAuthorityFile: String?
    /// PEM file with the own certificate, leaf first; needs `privateKeyFile`.
    package var clientCertificateFile: String?
    /// PEM file with the key of `clientCertificateFile`, without a password.
    package var privateKeyFile: String?
    /// Sent with every request that does not bring its own.
    package var authorization: Authorization?
    package var userAgent: String
    /// HTTP/2 is offered over TLS only; plain connections speak HTTP/1.1.
    package var offersHTTP2: Bool
    package var connectTimeout: Duration
    /// Connections to one host at a time; further requests wait within their time-out.
    package var connectionsPerHostMax: Int
    /// An idle connection is closed after this: shorter than servers do it, so that a request rarely meets
    /// a connection that is just being closed.
    package var idleConnectionTimeout: Duration
    /// A connection is not reused after this, so that changed addresses and certificates are noticed.
    package var connectionLifetimeMax: Duration
    /// Requests under way or waiting; one more is refused at once.
    package var requestCountMax: Int
    /// The largest request body, bytes.
    package var requestByteCountMax: Int
    /// Connects to public addresses only, whatever a name resolves to: for URLs that strangers choose.
    package var refusesPrivateAddresses: Bool

    package init(
        certificateAuthorityFile: String? = nil, clientCertificateFile: String? = nil,
        privateKeyFile: String? = nil, authorization: Authorization? = nil, userAgent: String = "escapement",
        offersHTTP2: Bool = true, connectTimeout: Duration = .seconds(5), connectionsPerHostMax: Int = 16,
        idleConnectionTimeout: Duration = .seconds(55), connectionLifetimeMax: Duration = .seconds(600),
        requestCountMax: Int = 4096, requestByteCountMax: Int = 64 * 1024 * 1024,
        refusesPrivateAddresses: Bool = false
    ) {
        self.certificateAuthorityFile = certificateAuthorityFile
        self.clientCertificateFile = clientCertificateFile
        self.privateKeyFile = privateKeyFile
        self.authorization = authorization
        self.userAgent = userAgent
        self.offersHTTP2 = offersHTTP2
        self.connectTimeout = connectTimeout
        self.connectionsPerHostMax = connectionsPerHostMax
        self.idleConnectionTimeout = idleConnectionTimeout
        self.connectionLifetimeMax = connectionLifetimeMax
        self.requestCountMax = requestCountMax
        self.requestByteCountMax = requestByteCountMax
        self.refusesPrivateAddresses = refusesPrivateAddresses
    }
}
