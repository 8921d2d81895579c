/// How to reach Elasticsearch.
package struct ElasticsearchSettings: Sendable {
    package enum Authentication: Sendable {
        case none
        case basic(username: String, password: Secret)
        /// The encoded form: base64 of `id:key`.
        case apiKey(Secret)

        var sendsCredentials: Bool { if case .none = self { false } else { true } }
    }

    /// What answers there.
    package enum Flavor: String, CaseIterable, Sendable {
        /// Asked at the first connection.
        case auto
        case elasticsearch
        /// Other lifecycle interface.
        case openSearch = "opensearch"
    }

    /// `https://host:9200`, tried in turn; without a trailing slash.
    package var urls: [String]
    package var authentication: Authentication
    /// PEM; `nil`: the system's authorities.
    package var authorityFile: String?
    /// Own certificate and its key, PEM, for a server that asks for one.
    package var clientCertificate: (certificateFile: String, keyFile: String)?
    package var flavor: Flavor

    package init(
        urls: [String], authentication: Authentication = .none, authorityFile: String? = nil,
        clientCertificate: (certificateFile: String, keyFile: String)? = nil, flavor: Flavor = .auto
    ) {
        self.clientCertificate = clientCertificate
        self.urls = urls
        self.authentication = authentication
        self.authorityFile = authorityFile
        self.flavor = flavor
    }

    package init(reading reader: inout ConfigurationReader) {
        let openWhisk = OpenWhiskElasticsearch(reading: &reader)
        self.init(urls: Self.urls(&reader, openWhisk))
        self.authentication = Self.authentication(&reader, openWhisk)
        self.authorityFile = reader.file("ELASTICSEARCH_CA_FILE")
        self.clientCertificate = Self.clientCertificate(&reader)
        self.flavor = reader.choice("ELASTICSEARCH_FLAVOR", default: self.flavor)
        let isClear = self.urls.contains { $0.hasPrefix("http:") }
        if isClear, self.authorityFile != nil {
            reader.warn(
                "ELASTICSEARCH_CA_FILE", "has no effect on an http:// address",
                remedy: "use https:// in ELASTICSEARCH_URL")
        }
        if isClear, self.clientCertificate != nil {
            reader.warn(
                "ELASTICSEARCH_CLIENT_CERT_FILE", "has no effect on an http:// address",
                remedy: "use https:// in ELASTICSEARCH_URL")
        }
        if isClear, self.authentication.sendsCredentials {
            reader.warn(
                "ELASTICSEARCH_URL", "sends credentials over http:// in clear text", remedy: "use https://")
        }
    }

    private static func clientCertificate(
        _ reader: inout ConfigurationReader
    ) -> (certificateFile: String, keyFile: String)? {
        let certificate = reader.file("ELASTICSEARCH_CLIENT_CERT_FILE")
        let key = reader.file("ELASTICSEARCH_CLIENT_KEY_FILE")
        switch (certificate, key) {
        case (let certificate?, let key?): return (certificate, key)
        case (nil, nil): return nil
        case (_?, nil):
            reader.refuse(
                "ELASTICSEARCH_CLIENT_KEY_FILE", "is not set though ELASTICSEARCH_CLIENT_CERT_FILE is",
                remedy: "name the certificate's private key, in PEM without a password")
        case (nil, _?):
            reader.refuse(
                "ELASTICSEARCH_CLIENT_CERT_FILE", "is not set though ELASTICSEARCH_CLIENT_KEY_FILE is",
                remedy: "name the key's certificate, in PEM")
        }
        return nil
    }

    private static func urls(_ reader: inout ConfigurationReader, _ openWhisk: OpenWhiskElasticsearch) -> [String] {
        let name = "ELASTICSEARCH_URL"
        let own = reader.text(name, aliases: ["ELASTICSEARCH_HOSTS"])
        if own == nil, let urls = openWhisk.urls {
            reader.note(name, urls, .environment(OpenWhiskElasticsearch.prefix + "hosts"))
        }
        guard let text = own ?? openWhisk.urls else {
            if !ActivationStoreChoice.isRefused(in: reader) {
                reader.refuse(
                    name, "is not set, but activations are stored in Elasticsearch only",
                    remedy: "set it to https://host:9200, see docs/activation-store.md")
            }
            return []
        }
        let urls = ConfigurationReader.list(text).map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        for url in urls {
            let rest = ["https://", "http://"].first { url.hasPrefix($0) }.map { url.dropFirst($0.utf8.count) }
            if rest?.contains("@") == true {
                // The text is not repeated: it may hold a password.
                reader.note(name, ConfigurationReader.mask, .default)
                reader.refuse(
                    name, "holds a user name or password",
                    remedy: "put them into ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD_FILE")
            } else if rest?.isEmpty ?? true {
                reader.refuse(name, "is '\(url)'", remedy: "write https://host:9200, several with commas between them")
            }
        }
        return urls
    }

    private static func authentication(
        _ reader: inout ConfigurationReader, _ openWhisk: OpenWhiskElasticsearch
    ) -> Authentication {
        let apiKey = reader.secret("ELASTICSEARCH_API_KEY")
        let isForeign = apiKey == nil
        var username = reader.text("ELASTICSEARCH_USERNAME")
        if username == nil, isForeign, let foreign = openWhisk.username {
            username = foreign
            reader.note("ELASTICSEARCH_USERNAME", foreign, .environment(OpenWhiskElasticsearch.prefix + "username"))
        }
        var password = reader.secret("ELASTICSEARCH_PASSWORD")
        if password == nil, isForeign, let foreign = openWhisk.password {
            password = foreign
            reader.note(
                "ELASTICSEARCH_PASSWORD", ConfigurationReader.mask,
                .environment(OpenWhiskElasticsearch.prefix + "password"))
        }
        switch (apiKey, username, password) {
        case (nil, nil, nil):
            return .none
        case (let apiKey?, nil, nil):
            return .apiKey(apiKey)
        case (nil, let username?, let password?):
            return .basic(username: username, password: password)
        case (_?, _, _):
            reader.refuse(
                "ELASTICSEARCH_API_KEY", "is set together with a user name or password", remedy: "keep one of them")
        case (nil, _?, nil):
            reader.refuse(
                "ELASTICSEARCH_PASSWORD", "is not set though ELASTICSEARCH_USERNAME is",
                remedy: "set ELASTICSEARCH_PASSWORD_FILE to a file that holds it")
        case (nil, nil, _?):
            reader.refuse(
                "ELASTICSEARCH_USERNAME", "is not set though ELASTICSEARCH_PASSWORD is", remedy: "set the user name")
        }
        return .none
    }
}

