/// A token that OAUTHBEARER logs in with.
package struct KafkaBearerToken: Sendable {
    /// Never logged.
    package var value: String
    /// Whom it stands for, shown by librdkafka's logs.
    package var principal: String
    /// Until when it is good, milliseconds since 1970. A new one is asked for at four fifths of its life.
    package var expiresAtMilliseconds: Int64
    /// SASL extensions (RFC 7628), such as a Confluent `logicalCluster`.
    package var extensions: [KafkaClientSettings.Property]

    package init(
        value: String, principal: String, expiresAtMilliseconds: Int64,
        extensions: [KafkaClientSettings.Property] = []
    ) {
        self.value = value
        self.principal = principal
        self.expiresAtMilliseconds = expiresAtMilliseconds
        self.extensions = extensions
    }
}
