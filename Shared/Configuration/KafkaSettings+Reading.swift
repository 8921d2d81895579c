extension KafkaSettings {
    init(reading reader: inout ConfigurationReader, instance: String) {
        let openWhisk = OpenWhiskKafka(reading: &reader)
        self.init(bootstrapServers: Self.bootstrapServers(&reader), clientID: "")
        self.clientID =
            reader.text("KAFKA_CLIENT_ID", default: "escapement-dispatcher-\(instance)") ?? "escapement-dispatcher"
        self.securityProtocol = Self.securityProtocol(&reader, openWhisk)
        self.properties = Self.properties(&reader)
        self.login = Self.login(&reader, openWhisk, self.securityProtocol, self.properties)
        self.readTLS(&reader, openWhisk)
        Self.warnOfUnknown(&reader)
    }

    private static func bootstrapServers(_ reader: inout ConfigurationReader) -> [String] {
        let text = reader.requiredText(
            "KAFKA_BOOTSTRAP_SERVERS", aliases: ["KAFKA_BROKERS", "KAFKA_HOSTS"],
            remedy: "set it to host:9092, several with commas between them")
        let servers = ConfigurationReader.list(text)
        for server in servers where ListenAddress(text: server).map({ $0.port == 0 }) ?? true {
            reader.refuse(
                "KAFKA_BOOTSTRAP_SERVERS", "holds '\(server)'", remedy: "write host:9092, without a protocol")
        }
        return servers
    }

    private static func securityProtocol(
        _ reader: inout ConfigurationReader, _ openWhisk: OpenWhiskKafka
    ) -> SecurityProtocol {
        let name = "KAFKA_SECURITY_PROTOCOL"
        let own = reader.choice(name, default: SecurityProtocol.plaintext)
        guard reader.origin(of: name) == .default, let text = openWhisk.securityProtocol else { return own }
        guard let value = SecurityProtocol(rawValue: text.uppercased()) else {
            reader.refuse(
                OpenWhiskKafka.securityProtocolName, "is '\(text)'",
                remedy: "set it to PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL")
            return own
        }
        reader.note(name, value.rawValue, .environment(OpenWhiskKafka.securityProtocolName))
        return value
    }

    private static func mechanism(_ reader: inout ConfigurationReader, _ openWhisk: OpenWhiskKafka) -> Mechanism? {
        let name = "KAFKA_SASL_MECHANISM"
        let own = reader.text(name, aliases: ["KAFKA_SASL_MECHANISMS"])
        guard let text = own ?? openWhisk.mechanism else { return nil }
        let source = own == nil ? OpenWhiskKafka.mechanismName : name
        guard let mechanism = Mechanism(rawValue: text.uppercased()) else {
            reader.refuse(
                source, "is '\(text)'", remedy: "set it to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI")
            return nil
        }
        if own == nil { reader.note(name, mechanism.rawValue, .environment(source)) }
        return mechanism
    }

    /// Protocol, mechanism and credentials must agree: librdkafka would take a wrong set and then report a broker
    /// that is down.
    private static func login(
        _ reader: inout ConfigurationReader, _ openWhisk: OpenWhiskKafka, _ securityProtocol: SecurityProtocol,
        _ properties: [Property]
    ) -> Login? {
        let problemCount = reader.problems.count
        let mechanism = Self.mechanism(&reader, openWhisk)
        let mechanismIsWrong = reader.problems.count > problemCount
        var username = reader.text("KAFKA_SASL_USERNAME", aliases: ["KAFKA_SASL_USER"])
        var password = reader.secret("KAFKA_SASL_PASSWORD")
        if openWhisk.hasJAAS, username != nil || password != nil {
            reader.refuse(
                OpenWhiskKafka.jaasName, "and KAFKA_SASL_USERNAME or KAFKA_SASL_PASSWORD are both set",
                remedy: "keep one of them")
        } else if let jaas = openWhisk.jaas(&reader, mechanism: mechanism) {
            (username, password) = (jaas.username, jaas.password)
            reader.note("KAFKA_SASL_USERNAME", jaas.username, .environment(OpenWhiskKafka.jaasName))
            reader.note("KAFKA_SASL_PASSWORD", ConfigurationReader.mask, .environment(OpenWhiskKafka.jaasName))
        } else if openWhisk.hasJAAS {
            return nil  // Already refused.
        }
        guard let mechanism else {
            if mechanismIsWrong {
                return nil
            } else if securityProtocol.usesSASL {
                reader.refuse(
                    "KAFKA_SASL_MECHANISM", "is not set though KAFKA_SECURITY_PROTOCOL is \(securityProtocol.rawValue)",
                    remedy: "set it to SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER, as the broker has it")
            } else if username != nil || password != nil {
                reader.refuse(
                    username == nil ? "KAFKA_SASL_PASSWORD" : "KAFKA_SASL_USERNAME",
                    "is set though SASL is not in use",
                    remedy: "set KAFKA_SECURITY_PROTOCOL=SASL_SSL and KAFKA_SASL_MECHANISM, or unset the credentials")
            }
            return nil
        }
        if !securityProtocol.usesSASL {
            reader.refuse(
                "KAFKA_SECURITY_PROTOCOL",
                "is \(securityProtocol.rawValue) though KAFKA_SASL_MECHANISM is \(mechanism.rawValue)",
                remedy: "set it to SASL_SSL, or SASL_PLAINTEXT on a trusted network")
        }
        if mechanism == .plain, securityProtocol == .saslPlaintext {
            reader.warn(
                "KAFKA_SECURITY_PROTOCOL", "is SASL_PLAINTEXT with PLAIN: the password travels in clear text",
                remedy: "use SASL_SSL or a SCRAM mechanism")
        }
        if mechanism == .oauthBearer || mechanism == .gssapi, !openWhisk.hasJAAS {
            Self.refuseCredentials(&reader, mechanism, hasUsername: username != nil, hasPassword: password != nil)
        }
        if mechanism == .oauthBearer {
            Self.checkOAuth(&reader, properties)
            return Login(mechanism: mechanism, credentials: nil)
        }
        if mechanism == .gssapi { return Login(mechanism: mechanism, credentials: nil) }
        if username == nil {
            reader.refuse(
                "KAFKA_SASL_USERNAME", "is not set though KAFKA_SASL_MECHANISM is \(mechanism.rawValue)",
                remedy: "set it to the user that the broker knows")
        }
        if password == nil {
            reader.refuse(
                "KAFKA_SASL_PASSWORD", "is not set though KAFKA_SASL_MECHANISM is \(mechanism.rawValue)",
                remedy: "set KAFKA_SASL_PASSWORD_FILE to a file that holds the password")
        }
        guard let username, let password else { return nil }
        return Login(mechanism: mechanism, credentials: (username, password))
    }

    /// A user and a password that the mechanism would never send. Those of a JAAS line are refused with the line.
    private static func refuseCredentials(
        _ reader: inout ConfigurationReader, _ mechanism: Mechanism, hasUsername: Bool, hasPassword: Bool
    ) {
        let names =
            (hasUsername ? ["KAFKA_SASL_USERNAME"] : []) + (hasPassword ? ["KAFKA_SASL_PASSWORD"] : [])
        guard let name = names.first else { return }
        let (verb, pronoun) = names.count > 1 ? ("and \(names[1]) are", "them") : ("is", "it")
        reader.refuse(
            name, "\(verb) set though KAFKA_SASL_MECHANISM is \(mechanism.rawValue), which does not use \(pronoun)",
            remedy: "unset \(pronoun), or set KAFKA_SASL_MECHANISM to SCRAM-SHA-512, SCRAM-SHA-256 or PLAIN")
    }

    private static func checkOAuth(_ reader: inout ConfigurationReader, _ properties: [Property]) {
        for suffix in ["client.id", "client.secret", "token.endpoint.url"] {
            let name = "sasl.oauthbearer.\(suffix)"
            if !properties.contains(where: { $0.name == name }) {
                reader.refuse(
                    Self.variable(of: name), "is not set though KAFKA_SASL_MECHANISM is OAUTHBEARER",
                    remedy:
                        "set it to what the token endpoint knows; KAFKA_PROPERTY_SASL_OAUTHBEARER_SCOPE may be added")
            }
        }
    }

    private mutating func readTLS(_ reader: inout ConfigurationReader, _ openWhisk: OpenWhiskKafka) {
        self.authorityFile = reader.file("KAFKA_SSL_CA_FILE")
        self.certificateFile = reader.file("KAFKA_SSL_CERT_FILE")
        self.keyFile = reader.file("KAFKA_SSL_KEY_FILE")
        self.keyPassword = reader.secret("KAFKA_SSL_KEY_PASSWORD")
        if (self.certificateFile == nil) != (self.keyFile == nil) {
            let missing = self.keyFile == nil ? "KAFKA_SSL_KEY_FILE" : "KAFKA_SSL_CERT_FILE"
            let present = self.keyFile == nil ? "KAFKA_SSL_CERT_FILE" : "KAFKA_SSL_KEY_FILE"
            reader.refuse(missing, "is not set though \(present) is", remedy: "set both or neither, in PEM")
        }
        let settings = [
            ("KAFKA_SSL_CA_FILE", self.authorityFile != nil), ("KAFKA_SSL_CERT_FILE", self.certificateFile != nil),
            ("KAFKA_SSL_KEY_FILE", self.keyFile != nil), ("KAFKA_SSL_KEY_PASSWORD", self.keyPassword != nil),
        ]
        if !self.securityProtocol.usesTLS, let name = settings.first(where: { $0.1 })?.0 {
            reader.refuse(
                name, "is set though KAFKA_SECURITY_PROTOCOL is \(self.securityProtocol.rawValue)",
                remedy:
                    "set KAFKA_SECURITY_PROTOCOL to \(self.securityProtocol.usesSASL ? "SASL_SSL" : "SSL"), or unset it"
            )
        } else if self.keyPassword != nil, self.keyFile == nil, self.certificateFile == nil,
            !self.properties.contains(where: { $0.name == "ssl.key.pem" })
        {
            reader.warn(
                "KAFKA_SSL_KEY_PASSWORD", "is set though KAFKA_SSL_KEY_FILE is not: there is no key that it opens",
                remedy: "set KAFKA_SSL_KEY_FILE and KAFKA_SSL_CERT_FILE, or unset it")
        }
        if let store = openWhisk.javaKeyStore, self.authorityFile == nil {
            reader.warn(
                store, "names a Java key store, which is not read", remedy: "set KAFKA_SSL_CA_FILE to a PEM file")
        }
    }

    // MARK: KAFKA_PROPERTY_…

    private static let propertyPrefix = "KAFKA_PROPERTY_"

    /// Properties that our guarantees rest on, or that have a variable of their own.
    private static let ownProperties: [String: String] = [
        "bootstrap.servers": "KAFKA_BOOTSTRAP_SERVERS", "metadata.broker.list": "KAFKA_BOOTSTRAP_SERVERS",
        "security.protocol": "KAFKA_SECURITY_PROTOCOL", "sasl.mechanism": "KAFKA_SASL_MECHANISM",
        "sasl.mechanisms": "KAFKA_SASL_MECHANISM", "sasl.username": "KAFKA_SASL_USERNAME",
        "sasl.password": "KAFKA_SASL_PASSWORD_FILE", "ssl.ca.location": "KAFKA_SSL_CA_FILE",
        "ssl.certificate.location": "KAFKA_SSL_CERT_FILE", "ssl.key.location": "KAFKA_SSL_KEY_FILE",
        "ssl.key.password": "KAFKA_SSL_KEY_PASSWORD_FILE", "client.id": "KAFKA_CLIENT_ID",
    ]
    /// `log.queue` too: what may have been sent twice shows in librdkafka's log alone, which would go elsewhere. And
    /// lanes wait for the report of each record.
    private static let fixedProperties: Set<String> = [
        "transactional.id", "transaction.timeout.ms", "enable.idempotence", "acks", "request.required.acks",
        "enable.gapless.guarantee", "max.in.flight", "max.in.flight.requests.per.connection", "isolation.level",
        "group.id", "enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset", "partitioner",
        "log.queue", "delivery.report.only.error",
    ]

    private static func variable(of property: String) -> String {
        self.propertyPrefix + String(property.uppercased().map { $0 == "." ? "_" : $0 })
    }

    private static func properties(_ reader: inout ConfigurationReader) -> [Property] {
        var result: [Property] = []
        let variables = Set(reader.sources.environment.keys).union(reader.sources.file?.values.keys.map { $0 } ?? [])
        for variable in variables.sorted() where variable.hasPrefix(self.propertyPrefix) {
            guard let (value, origin) = reader.member(variable) else { continue }
            let name = String(
                variable.dropFirst(self.propertyPrefix.utf8.count).lowercased().map { $0 == "_" ? "." : $0 })
            if let own = self.ownProperties[name] {
                reader.refuse(variable, "has a variable of its own", remedy: "set \(own) instead")
            } else if self.fixedProperties.contains(name) {
                reader.refuse(variable, "is fixed: exactly-once delivery rests on it", remedy: "unset it")
            } else if name.hasSuffix(".secret.file") || name.hasSuffix(".password.file") {
                self.appendSecretFile(name, value, variable, to: &result, &reader)
            } else if case .configuration = origin, name.hasSuffix(".secret") || name.hasSuffix(".password") {
                reader.note(variable, ConfigurationReader.mask, origin)
                reader.refuse(
                    variable, "would stand in clear in a configuration file",
                    remedy: "name a file that holds it in \(variable)_FILE")
            } else {
                result.append(Property(name: name, value: Secret(value)))
                reader.note(variable, ConfigurationReader.mask, origin)
            }
        }
        return result
    }

    private static func appendSecretFile(
        _ name: String, _ path: String, _ variable: String, to result: inout [Property],
        _ reader: inout ConfigurationReader
    ) {
        let secret = Secret(file: path)
        do {
            _ = try secret.read()
        } catch {
            reader.refuse(
                variable, "names \(error.path), which \(error.reason)",
                remedy: "name a file that holds the secret and that this user can read")
        }
        let base = String(name.dropLast(".file".utf8.count))
        if reader.sources.environment[self.variable(of: base)]?.isEmpty == false {
            reader.refuse(self.variable(of: base), "and \(variable) are both set", remedy: "keep \(variable)")
        }
        result.append(Property(name: base, value: secret))
        reader.note(self.variable(of: base), ConfigurationReader.mask, .file(path, variable: variable))
    }

    /// Variables of brokers and of Kubernetes also begin with `KAFKA_`: a warning, not a refusal.
    private static func warnOfUnknown(_ reader: inout ConfigurationReader) {
        let known = reader.knownNames.filter { $0.hasPrefix("KAFKA_") }
        for name in reader.sources.environment.keys.sorted()
        where name.hasPrefix("KAFKA_") && !known.contains(name) && !ServiceLink.hasShape(name) {
            if let suggestion = Suggestion.nearest(to: name, among: known) {
                reader.warn(name, "is not a setting of Escapement", remedy: "did you mean \(suggestion)?")
            }
        }
    }
}

