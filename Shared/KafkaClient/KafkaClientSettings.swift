/// How to reach Kafka, in librdkafka's property names.
package struct KafkaClientSettings: Sendable {
    /// One property and its value.
    package struct Property: Equatable, Sendable {
        package var name: String
        package var value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// Gets a token, given all properties as they are now.
    package typealias TokenSource = @Sendable ([Property]) async throws -> KafkaBearerToken

    /// Everything but secrets; later entries win.
    package var properties: [Property]
    /// Reads the secrets (`sasl.password`, `ssl.key.password`) when a client is made, so that a rotated
    /// file is used by the next one. Their values appear in no log line and in no error.
    package var secrets: @Sendable () throws -> [Property]
    /// Where OAUTHBEARER gets its tokens from; `nil` leaves it to librdkafka. With it the
    /// properties of librdkafka's own OIDC client (`sasl.oauthbearer.client.id`, …) are for the source alone, since
    /// librdkafka may be built without that client and then refuses them, as Debian's is.
    package var tokens: TokenSource?
    /// What the client relies on: comes last, so that nobody may change it.
    var forced: [Property] = []

    package init(properties: [Property], secrets: @escaping @Sendable () throws -> [Property] = { [] }) {
        self.properties = properties
        self.secrets = secrets
    }

    /// The last value given to `name`.
    package func value(of name: String) -> String? { self.properties.last { $0.name == name }?.value }

    /// Whether a property is for the token source and not for librdkafka.
    func isForTokens(_ name: String) -> Bool {
        guard self.tokens != nil else { return false }
        return [
            "sasl.oauthbearer.method", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "sasl.oauthbearer.token.endpoint.url",
            "https.ca.location",
        ].contains(name)
    }

    /// Whether the value of a property of this name must not be seen: hidden from log lines and errors.
    static func isSecretName(_ name: String) -> Bool {
        // Where tokens come from is told to whoever has to repair it.
        name != "sasl.oauthbearer.token.endpoint.url"
            && ["password", "secret", "token", "jaas", ".pem", "oauthbearer.config"].contains { name.contains($0) }
    }

    /// With `more` in front: defaults that the user's own properties override.
    package func withDefaults(_ more: [Property]) -> KafkaClientSettings {
        var settings = self
        settings.properties = more + settings.properties
        return settings
    }

    /// With `more` behind everything else.
    func forcing(_ more: [Property]) -> KafkaClientSettings {
        var settings = self
        settings.forced += more
        return settings
    }
}
