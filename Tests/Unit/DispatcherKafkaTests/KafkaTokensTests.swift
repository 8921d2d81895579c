import DevKafka
import DispatcherKafka
import EscapementModel
import Foundation
import HTTPClient
import KafkaClient
import ServiceConfiguration
import TestSupport
import Testing

/// Tokens from an endpoint of ours, and brokers that take the newest one alone: those before it have run out.
@Suite(.timeLimit(.minutes(2))) struct KafkaTokensTests {
    private let files = TemporaryFolder()

    /// Replaces the file that holds the client's secret.
    private func write(secret: String) throws {
        try secret.write(toFile: self.files.path(of: "secret"), atomically: true, encoding: .utf8)
    }

    /// Runs `body` with what a dispatcher's variables come to, and the endpoint's URL.
    private func with(
        _ body: @escaping @Sendable (TokenEndpoint, DevKafkaCluster, KafkaClientSettings, String) async throws -> Void
    ) async throws {
        try self.write(secret: "first-secret")
        try await KafkaFixture.with(credentials: Credentials()) { fixture in
            let broker = fixture.broker
            try await broker.createTopic("t")
            let servers = await broker.bootstrapServers
            let endpoint = try TokenEndpoint { token in
                try await broker.setCredentials(Credentials(bearerTokens: [token: TokenEndpoint.client]))
            }
            try await endpoint.run { url in
                let sources = ConfigurationSources(environment: [
                    "KAFKA_BOOTSTRAP_SERVERS": servers, "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                    "KAFKA_SASL_MECHANISM": "OAUTHBEARER",
                    "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_ID": TokenEndpoint.client,
                    "KAFKA_PROPERTY_SASL_OAUTHBEARER_CLIENT_SECRET_FILE": self.files.path(of: "secret"),
                    "KAFKA_PROPERTY_SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": url,
                    "KAFKA_PROPERTY_SASL_OAUTHBEARER_SCOPE": TokenEndpoint.scope,
                    "KAFKA_PROPERTY_SASL_OAUTHBEARER_EXTENSIONS": "logicalCluster=lkc-1,identityPool=a=b",
                    "KAFKA_PROPERTY_HTTPS_CA_LOCATION": endpoint.authorityFile,
                ])
                let kafka = try KafkaToolConfiguration.load(from: sources).model.kafka
                var settings = KafkaClientSettings(kafka)
                settings.tokens = KafkaTokens.source(for: kafka, clocks: SystemClocks())
                try await body(endpoint, broker, settings, url)
            }
        }
    }

    private static func batch(_ text: String) -> KafkaRecordBatch {
        var batch = KafkaRecordBatch()
        batch.append(topic: "t", partition: 0, key: [UInt8]?.none, value: Array(text.utf8))
        return batch
    }

    @Test func `a producer outlives its token and the secret that it was got with`() async throws {
        try await self.with { endpoint, broker, settings, _ in
            endpoint.accept(["first-secret": 3])
            let monitor = KafkaHealthMonitor(settings: settings) { _ in }
            let producer = try KafkaProducer(settings: settings, logger: KafkaFixture.logger, health: monitor)
            #expect(await producer.produce(Self.batch("a")).allSatisfy(\.isDelivered))
            endpoint.accept(["first-secret": 3, "second-secret": 3600])
            try self.write(secret: "second-secret")
            await endpoint.awaitToken(for: "second-secret")
            endpoint.accept(["second-secret": 3600])
            // As brokers do with `connections.max.reauth.ms`: librdkafka logs in again on a new connection alone.
            try await broker.disconnectAll()
            #expect(await producer.produce(Self.batch("b")).allSatisfy(\.isDelivered))
            await producer.close()
            #expect(try await broker.records("t").map(\.text) == ["a", "b"])
        }
    }

    @Test func `a token is asked for with the secret that the file holds then, and the endpoint refuses another`()
        async throws
    {
        try await self.with { endpoint, _, settings, _ in
            let source = try #require(settings.tokens)
            func token() async throws -> KafkaBearerToken {
                try await source(settings.properties + (try settings.secrets()))
            }
            endpoint.accept(["first-secret": 60])
            let first = try await token()
            #expect(first.value == "token-1" && first.principal == TokenEndpoint.client)
            #expect(first.extensions == [.init("logicalCluster", "lkc-1"), .init("identityPool", "a=b")])
            endpoint.accept(["second-secret": 60])
            let error = await #expect(throws: ClientCredentialsError.self) { try await token() }
            #expect(error?.description.contains("status 401, invalid_client") == true, "\(error?.description ?? "")")
            #expect(error?.description.contains("secret") == false)
            try self.write(secret: "second-secret")
            #expect(try await token().value == "token-2")
        }
    }

    @Test func `an endpoint that is down is named, without the secret, until it is back`() async throws {
        try await self.with { endpoint, _, settings, url in
            endpoint.accept(["first-secret": 3600])
            endpoint.isDown = true
            let (reasons, reason) = AsyncStream<String?>.makeStream(bufferingPolicy: .unbounded)
            let producer = try KafkaProducer(
                settings: settings, logger: KafkaFixture.logger,
                health: KafkaHealthMonitor(settings: settings) { reason.yield($0) })
            async let deliveries = producer.produce(Self.batch("a"))
            for await case let reason? in reasons where reason.hasPrefix("SASL authentication failed") {
                #expect(reason.contains("POST \(url): "), "\(reason)")
                #expect(!reason.contains("first-secret"))
                break
            }
            endpoint.isDown = false
            // librdkafka asks again ten seconds after a failure.
            #expect(await deliveries.allSatisfy(\.isDelivered))
            for await reason in reasons where reason == nil { break }
            await producer.close()
        }
    }
}
