/// How to reach Kafka, and as whom.
package struct KafkaSettings: Sendable {
    /// `KAFKA_SECURITY_PROTOCOL`.
    package enum SecurityProtocol: String, CaseIterable, Sendable {
        case plaintext = "PLAINTEXT"
        case tls = "SSL"
        case saslPlaintext = "SASL_PLAINTEXT"
        case saslTLS = "SASL_SSL"

        package var usesSASL: Bool { self == .saslPlaintext || self == .saslTLS }
        package var usesTLS: Bool { self == .tls || self == .saslTLS }
    }

    /// `KAFKA_SASL_MECHANISM`.
    package enum Mechanism: String, CaseIterable, Sendable {
        case plain = "PLAIN"
        case scramSHA256 = "SCRAM-SHA-256"
        case scramSHA512 = "SCRAM-SHA-512"
        /// With tokens by OAuth's client credentials, set up through `KAFKA_PROPERTY_SASL_OAUTHBEARER_…`.
        case oauthBearer = "OAUTHBEARER"
        /// Kerberos, set up through `KAFKA_PROPERTY_SASL_KERBEROS_…`; librdkafka must be built with it, as Debian's is.
        case gssapi = "GSSAPI"
    }

    /// How we log in.
    package struct Login: Sendable {
        package var mechanism: Mechanism
        /// User and password; `nil` for OAUTHBEARER and GSSAPI.
        package var credentials: (username: String, password: Secret)?

        package init(mechanism: Mechanism, credentials: (username: String, password: Secret)?) {
            self.mechanism = mechanism
            self.credentials = credentials
        }
    }

    /// A librdkafka property given as `KAFKA_PROPERTY_…`. Its value is never shown: it may be a secret.
    package struct Property: Sendable {
        package var name: String
        package var value: Secret

        package init(name: String, value: Secret) {
            self.name = name
            self.value = value
        }
    }

    /// `host:port`, at least one.
    package var bootstrapServers: [String]
    package var securityProtocol: SecurityProtocol
    /// Set exactly when the protocol uses SASL.
    package var login: Login?
    /// PEM; `nil`: the system's authorities.
    package var authorityFile: String?
    package var certificateFile: String?
    package var keyFile: String?
    package var keyPassword: Secret?
    /// Shows in the broker's logs and quotas.
    package var clientID: String
    package var properties: [Property]

    package init(
        bootstrapServers: [String], clientID: String, securityProtocol: SecurityProtocol = .plaintext,
        login: Login? = nil, authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil,
        keyPassword: Secret? = nil, properties: [Property] = []
    ) {
        self.bootstrapServers = bootstrapServers
        self.securityProtocol = securityProtocol
        self.login = login
        self.authorityFile = authorityFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
        self.keyPassword = keyPassword
        self.clientID = clientID
        self.properties = properties
    }

    /// All of it as librdkafka properties, secrets included; those of `KAFKA_PROPERTY_…` come last. Never
    /// log them.
    ///
    /// - Throws: `SecretError` when a secret file cannot be read now.
    package func librdkafkaProperties() throws(SecretError) -> [(name: String, value: String)] {
        self.openProperties + (try self.secretProperties())
    }

    /// The librdkafka properties that hold no secret.
    package var openProperties: [(name: String, value: String)] {
        var result: [(name: String, value: String)] = [
            ("bootstrap.servers", self.bootstrapServers.joined(separator: ",")),
            ("client.id", self.clientID), ("security.protocol", self.securityProtocol.rawValue),
        ]
        if let login = self.login {
            result.append(("sasl.mechanism", login.mechanism.rawValue))
            if let credentials = login.credentials { result.append(("sasl.username", credentials.username)) }
        }
        if let path = self.authorityFile { result.append(("ssl.ca.location", path)) }
        if let path = self.certificateFile { result.append(("ssl.certificate.location", path)) }
        if let path = self.keyFile { result.append(("ssl.key.location", path)) }
        return result
    }

    /// The others, as their files hold them now, and those of `KAFKA_PROPERTY_…`, which may be secrets.
    ///
    /// - Throws: `SecretError` when a secret file cannot be read now.
    package func secretProperties() throws(SecretError) -> [(name: String, value: String)] {
        var result: [(name: String, value: String)] = []
        if let password = self.login?.credentials?.password { result.append(("sasl.password", try password.read())) }
        if let password = self.keyPassword { result.append(("ssl.key.password", try password.read())) }
        for property in self.properties { result.append((property.name, try property.value.read())) }
        return result
    }
}
