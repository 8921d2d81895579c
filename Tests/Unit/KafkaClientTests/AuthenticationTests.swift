import DevKafka
import Foundation
import KafkaClient
import Testing

@Suite struct AuthenticationTests {
    @Test(arguments: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
    func `a client logs in over TLS`(mechanism: String) async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let producer = try kafka.producer(kafka.settings(mechanism: mechanism))
            #expect(await producer.produce(KafkaRecordBatch("t", "a")).allSatisfy(\.isDelivered))
            await producer.close()
        }
    }

    @Test(arguments: ["PLAIN", "SCRAM-SHA-512"])
    func `a wrong password is refused, and the reason names the user and not the password`(
        mechanism: String
    ) async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            let settings = kafka.settings(mechanism: mechanism, password: "wrong battery")
            let monitor = kafka.monitor(settings)
            let admin = try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: monitor)
            await #expect(throws: KafkaError.self) { try await admin.metadata(timeout: .seconds(3)) }
            let reason = try #require(monitor.reason)
            #expect(reason.contains("SASL authentication failed for user \(KafkaFixture.user)"), "\(reason)")
            #expect(!reason.contains("battery"))
            await admin.close()
        }
    }

    @Test func `a mechanism that brokers do not enable is refused with those that they do`() async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            // Brokers answer before a ticket is needed: none is got.
            let settings = kafka.settings(mechanism: "GSSAPI", more: [.init("sasl.kerberos.kinit.cmd", ":")])
            let monitor = kafka.monitor(settings)
            let admin = try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: monitor)
            await #expect(throws: KafkaError.self) { try await admin.metadata(timeout: .seconds(3)) }
            let reason = try #require(monitor.reason)
            #expect(reason.contains("SASL GSSAPI mechanism handshake failed"), "\(reason)")
            #expect(reason.hasSuffix("supported mechanisms: PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER"))
            await admin.close()
        }
    }

    @Test func `a rotated password is used by the next connection of a running client`() async throws {
        try await KafkaFixture.with(security: .saslPlaintext) { kafka async throws in
            try await kafka.cluster.createTopic("t")
            let file = "\(kafka.folder)/password"
            try KafkaFixture.password.write(toFile: file, atomically: true, encoding: .utf8)
            let settings = KafkaClientSettings(properties: kafka.settings().properties) {
                [.init("sasl.password", try String(contentsOfFile: file, encoding: .utf8))]
            }
            let producer = try kafka.producer(settings)
            #expect(await producer.produce(KafkaRecordBatch("t", "a")).allSatisfy(\.isDelivered))
            try await kafka.cluster.setCredentials(Credentials(passwords: [KafkaFixture.user: "rotated"]))
            try "rotated".write(toFile: file, atomically: true, encoding: .utf8)
            try await kafka.cluster.disconnectAll()
            #expect(await producer.produce(KafkaRecordBatch("t", "b")).allSatisfy(\.isDelivered))
            await producer.close()
        }
    }

    @Test func `a server whose certificate is of another authority is not talked to`() async throws {
        try await KafkaFixture.with(security: .saslTLS) { kafka async throws in
            let settings = kafka.settings(more: [.init("ssl.ca.location", "/etc/ssl/certs/ca-certificates.crt")])
            let monitor = kafka.monitor(settings)
            let admin = try KafkaAdmin(settings: settings, logger: KafkaFixture.logger, health: monitor)
            await #expect(throws: KafkaError.self) { try await admin.metadata(timeout: .seconds(2)) }
            #expect(monitor.reason?.contains("TLS to Kafka failed") == true, "\(monitor.reason ?? "")")
            await admin.close()
        }
    }
}
