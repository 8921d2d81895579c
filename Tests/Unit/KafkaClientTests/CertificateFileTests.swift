import KafkaClient
import TestSupport
import Testing

/// No broker listens: files are looked at whether they are used or not.
@Suite struct CertificateFileTests {
    enum Origin: CaseIterable {
        case ownSetting
        /// `KAFKA_PROPERTY_…`, whose values may be secrets.
        case property
    }

    @Test(
        arguments: [
            "ssl.ca.location", "ssl.certificate.location", "ssl.key.location", "ssl.crl.location",
            "ssl.keystore.location",
        ], Origin.allCases)
    func `a file that is replaced is noticed, whatever names it`(name: String, origin: Origin) async throws {
        let folder = TemporaryFolder()
        let property = KafkaClientSettings.Property(name, folder.write("old", to: "file"))
        let others = [
            KafkaClientSettings.Property("bootstrap.servers", "127.0.0.1:1"), .init("ssl.keystore.password", "hunter2"),
        ]
        let settings =
            switch origin {
            case .ownSetting: KafkaClientSettings(properties: others + [property])
            case .property: KafkaClientSettings(properties: others, secrets: { [property] })
            }
        let producer = try KafkaProducer(
            settings: settings, logger: KafkaFixture.logger, health: KafkaHealthMonitor(settings: settings) { _ in })
        #expect(!producer.holdsOldCertificates)
        folder.write("newer", to: "file")
        #expect(producer.holdsOldCertificates)
        await producer.close()
    }
}