/// OpenWhisk's variables of the same meaning, taken verbatim where ours are not set.
struct OpenWhiskElasticsearch {
    static let prefix = "CONFIG_whisk_activationStore_elasticsearch_"

    var urls: String?
    var username: String?
    var password: Secret?

    init(reading reader: inout ConfigurationReader) {
        let scheme = OpenWhiskVariable.read(Self.prefix + "protocol", &reader) ?? "http"
        self.urls = OpenWhiskVariable.read(Self.prefix + "hosts", &reader).map { hosts in
            ConfigurationReader.list(hosts).map { "\(scheme)://\($0)" }.joined(separator: ",")
        }
        self.username = OpenWhiskVariable.read(Self.prefix + "username", &reader)
        self.password = OpenWhiskVariable.read(Self.prefix + "password", &reader).map { Secret($0) }
    }
}

/// OpenWhisk's rule for its variables: a value that begins with `$` names the variable to take it from.
enum OpenWhiskVariable {
    static func read(_ name: String, _ reader: inout ConfigurationReader) -> String? {
        guard let value = reader.foreign(name) else { return nil }
        guard value.hasPrefix("$"), value.utf8.count > 1 else { return value }
        let target = value.dropFirst().filter { $0 != "{" && $0 != "}" }
        guard let indirect = reader.foreign(String(target)) else {
            reader.refuse(
                name, "refers to a variable that is not set", remedy: "set the variable that it names after '$'")
            return nil
        }
        return indirect
    }
}
