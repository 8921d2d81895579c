import EscapementModel
import TLS

/// Certificates for tests, valid around the present: libssl judges them by the machine's clock.
struct Authorities {
    let own: CertificateAuthority
    let other: CertificateAuthority

    init() throws {
        self.own = try CertificateAuthority(name: "Own", notBefore: Self.start, validity: .seconds(7200))
        self.other = try CertificateAuthority(name: "Other", notBefore: Self.start, validity: .seconds(7200))
    }

    static var start: WallInstant { SystemClocks().wallNow().advanced(by: .seconds(-3600)) }

    static func request(
        _ name: String, notBefore: WallInstant = Authorities.start,
        usages: CertificateRequest.Usages = [.server, .client]
    ) -> CertificateRequest {
        CertificateRequest(
            commonName: name, dnsNames: [name], ipAddresses: ["127.0.0.1", "::1"],
            uris: ["spiffe://escapement/test/ticker/\(name)"], usages: usages, notBefore: notBefore,
            validity: .seconds(7000))
    }

    /// A configuration with a certificate for `name` issued by `issuer`, trusting `trust`.
    func configuration(
        _ role: TLSConfiguration.Role, name: String, issuer: CertificateAuthority? = nil,
        trust: CertificateAuthority? = nil, protocols: [String] = ["escapement/1"]
    ) throws -> TLSConfiguration {
        let leaf = try (issuer ?? self.own).issue(Self.request(name))
        return TLSConfiguration(
            role: role, certificateChain: .pem(leaf.certificatePEM), privateKey: .pem(leaf.privateKeyPEM),
            trust: .pem((trust ?? self.own).certificatePEM), applicationProtocols: protocols)
    }

    func server(_ name: String = "server.test") throws -> TLSContext {
        try TLSContext(self.configuration(.server, name: name))
    }

    func client(_ name: String = "client.test") throws -> TLSContext {
        try TLSContext(self.configuration(.client, name: name))
    }
}
