package import EscapementModel
import HTTPClient
package import KafkaClient
package import ServiceConfiguration

/// Tokens for OAUTHBEARER from the endpoint that `KAFKA_PROPERTY_SASL_OAUTHBEARER_…` names, by our own HTTP client:
/// Debian's librdkafka is built without one.
package struct KafkaTokens: Sendable {
    private let clocks: any Clocks

    package init(clocks: any Clocks) { self.clocks = clocks }

    /// Where clients with these settings get their tokens; `nil` when they need none.
    package static func source(for settings: KafkaSettings, clocks: any Clocks) -> KafkaClientSettings.TokenSource? {
        guard settings.login?.mechanism == .oauthBearer else { return nil }
        let tokens = KafkaTokens(clocks: clocks)
        return { try await tokens.token($0) }
    }

    /// - Parameter properties: read afresh, so a rotated client secret is used by the next token.
    package func token(_ properties: [KafkaClientSettings.Property]) async throws -> KafkaBearerToken {
        func value(_ name: String) -> String? { properties.last { $0.name == "sasl.oauthbearer.\(name)" }?.value }
        guard let endpoint = value("token.endpoint.url"), let id = value("client.id"),
            let secret = value("client.secret")
        else { throw ClientCredentialsError(reason: "endpoint, client id or client secret is not set") }
        // A client for each token: one is wanted a few times a day, and its files may have changed since.
        let client = HTTPClient(
            configuration: HTTPClientConfiguration(
                certificateAuthorityFile: properties.last { $0.name == "https.ca.location" }?.value))
        let token: ClientCredentials.Token
        do {
            token = try await ClientCredentials(
                endpoint: endpoint, clientID: id, clientSecret: secret, scope: value("scope")
            ).token(client: client, clocks: self.clocks)
        } catch {
            await client.shutdown()
            throw error
        }
        await client.shutdown()
        // `a=1,b=2`, as librdkafka writes them.
        var extensions: [KafkaClientSettings.Property] = []
        for pair in (value("extensions") ?? "").split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { extensions.append(.init(String(parts[0]), String(parts[1]))) }
        }
        return KafkaBearerToken(
            value: token.value, principal: token.subject ?? id,
            expiresAtMilliseconds: token.expiresAt.milliseconds, extensions: extensions)
    }
}
