import DevKafka
import DispatcherKafka
import DispatcherService
import EscapementModel
import NIOCore
import Observability
import ServiceConfiguration
import TLS
import TestSupport
import Testing

/// Brokers that let in whoever shows a certificate, and nobody else.
@Suite struct ClientCertificateTests {
    private static let start = SystemClocks().wallNow().advanced(by: .seconds(-3600))

    /// Authorities, a broker that trusts one of them, and the files of a client.
    private struct Fixture {
        let files = TemporaryFolder()
        let trusted: CertificateAuthority
        let other: CertificateAuthority
        let broker: DevKafkaCluster

        init() async throws {
            self.trusted = try CertificateAuthority(
                name: "Own", notBefore: ClientCertificateTests.start, validity: .seconds(86_400))
            self.other = try CertificateAuthority(
                name: "Other", notBefore: ClientCertificateTests.start, validity: .seconds(86_400))
            let leaf = try self.trusted.issue(
                CertificateRequest(
                    commonName: "kafka", ipAddresses: ["127.0.0.1"], usages: [.server],
                    notBefore: ClientCertificateTests.start,
                    validity: .seconds(80_000)))
            self.broker = try await DevKafkaCluster.start(
                ClusterConfiguration(
                    security: .tls,
                    tls: TLSConfiguration(
                        role: .server, authentication: .mutual, certificateChain: .pem(leaf.certificatePEM),
                        privateKey: .pem(leaf.privateKeyPEM), trust: .pem(self.trusted.certificatePEM),
                        minimumVersion: .tls12), dataFolder: self.files.path(of: "data")),
                logger: KafkaFixture.logger)
            try await self.broker.createTopic("escapement.fires", partitions: 1)
            try await self.broker.createTopic(
                PublishingRules.journalTopic(of: KafkaFixture.cluster), partitions: 1)
        }

        /// Puts a certificate of `authority` where the client looks for its own.
        func show(_ authority: CertificateAuthority) throws {
            let leaf = try authority.issue(
                CertificateRequest(
                    commonName: "dispatcher", usages: [.client], notBefore: ClientCertificateTests.start,
                    validity: .seconds(80_000)))
            self.files.write(leaf.certificatePEM, to: "client.pem")
            self.files.write(leaf.privateKeyPEM, to: "client-key.pem")
        }

        func connection(showsCertificate: Bool = true) async -> KafkaConnection {
            var settings = KafkaSettings(
                bootstrapServers: [await self.broker.bootstrapServers], clientID: "test", securityProtocol: .tls,
                authorityFile: self.files.write(self.trusted.certificatePEM, to: "ca.pem"))
            if showsCertificate {
                settings.certificateFile = self.files.path(of: "client.pem")
                settings.keyFile = self.files.path(of: "client-key.pem")
            }
            let observability = Observability(
                identity: ProcessIdentity(
                    role: "dispatcher", instance: "d", cluster: KafkaFixture.cluster, revision: ""))
            return KafkaConnection(
                settings, clocks: SystemClocks(), health: observability.health, logger: KafkaFixture.logger)
        }

        static func with(_ body: (Fixture) async throws -> Void) async throws {
            let fixture = try await Fixture()
            do { try await body(fixture) } catch {
                await fixture.broker.stop()
                throw error
            }
            await fixture.broker.stop()
        }
    }

    @Test func `a lane publishes with a certificate and without SASL`() async throws {
        try await Fixture.with { fixture in
            try fixture.show(fixture.trusted)
            let producer = TransactionalProducer(
                lane: LaneID(0),
                sessions: KafkaTransactionSessions(
                    connection: await fixture.connection(), cluster: KafkaFixture.cluster, topics: []),
                clocks: SystemClocks(), seed: 1)
            try await producer.begin(confirm: { _ in .stands })
            _ = try await producer.append(KafkaFixture.record("a"))
            #expect(try await fixture.broker.records("escapement.fires").map(\.text) == ["a"])
        }
    }

    @Test(arguments: [true, false]) func `whoever shows none, or another's, is refused with a reason`(shows: Bool)
        async throws
    {
        try await Fixture.with { fixture in
            try fixture.show(fixture.other)
            let connection = await fixture.connection(showsCertificate: shows)
            let delivery = await SharedProducer(connection: connection).produce(
                [KafkaFixture.record("a")], handedOver: {})
            guard case .unavailable = delivery[0] else {
                Issue.record("the record is \(delivery[0])")
                return
            }
            #expect(connection.trouble?.reason.isEmpty == false)
        }
    }

    @Test func `at least once, a certificate that is replaced is shown without a restart`() async throws {
        try await Fixture.with { fixture in
            try fixture.show(fixture.other)
            let producer = SharedProducer(connection: await fixture.connection())
            let before = await producer.produce([KafkaFixture.record("a")], handedOver: {})
            try fixture.show(fixture.trusted)
            // One attempt may still be made with the old one.
            var after: [RecordDelivery] = []
            for _ in 0..<2 { after += await producer.produce([KafkaFixture.record("b")], handedOver: {}) }
            guard case .unavailable = before[0], case .delivered = after[1] else {
                Issue.record("the records are \(before), \(after)")
                return
            }
        }
    }
}