/// OpenWhisk's variables for Kafka's clients, taken verbatim where ours are not set, so that one Secret serves
/// both.
struct OpenWhiskKafka {
    private static let prefix = "CONFIG_whisk_kafka_common_"
    static let securityProtocolName = prefix + "securityProtocol"
    static let mechanismName = prefix + "saslMechanism"
    static let jaasName = prefix + "saslJaasConfig"

    var securityProtocol: String?
    var mechanism: String?
    /// The variable that names a key store only Java reads.
    var javaKeyStore: String?
    private var jaasText: String?

    var hasJAAS: Bool { self.jaasText != nil }

    init(reading reader: inout ConfigurationReader) {
        self.securityProtocol = OpenWhiskVariable.read(Self.securityProtocolName, &reader)
        self.mechanism = OpenWhiskVariable.read(Self.mechanismName, &reader)
        self.jaasText = OpenWhiskVariable.read(Self.jaasName, &reader)
        let stores = [Self.prefix + "sslTruststoreLocation", Self.prefix + "sslKeystoreLocation"]
        self.javaKeyStore = stores.first { reader.foreign($0) != nil }
    }

    /// User and password of the JAAS line; a problem and `nil` when it is not understood or is of another
    /// mechanism. The text is never repeated.
    func jaas(
        _ reader: inout ConfigurationReader, mechanism: KafkaSettings.Mechanism?
    ) -> (username: String, password: Secret)? {
        guard let text = self.jaasText else { return nil }
        guard let line = JAASLine(text), let username = line.options["username"],
            let password = line.options["password"]
        else {
            reader.refuse(
                Self.jaasName, "is not a JAAS line with username and password",
                remedy: "write org.apache.kafka.common.security.scram.ScramLoginModule required username=\"…\" "
                    + "password=\"…\";")
            return nil
        }
        let fits =
            switch mechanism {
            case .plain: line.module == "PlainLoginModule"
            case .scramSHA256, .scramSHA512: line.module == "ScramLoginModule"
            case .oauthBearer, .gssapi: false
            case nil: true
            }
        if !fits {
            reader.refuse(
                Self.jaasName, "is for \(line.module), not for \(mechanism?.rawValue ?? "")",
                remedy: "make the login module and the mechanism agree")
        }
        return (username, Secret(password))
    }
}

extension ConfigurationReader {
    /// Where the value noted last for `name` came from.
    func origin(of name: String) -> ConfigurationOrigin {
        self.entries.last { $0.name == name }?.origin ?? .default
    }
}
