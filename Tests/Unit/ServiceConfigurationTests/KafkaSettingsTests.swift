import ServiceConfiguration
import Testing
import TestSupport

@Suite struct KafkaSettingsTests {
    private let fixtures = Fixtures()

    private func properties(_ changes: [String: String]) throws -> [String: String] {
        let settings = try self.fixtures.load(DispatcherConfiguration.self, changes).model.kafka
        return Dictionary(try settings.librdkafkaProperties().map { ($0.name, $0.value) }) { $1 }
    }

    private static let scram = [
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "KAFKA_SASL_USERNAME": "escapement", "KAFKA_SASL_PASSWORD": "hunter2",
    ]

    private static let oauth = [
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
        "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_ID": "escapement",
        "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_SECRET": "hunter2",
        "KAFKA_PROPERTY_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": "https://issuer.example/token",
    ]

    @Test func `plain text needs only the addresses`() throws {
        #expect(
            try self.properties([:]) == [
                "bootstrap.servers": "kafka-0:9092,kafka-1:9092", "security.protocol": "PLAINTEXT",
                "client.id": "escapement-dispatcher-host-1",
            ])
    }

    @Test func `SASL over TLS with every file`() throws {
        let directory = self.fixtures.directory
        let pem = directory.write("pem", to: "kafka.pem")
        let properties = try self.properties([
            "KAFKA_SECURITY_PROTOCOL": "sasl_ssl", "KAFKA_SASL_MECHANISM": "scram-sha-512",
            "KAFKA_SASL_USERNAME": "escapement", "KAFKA_SASL_PASSWORD_FILE": directory.write("hunter2\r\n", to: "p"),
            "KAFKA_SSL_CA_FILE": pem, "KAFKA_SSL_CERT_FILE": pem, "KAFKA_SSL_KEY_FILE": pem,
            "KAFKA_SSL_KEY_PASSWORD": "key-password", "KAFKA_CLIENT_ID": "me",
            "KAFKA_PROPERTY_SOCKET_KEEPALIVE_ENABLE": "true",
            "KAFKA_PROPERTY_SSL_ENDPOINT_IDENTIFICATION_ALGORITHM": "https",
        ])
        #expect(
            properties == [
                "bootstrap.servers": "kafka-0:9092,kafka-1:9092", "client.id": "me", "security.protocol": "SASL_SSL",
                "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "escapement", "sasl.password": "hunter2",
                "ssl.ca.location": pem, "ssl.certificate.location": pem, "ssl.key.location": pem,
                "ssl.key.password": "key-password", "socket.keepalive.enable": "true",
                "ssl.endpoint.identification.algorithm": "https",
            ])
    }

    @Test func `a rotated password file shows in the next properties`() throws {
        let path = self.fixtures.directory.write("first", to: "rotating")
        var changes = Self.scram
        changes["KAFKA_SASL_PASSWORD"] = ""
        changes["KAFKA_SASL_PASSWORD_FILE"] = path
        let settings = try self.fixtures.load(DispatcherConfiguration.self, changes).model.kafka
        self.fixtures.directory.write("second", to: "rotating")
        #expect(try settings.librdkafkaProperties().contains { $0 == ("sasl.password", "second") })
    }

    @Test(arguments: [
        (["KAFKA_BOOTSTRAP_SERVERS": ""], "KAFKA_BOOTSTRAP_SERVERS"),
        (["KAFKA_BOOTSTRAP_SERVERS": "kafka"], "KAFKA_BOOTSTRAP_SERVERS"),
        (["KAFKA_BOOTSTRAP_SERVERS": "SASL_SSL://kafka:9092"], "KAFKA_BOOTSTRAP_SERVERS"),
        (["KAFKA_SECURITY_PROTOCOL": "TLS"], "KAFKA_SECURITY_PROTOCOL"),
        (["KAFKA_SECURITY_PROTOCOL": "SASL_SSL"], "KAFKA_SASL_MECHANISM"),
        (["KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "DIGEST-MD5"], "KAFKA_SASL_MECHANISM"),
        (["KAFKA_SECURITY_PROTOCOL": "", "KAFKA_SASL_MECHANISM": "PLAIN"], "KAFKA_SECURITY_PROTOCOL"),
        (["KAFKA_SASL_USERNAME": ""], "KAFKA_SASL_USERNAME"),
        (["KAFKA_SASL_PASSWORD": ""], "KAFKA_SASL_PASSWORD"),
        (["KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SASL_MECHANISM": ""], "KAFKA_SASL_USERNAME"),
        (
            ["KAFKA_SASL_MECHANISM": "OAUTHBEARER", "KAFKA_SASL_USERNAME": "", "KAFKA_SASL_PASSWORD": ""],
            "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_ID"
        ),
        (Self.oauth, "KAFKA_SASL_USERNAME"),
        (["KAFKA_SASL_MECHANISM": "GSSAPI"], "KAFKA_SASL_USERNAME"),
        (["KAFKA_SASL_MECHANISM": "GSSAPI", "KAFKA_SASL_USERNAME": ""], "KAFKA_SASL_PASSWORD"),
        (
            [
                "KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SASL_MECHANISM": "GSSAPI", "KAFKA_SASL_USERNAME": "",
                "KAFKA_SASL_PASSWORD": "",
            ], "KAFKA_SECURITY_PROTOCOL"
        ),
        (["KAFKA_SSL_CERT_FILE": "/etc/hostname"], "KAFKA_SSL_KEY_FILE"),
        (["KAFKA_SSL_KEY_FILE": "/etc/hostname"], "KAFKA_SSL_CERT_FILE"),
        (["KAFKA_SSL_CA_FILE": "/nowhere"], "KAFKA_SSL_CA_FILE"),
        (["KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_CA_FILE": "/etc/hostname"], "KAFKA_SSL_CA_FILE"),
        (
            ["KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SSL_KEY_PASSWORD": "hunter2"], "KAFKA_SSL_KEY_PASSWORD"
        ),
        (["KAFKA_PROPERTY_LOG_QUEUE": "true"], "KAFKA_PROPERTY_LOG_QUEUE"),
        (["KAFKA_PROPERTY_DELIVERY_REPORT_ONLY_ERROR": "true"], "KAFKA_PROPERTY_DELIVERY_REPORT_ONLY_ERROR"),
        (["KAFKA_PROPERTY_TRANSACTIONAL_ID": "x"], "KAFKA_PROPERTY_TRANSACTIONAL_ID"),
        (["KAFKA_PROPERTY_ENABLE_IDEMPOTENCE": "false"], "KAFKA_PROPERTY_ENABLE_IDEMPOTENCE"),
        (["KAFKA_PROPERTY_SASL_PASSWORD": "hunter2"], "KAFKA_PROPERTY_SASL_PASSWORD"),
    ])
    func `a missing or contradictory setting is refused`(changes: [String: String], name: String) {
        let base = changes.keys.contains("KAFKA_BOOTSTRAP_SERVERS") ? [:] : self.base(for: changes)
        let problems = self.fixtures.problems(DispatcherConfiguration.self, base.merging(changes) { $1 })
        #expect(problems.first?.name == name)
        #expect(name.contains("OAUTH") ? problems.count == 3 : problems.count == 1, "\(problems)")
        #expect(!"\(problems)".contains("hunter2"))
    }

    /// Sound SCRAM, or nothing when the case is about a protocol alone.
    private func base(for changes: [String: String]) -> [String: String] {
        switch (changes["KAFKA_SECURITY_PROTOCOL"], changes["KAFKA_SASL_MECHANISM"]) {
        case ("TLS", _), ("SASL_SSL", nil): [:]
        default: Self.scram
        }
    }

    @Test func `aliases are taken with a warning`() throws {
        let loaded = try self.fixtures.load(
            DispatcherConfiguration.self,
            Self.scram.merging([
                "KAFKA_BOOTSTRAP_SERVERS": "", "KAFKA_BROKERS": "a:9092", "KAFKA_SASL_USERNAME": "",
                "KAFKA_SASL_USER": "someone",
            ]) { $1 })
        #expect(loaded.model.kafka.bootstrapServers == ["a:9092"])
        #expect(loaded.model.kafka.login?.credentials?.username == "someone")
        #expect(loaded.warnings.map(\.name) == ["KAFKA_BROKERS", "KAFKA_SASL_USER"])
    }

    @Test func `a misspelt Kafka variable is a warning, a broker's own none`() throws {
        let loaded = try self.fixtures.load(
            DispatcherConfiguration.self,
            ["KAFKA_SASL_PASWORD": "hunter2", "KAFKA_HEAP_OPTS": "-Xmx1g", "KAFKA_PORT": "tcp://10.0.0.1:9092"])
        #expect(
            loaded.warnings.map(\.description) == [
                "KAFKA_SASL_PASWORD is not a setting of Escapement; did you mean KAFKA_SASL_PASSWORD?"
            ])
    }

    @Test func `clear-text passwords are a warning`() throws {
        let loaded = try self.fixtures.load(
            DispatcherConfiguration.self,
            Self.scram.merging(["KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_MECHANISM": "PLAIN"]) { $1 })
        #expect(loaded.warnings.map(\.name) == ["KAFKA_SECURITY_PROTOCOL"])
    }

    @Test func `a user and a password that the mechanism does not use are refused by name with the remedy`() {
        let problems = self.fixtures.problems(DispatcherConfiguration.self, Self.scram.merging(Self.oauth) { $1 })
        #expect(
            problems.map(\.description) == [
                "KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD are set though KAFKA_SASL_MECHANISM is OAUTHBEARER, which "
                    + "does not use them; unset them, or set KAFKA_SASL_MECHANISM to SCRAM-SHA-512, SCRAM-SHA-256 or "
                    + "PLAIN"
            ])
    }

    @Test func `a JAAS line for a mechanism that does not use it is one problem`() {
        let problems = self.fixtures.problems(
            DispatcherConfiguration.self,
            [
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "GSSAPI",
                Self.prefix + "saslJaasConfig": #"a.PlainLoginModule required username="u" password="hunter2";"#,
            ])
        #expect(problems.map(\.message) == ["is for PlainLoginModule, not for GSSAPI"])
    }

    @Test func `a key's password without a key is a warning, except with a key that is a property`() throws {
        let changes = ["KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY_PASSWORD": "hunter2"]
        let loaded = try self.fixtures.load(DispatcherConfiguration.self, changes)
        #expect(
            loaded.warnings.map(\.description) == [
                "KAFKA_SSL_KEY_PASSWORD is set though KAFKA_SSL_KEY_FILE is not: there is no key that it opens; "
                    + "set KAFKA_SSL_KEY_FILE and KAFKA_SSL_CERT_FILE, or unset it"
            ])
        let withKey = changes.merging(["KAFKA_PROPERTY_SSL_KEY_PEM": "-----BEGIN X-----"]) { $1 }
        #expect(try self.fixtures.load(DispatcherConfiguration.self, withKey).warnings.isEmpty)
    }

    @Test func `OAUTHBEARER takes its settings from properties`() throws {
        let properties = try self.properties([
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
            "KAFKA_PROPERTY_SASL_OAUTHBEARER_METHOD": "oidc", "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_ID": "escapement",
            "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_SECRET_FILE": self.fixtures.directory.write(
                "s3cret\n", to: "oauth"),
            "KAFKA_PROPERTY_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": "https://issuer.example/token",
        ])
        #expect(properties["sasl.oauthbearer.client.secret"] == "s3cret")
        #expect(properties["sasl.mechanism"] == "OAUTHBEARER")
        #expect(properties["sasl.username"] == nil)
    }

    @Test func `GSSAPI takes its settings from properties`() throws {
        let properties = try self.properties([
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "gssapi",
            "KAFKA_PROPERTY_SASL_KERBEROS_PRINCIPAL": "escapement@EXAMPLE.ORG",
            "KAFKA_PROPERTY_SASL_KERBEROS_KEYTAB": "/run/secrets/escapement/kafka.keytab",
            "KAFKA_PROPERTY_SASL_KERBEROS_SERVICE_NAME": "kafka",
        ])
        #expect(
            properties == [
                "bootstrap.servers": "kafka-0:9092,kafka-1:9092", "client.id": "escapement-dispatcher-host-1",
                "security.protocol": "SASL_SSL", "sasl.mechanism": "GSSAPI",
                "sasl.kerberos.principal": "escapement@EXAMPLE.ORG",
                "sasl.kerberos.keytab": "/run/secrets/escapement/kafka.keytab", "sasl.kerberos.service.name": "kafka",
            ])
    }

    // MARK: OpenWhisk

    private static let prefix = "CONFIG_whisk_kafka_common_"

    @Test(arguments: [
        (
            "SCRAM-SHA-512",
            #"org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="hunter2";"#,
            "hunter2"
        ),
        (
            "PLAIN", #"org.apache.kafka.common.security.plain.PlainLoginModule required username='u' password='p"w' ;"#,
            "p\"w"
        ),
        (
            "PLAIN",
            #"org.apache.kafka.common.security.plain.PlainLoginModule Required password="a\"b\\c; d=e" username=u;"#,
            "a\"b\\c; d=e"
        ),
    ])
    func `OpenWhisk's three variables are accepted verbatim`(mechanism: String, jaas: String, password: String) throws {
        let loaded = try self.fixtures.load(
            DispatcherConfiguration.self,
            [
                Self.prefix + "securityProtocol": "SASL_SSL", Self.prefix + "saslMechanism": mechanism,
                Self.prefix + "saslJaasConfig": jaas,
            ])
        let kafka = loaded.model.kafka
        #expect(kafka.securityProtocol == .saslTLS)
        #expect(kafka.login?.mechanism.rawValue == mechanism)
        #expect(kafka.login?.credentials?.username == "u")
        #expect(try kafka.login?.credentials?.password.read() == password)
        #expect(!loaded.listing.contains("hunter2"))
        #expect(loaded.listing.contains("KAFKA_SASL_USERNAME=u  # environment \(Self.prefix)saslJaasConfig\n"))
    }

    @Test(arguments: [
        "hunter2", #"Module required username="u";"#, #"Module required username="u" password="hunter2"#,
        #"a.PlainLoginModule required username="u" password="hunter2""#,
        #"a.PlainLoginModule sometimes username="u" password="hunter2";"#,
        #"a.PlainLoginModule required username="u" password="hunter2"; more"#,
    ])
    func `a JAAS line that is not understood is refused without repeating it`(jaas: String) {
        let problems = self.fixtures.problems(
            DispatcherConfiguration.self,
            [
                Self.prefix + "securityProtocol": "SASL_SSL", Self.prefix + "saslMechanism": "PLAIN",
                Self.prefix + "saslJaasConfig": jaas,
            ])
        #expect(problems.map(\.name) == [Self.prefix + "saslJaasConfig"])
        #expect(!"\(problems)".contains("hunter2"))
    }

    @Test func `a login module of another mechanism, and two sets of credentials, are refused`() {
        let plain = #"a.PlainLoginModule required username="u" password="hunter2";"#
        let other = self.fixtures.problems(
            DispatcherConfiguration.self,
            [
                "KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
                Self.prefix + "saslJaasConfig": plain,
            ])
        #expect(other.map(\.message) == ["is for PlainLoginModule, not for SCRAM-SHA-256"])
        let both = self.fixtures.problems(
            DispatcherConfiguration.self, Self.scram.merging([Self.prefix + "saslJaasConfig": plain]) { $1 })
        #expect(both.map(\.name) == [Self.prefix + "saslJaasConfig"])
    }

    @Test func `a value that begins with a dollar sign names a variable`() throws {
        let loaded = try self.fixtures.load(
            DispatcherConfiguration.self,
            [
                Self.prefix + "securityProtocol": "SASL_PLAINTEXT", Self.prefix + "saslMechanism": "PLAIN",
                Self.prefix + "saslJaasConfig": "$KAFKA_JAAS",
                "KAFKA_JAAS": #"a.PlainLoginModule required username="u" password="hunter2";"#,
            ])
        #expect(try loaded.model.kafka.login?.credentials?.password.read() == "hunter2")
    }
}
