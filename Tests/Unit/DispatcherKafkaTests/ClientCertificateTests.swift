import DevKafka
import DispatcherDomain
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
    private final class Fixture {
        static let journal = PublishingRules.journalTopic(of: KafkaFixture.cluster)

        let files = TemporaryFolder()
        let health = Observability(
            identity: ProcessIdentity(role: "dispatcher", instance: "d", cluster: KafkaFixture.cluster, revision: "")
        ).health
        let trusted: CertificateAuthority
        let other: CertificateAuthority
        private let tls: TLSConfiguration
        private(set) var broker: DevKafkaCluster

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
            self.tls = TLSConfiguration(
                role: .server, authentication: .mutual, certificateChain: .pem(leaf.certificatePEM),
                privateKey: .pem(leaf.privateKeyPEM), trust: .pem(self.trusted.certificatePEM), minimumVersion: .tls12)
            self.broker = try await DevKafkaCluster.start(
                ClusterConfiguration(security: .tls, tls: self.tls, dataFolder: self.files.path(of: "data")),
                logger: KafkaFixture.logger)
            try await self.broker.createTopic("escapement.fires", partitions: 1)
            try await self.broker.createTopic(Self.journal, partitions: 1)
        }

        /// What the expiry of a certificate comes to: the broker lets in those of `other` alone from now on, which ends
        /// every connection, and the client's files hold such a one.
        func replaceCertificates() async throws {
            let port = await self.broker.ports[0]
            await self.broker.stop()
            try self.show(self.other)
            var tls = self.tls
            tls.trust = .pem(self.other.certificatePEM)
            self.broker = try await DevKafkaCluster.start(
                ClusterConfiguration(
                    listeners: [.init(host: "127.0.0.1", port: port)], security: .tls, tls: tls,
                    dataFolder: self.files.path(of: "data")), logger: KafkaFixture.logger)
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
            return KafkaConnection(
                settings, clocks: SystemClocks(), health: self.health, logger: KafkaFixture.logger)
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

    @Test func `the recorder reads on with a certificate that is replaced`() async throws {
        try await Fixture.with { fixture in
            try fixture.show(fixture.trusted)
            let connection = await fixture.connection()
            let feed = KafkaJournalFeed(connection: connection, topic: Fixture.journal, group: "recorder")
            let producer = SharedProducer(connection: connection)
            func write(_ text: String) async {
                _ = await producer.produce([KafkaFixture.record(text, topic: Fixture.journal)], handedOver: {})
            }
            /// Offsets that the feed comes to; `nil` when it has to begin again.
            func read() async throws -> [Int64]? {
                let clock = ContinuousClock()
                let deadline = clock.now.advanced(by: .seconds(20))
                while clock.now < deadline {
                    do throws(JournalError) {
                        let records = try await feed.next(max: 10, timeout: .milliseconds(250))
                        if !records.isEmpty { return records.map(\.record.offset) }
                    } catch {
                        #expect(error.code == .unavailable)
                        return nil
                    }
                }
                return []
            }
            try await feed.follow([LaneID(0): 0])
            await write("a")
            #expect(try await read() == [0])
            try await fixture.replaceCertificates()
            #expect(try await read() == nil, "a consumer that nobody lets in is silent")
            try await feed.follow([LaneID(0): 1])
            // One attempt may still be made with the old one.
            for _ in 0..<2 { await write("b") }
            #expect(try await read()?.first == 1)
        }
    }

    @Test func `of the readers of the journal only one fails for a certificate that is replaced`() async throws {
        try await Fixture.with { fixture in
            try fixture.show(fixture.trusted)
            let reader = KafkaJournalReader(connection: await fixture.connection(), cluster: KafkaFixture.cluster)
            // Two at a time, so that two are kept.
            async let first = reader.firstOffset(of: LaneID(0))
            async let second = reader.firstOffset(of: LaneID(0))
            #expect(try await [first, second] == [0, 0])
            try await fixture.replaceCertificates()
            await #expect(throws: JournalError.self) { try await reader.read(LaneID(0), from: 0, through: 0) }
            #expect(try await reader.firstOffset(of: LaneID(0)) == 0)
        }
    }

    @Test func `the keeper asks with a certificate that is replaced`() async throws {
        try await Fixture.with { fixture in
            try fixture.show(fixture.other)
            let connection = await fixture.connection()
            let keeper = KafkaKeeper(
                topics: { _ in
                    ClusterTopics(
                        cluster: KafkaFixture.cluster, laneCount: 1, defaultTopic: "escapement.fires",
                        deadLetterTopic: "escapement.deadletters")
                }, connection: connection, health: fixture.health, clocks: SystemClocks(), logger: KafkaFixture.logger)
            let run = Task { try await keeper.run() }
            let clock = ContinuousClock()
            let deadline = clock.now.advanced(by: .seconds(40))
            while connection.trouble == nil, clock.now < deadline { try await Task.sleep(for: .milliseconds(10)) }
            try fixture.show(fixture.trusted)
            while fixture.health.status(of: KafkaKeeper.check) != .ok, clock.now < deadline {
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(fixture.health.status(of: KafkaKeeper.check) == .ok)
            run.cancel()
            _ = await run.result
        }
    }
}
