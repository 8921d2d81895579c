import DispatcherElasticsearch
import DispatcherService
import ElasticsearchStore
import ElasticsearchSupport
import EscapementModel
import Logging
import ServiceConfiguration
import TLS
import TestSupport
import Testing

/// Who the store takes us for: client certificates, passwords and API keys, and their exchange while we run.
@Suite struct StoreCredentialsTests {
    private static func authority() throws -> CertificateAuthority {
        try CertificateAuthority(name: "CA", notBefore: Self.start, validity: .seconds(7200))
    }

    private static var start: WallInstant { SystemClocks().wallNow().advanced(by: .seconds(-3600)) }

    private static func certificate(_ issuer: CertificateAuthority, _ name: String) throws -> IssuedCertificate {
        try issuer.issue(
            CertificateRequest(
                commonName: name, dnsNames: [name], ipAddresses: ["127.0.0.1"], uris: [], usages: [.server, .client],
                notBefore: self.start, validity: .seconds(7000)))
    }

    private static func store(_ settings: ElasticsearchSettings) -> ElasticsearchActivationStore {
        ElasticsearchActivationStore(
            settings, form: .native(indexPrefix: "credentials"), retentionDays: 1,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    }

    private static func document(_ id: String) -> ActivationDocument {
        ActivationDocument(index: "credentials-2026.11.23", id: id, body: Array("{}".utf8))
    }

    @Test func `a server that asks for a certificate gets ours, also a renewed one`() async throws {
        let folder = TemporaryFolder()
        let authority = try Self.authority()
        let stranger = try Self.authority()
        let server = try Self.certificate(authority, "elasticsearch")
        let tls = TLSConfiguration(
            role: .server, authentication: .mutual, certificateChain: .pem(server.certificatePEM),
            privateKey: .pem(server.privateKeyPEM), trust: .pem(authority.certificatePEM),
            applicationProtocols: ["http/1.1"], minimumVersion: .tls12)
        let trust = folder.write(authority.certificatePEM, to: "ca.pem")
        @Sendable func show(_ certificate: IssuedCertificate) -> (certificateFile: String, keyFile: String) {
            (
                folder.write(certificate.certificatePEM, to: "client.pem"),
                folder.write(certificate.privateKeyPEM, to: "client.key")
            )
        }
        try await DevElasticsearchServer.with(folder: TemporaryFolder(), tls: tls) { server in
            var settings = ElasticsearchSettings(urls: [server.url], authorityFile: trust)
            let nobody = await #expect(throws: ActivationStoreError.self) {
                try await Self.store(settings).create([Self.document("1")])
            }
            #expect(nobody?.detail.contains("certificate required") == true, "\(nobody?.detail ?? "")")

            settings.clientCertificate = show(try Self.certificate(stranger, "somebody"))
            let store = Self.store(settings)
            await #expect(throws: ActivationStoreError.self) { try await store.create([Self.document("1")]) }
            _ = show(try Self.certificate(authority, "dispatcher"))
            #expect(try await store.create([Self.document("1")]) == [.stored], "read again after the refusal")
        }
    }

    @Test func `a server of another authority is not trusted`() async throws {
        let folder = TemporaryFolder()
        let server = try Self.certificate(try Self.authority(), "elasticsearch")
        let tls = TLSConfiguration(
            role: .server, authentication: .serverOnly, certificateChain: .pem(server.certificatePEM),
            privateKey: .pem(server.privateKeyPEM), applicationProtocols: ["http/1.1"], minimumVersion: .tls12)
        let trust = folder.write(try Self.authority().certificatePEM, to: "ca.pem")
        try await DevElasticsearchServer.with(folder: TemporaryFolder(), tls: tls) { server in
            let settings = ElasticsearchSettings(urls: [server.url], authorityFile: trust)
            await #expect(throws: ActivationStoreError.self) {
                try await Self.store(settings).create([Self.document("1")])
            }
        }
    }

    @Test(arguments: [false, true])
    func `a rotated file of a password or key is read when the old one is refused`(isKey: Bool) async throws {
        let folder = TemporaryFolder()
        let (user, password) = (DevElasticsearchServer.username, DevElasticsearchServer.password)
        let right = isKey ? "ZWxhc3RpYzphIHBhc3N3b3Jk" : password
        let file = folder.write("an-old-secret\n", to: "secret")
        try await DevElasticsearchServer.with(folder: TemporaryFolder(), asksWho: true) { server in
            let secret = Secret(file: file)
            let store = Self.store(
                ElasticsearchSettings(
                    urls: [server.url],
                    authentication: isKey ? .apiKey(secret) : .basic(username: user, password: secret)))
            for _ in 0..<2 {
                let refusal = await #expect(throws: ActivationStoreError.self) {
                    try await store.create([Self.document("1")])
                }
                #expect(refusal?.detail.contains("HTTP 401") == true)
                #expect(refusal?.detail.contains("an-old-secret") == false)
            }
            folder.remove("secret")
            let gap = await #expect(throws: ActivationStoreError.self) {
                try await store.create([Self.document("1")])
            }
            #expect(gap?.detail.contains("secret") == true, "names the file that is missing")
            folder.write("\(right)\n", to: "secret")
            let results = try await store.create([Self.document("1")])
            #expect(results == [.stored])
        }
    }
}
