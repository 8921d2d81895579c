import EscapementModel
import TLS
import Testing

@Suite struct PeerCertificateHostTests {
    private func certificate(dns: [String] = [], addresses: [String] = []) throws -> PeerCertificate {
        let start = SystemClocks().wallNow().advanced(by: .seconds(-60))
        let authority = try CertificateAuthority(name: "CA", notBefore: start, validity: .seconds(3600))
        let issued = try authority.issue(
            CertificateRequest(
                commonName: "escapement.example", dnsNames: dns, ipAddresses: addresses,
                uris: ["spiffe://escapement/test/coordinator/c1"], notBefore: start, validity: .seconds(3000)))
        return try PeerCertificate(pem: issued.certificatePEM)
    }

    @Test func `a certificate that names no host is bound to none`() throws {
        let certificate = try self.certificate()
        #expect(!certificate.namesHosts)
        #expect(!certificate.shows(host: "escapement.example"), "the common name is no host name")
    }

    @Test func `names match regardless of case, as wholes`() throws {
        let certificate = try self.certificate(dns: ["c1.Example.org"])
        #expect(certificate.namesHosts)
        #expect(certificate.shows(host: "C1.example.ORG") && certificate.shows(host: "c1.example.org."))
        for other in ["example.org", "x.c1.example.org", "c1.example.org.evil", "", ".", "c1"] {
            #expect(!certificate.shows(host: other), "\(other)")
        }
    }

    @Test func `a wildcard stands for one label`() throws {
        let certificate = try self.certificate(dns: ["*.example.org"])
        #expect(certificate.shows(host: "c1.example.org"))
        for other in ["example.org", "a.b.example.org", ".example.org"] {
            #expect(!certificate.shows(host: other), "\(other)")
        }
        #expect(try !self.certificate(dns: ["*.org"]).shows(host: "example.org"), "never a whole domain")
    }

    @Test func `addresses match by value, not by text, and only as addresses`() throws {
        let certificate = try self.certificate(dns: ["10.0.0.9"], addresses: ["10.0.0.1", "2001:db8::1"])
        #expect(certificate.shows(host: "10.0.0.1"))
        #expect(certificate.shows(host: "2001:0db8:0:0::1"))
        #expect(!certificate.shows(host: "10.0.0.2") && !certificate.shows(host: "10.0.0.9"))
    }
}
