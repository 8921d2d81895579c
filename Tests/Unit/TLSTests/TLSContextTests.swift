import EscapementModel
import TLS
import Testing

@Suite struct TLSContextTests {
    let authorities: Authorities

    init() throws { self.authorities = try Authorities() }

    private func failure(_ configuration: TLSConfiguration, now: WallInstant? = nil) -> TLSError? {
        do throws(TLSError) {
            _ = try TLSContext(configuration, now: now)
            return nil
        } catch {
            return error
        }
    }

    @Test func `a context shows its own certificate`() throws {
        let context = try self.authorities.server("node-1.test")
        #expect(context.certificate?.commonName == "node-1.test")
        #expect(context.certificate?.uris == ["spiffe://escapement/test/ticker/node-1.test"])
        #expect(context.certificate?.ipAddresses == [[127, 0, 0, 1], [UInt8](repeating: 0, count: 15) + [1]])
    }

    @Test func `certificate times are those asked for`() throws {
        let start = WallInstant(milliseconds: 1_800_000_000_000)
        let leaf = try self.authorities.own.issue(
            CertificateRequest(commonName: "x", notBefore: start, validity: .seconds(86_400)))
        let certificate = try PeerCertificate(pem: leaf.certificatePEM)
        #expect(certificate.notBefore == start)
        #expect(certificate.notAfter == start.advanced(by: .seconds(86_400)))
        #expect(certificate.dnsNames.isEmpty && certificate.uris.isEmpty)
    }

    @Test func `a missing file is named`() throws {
        var configuration = try self.authorities.configuration(.server, name: "a")
        configuration.privateKey = .file("/nonexistent/key.pem")
        let error = self.failure(configuration)
        #expect(error?.code == .unreadable)
        #expect(error?.subject == "/nonexistent/key.pem")
        #expect(error?.reason == "No such file or directory")
    }

    @Test func `a key of another certificate is refused`() throws {
        var configuration = try self.authorities.configuration(.server, name: "a")
        configuration.privateKey = try self.authorities.configuration(.server, name: "a").privateKey
        #expect(self.failure(configuration)?.code == .keyMismatch)
    }

    @Test func `what is not PEM is refused and not repeated`() throws {
        let secret = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
        var configuration = try self.authorities.configuration(.server, name: "a")
        configuration.privateKey = .pem(secret)
        let error = self.failure(configuration)
        #expect(error?.code == .invalidKey)
        #expect(error.map { !"\($0)".contains("c2VjcmV0") } == true)

        configuration = try self.authorities.configuration(.server, name: "a")
        configuration.certificateChain = .pem("no certificate")
        #expect(self.failure(configuration)?.code == .invalidCertificate)
        configuration.certificateChain = .pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        #expect(self.failure(configuration)?.code == .invalidCertificate)

        configuration = try self.authorities.configuration(.server, name: "a")
        configuration.trust = .pem("")
        #expect(self.failure(configuration)?.code == .invalidTrust)
    }

    @Test func `a key with a password is refused without asking for it`() throws {
        // Made with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes128`; the header decides.
        let protected = """
            -----BEGIN EC PRIVATE KEY-----
            Proc-Type: 4,ENCRYPTED
            DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF

            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
            -----END EC PRIVATE KEY-----

            """
        var configuration = try self.authorities.configuration(.server, name: "a")
        configuration.privateKey = .pem(protected)
        #expect(self.failure(configuration)?.code == .invalidKey)
    }

    @Test func `an expired certificate is refused when the time is given`() throws {
        let configuration = try self.authorities.configuration(.server, name: "a")
        let later = Authorities.start.advanced(by: .seconds(7001))
        #expect(self.failure(configuration, now: later)?.code == .expired)
        #expect(self.failure(configuration, now: Authorities.start) == nil)
    }

    @Test func `contradictions are refused`() throws {
        let good = try self.authorities.configuration(.server, name: "a")
        var bad: [TLSConfiguration] = []
        for change in 0..<6 {
            var configuration = good
            switch change {
            case 0: configuration.certificateChain = nil
            case 1: configuration.privateKey = nil
            case 2: configuration.trust = nil
            case 3:
                configuration.minimumVersion = .tls13
                configuration.maximumVersion = .tls12
            case 4: configuration.applicationProtocols = [""]
            default:
                configuration.applicationProtocols = []
                configuration.requiresApplicationProtocol = true
            }
            bad.append(configuration)
        }
        for configuration in bad { #expect(self.failure(configuration)?.code == .invalidConfiguration) }
    }

    @Test func `descriptions do not show PEM text`() throws {
        let configuration = try self.authorities.configuration(.server, name: "a")
        #expect(configuration.privateKey?.description == "PEM text")
    }

    @Test func `names that could smuggle something are not minted`() {
        for name in ["", "a b", "a\u{0}b", "ü.test", "a\nb"] {
            #expect(throws: TLSError.self) {
                try self.authorities.own.issue(
                    CertificateRequest(
                        commonName: "x", dnsNames: [name], notBefore: Authorities.start, validity: .seconds(60)))
            }
        }
        #expect(throws: TLSError.self) {
            try self.authorities.own.issue(
                CertificateRequest(
                    commonName: "x", ipAddresses: ["not-an-address"], notBefore: Authorities.start,
                    validity: .seconds(60)))
        }
    }

    @Test func `an authority can be stored and read back`() throws {
        let copy = CertificateAuthority(
            certificatePEM: self.authorities.own.certificatePEM, privateKeyPEM: self.authorities.own.privateKeyPEM)
        let leaf = try copy.issue(Authorities.request("again.test"))
        #expect(try PeerCertificate(pem: leaf.certificatePEM).commonName == "again.test")
    }
}
