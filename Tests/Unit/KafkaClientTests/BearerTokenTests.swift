import DevKafka
import EscapementModel
import KafkaClient
import Synchronization
import Testing

@Suite struct BearerTokenTests {
    private static func settings(
        _ kafka: KafkaFixture, _ tokens: @escaping KafkaClientSettings.TokenSource
    ) -> KafkaClientSettings {
        var settings = KafkaClientSettings(
            properties: [
                .init("bootstrap.servers", kafka.servers), .init("security.protocol", "SASL_SSL"),
                .init("sasl.mechanism", "OAUTHBEARER"), .init("sasl.oauthbearer.client.id", "escapement"),
                .init("sasl.oauthbearer.token.endpoint.url", "https://issuer.example/token"),
            ] + kafka.settings().properties.filter { $0.name.hasPrefix("ssl.") },
            secrets: { [.init("sasl.oauthbearer.client.secret", "s3cret")] })
        settings.tokens = tokens
        return settings
    }

    private static var inAnHour: Int64 { SystemClocks().wallNow().milliseconds + 3_600_000 }

    @Test func `a client logs in with a token of its source, which gets the properties of the endpoint`() async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let given = Mutex<[KafkaClientSettings.Property]>([])
            let settings = Self.settings(kafka) { properties in
                given.withLock { $0 = properties }
                return KafkaBearerToken(value: "a.b.c", principal: "x", expiresAtMilliseconds: Self.inAnHour)
            }
            let producer = try kafka.producer(settings)
            #expect(await producer.produce(KafkaRecordBatch("t", "a")).allSatisfy(\.isDelivered))
            await producer.close()
            let names = given.withLock { $0.map(\.name) }
            #expect(names.contains("sasl.oauthbearer.token.endpoint.url"))
            #expect(names.contains("sasl.oauthbearer.client.secret"))
        }
    }

    @Test func `a token that the broker refuses is an authentication failure`() async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            let settings = Self.settings(kafka) { _ in
                KafkaBearerToken(value: "not.the.one", principal: "x", expiresAtMilliseconds: Self.inAnHour)
            }
            let monitor = kafka.monitor(settings)
            let admin = try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: monitor)
            await #expect(throws: KafkaError.self) { try await admin.metadata(timeout: .seconds(3)) }
            let reason = try #require(monitor.reason)
            #expect(reason.contains("SASL authentication failed"), "\(reason)")
            #expect(!reason.contains("not.the.one"))
            await admin.close()
        }
    }

    @Test func `a source that fails is the reason that Kafka cannot be used`() async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            struct Down: Error, CustomStringConvertible { let description = "the endpoint is down" }
            let settings = Self.settings(kafka) { _ in throw Down() }
            let monitor = kafka.monitor(settings)
            let admin = try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: monitor)
            await #expect(throws: KafkaError.self) { try await admin.metadata(timeout: .seconds(2)) }
            #expect(monitor.reason?.contains("the endpoint is down") == true, "\(monitor.reason ?? "")")
            await admin.close()
        }
    }

    @Test func `a token that has run out is not logged in with`() async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            let settings = Self.settings(kafka) { _ in
                KafkaBearerToken(value: "a.b.c", principal: "x", expiresAtMilliseconds: 1)
            }
            let monitor = kafka.monitor(settings)
            let admin = try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: monitor)
            await #expect(throws: KafkaError.self) { try await admin.metadata(timeout: .seconds(2)) }
            let reason = try #require(monitor.reason)
            #expect(reason.contains("the token is not accepted: Must supply an unexpired token"), "\(reason)")
            #expect(!reason.contains("a.b.c"))
            await admin.close()
        }
    }
}
