import EscapementModel
import TLS
import WireProtocol

/// The private CA, certificates, passwords and the API token of a development stack; made once, kept
/// with mode 0600.
struct DevSecrets {
    static let certificateValidity = Duration.seconds(365 * 86_400)

    let folder: String
    let cluster: String
    private let authority: CertificateAuthority
    private let now: WallInstant

    var authorityFile: String { "\(self.folder)/ca.crt" }
    var tokenFile: String { "\(self.folder)/token" }
    var tokensFile: String { "\(self.folder)/tokens" }

    /// Reads what is there and makes what is missing.
    init(folder: String, cluster: String, now: WallInstant) throws {
        self.folder = folder
        self.cluster = cluster
        // An hour back, so that a clock that is corrected backwards does not meet a certificate of the future.
        self.now = now.advanced(by: .seconds(-3600))
        try DevFiles.makeDirectory(folder, mode: 0o755)
        let certificate = "\(folder)/ca.crt"
        let key = "\(folder)/ca.key"
        if DevFiles.exists(certificate), DevFiles.exists(key) {
            self.authority = CertificateAuthority(
                certificatePEM: try DevFiles.read(certificate), privateKeyPEM: try DevFiles.read(key))
        } else {
            self.authority = try CertificateAuthority(
                name: "Escapement development CA", notBefore: self.now, validity: Self.certificateValidity * 10)
            try DevFiles.write(self.authority.certificatePEM, to: certificate)
            try DevFiles.write(self.authority.privateKeyPEM, to: key, mode: 0o600)
        }
    }

    /// A certificate for a member: its role and name are in the URI SAN.
    func memberCertificate(role: Role, node: NodeID) throws -> (certificate: String, key: String) {
        try self.certificate(
            node.name, uris: ["spiffe://escapement/\(self.cluster)/\(role.rawValue)/\(node.name)"])
    }

    /// A certificate for a server that outsiders talk to.
    func serverCertificate(_ name: String) throws -> (certificate: String, key: String) {
        try self.certificate(name, uris: [])
    }

    /// A password, made when it is asked for the first time; the file that holds it.
    func passwordFile(_ name: String) throws -> String {
        let path = "\(self.folder)/\(name)"
        if !DevFiles.exists(path) { try DevFiles.write(Self.randomText() + "\n", to: path, mode: 0o600) }
        return path
    }

    func password(_ name: String) throws -> String {
        let text = try DevFiles.read(try self.passwordFile(name))
        return text.last == "\n" ? String(text.dropLast()) : text
    }

    /// The administrator's token, and the file from which the coordinators know it.
    func makeToken() throws {
        let token = try self.password("token")
        let digest = Hexadecimal.text(Digest.sha256(Array(token.utf8)))
        try DevFiles.write("\(digest) developer admin *\n", to: self.tokensFile, mode: 0o600)
    }

    private func certificate(_ name: String, uris: [String]) throws -> (certificate: String, key: String) {
        let certificate = "\(self.folder)/\(name).crt"
        let key = "\(self.folder)/\(name).key"
        let issued = try self.authority.issue(
            CertificateRequest(
                commonName: name, dnsNames: ["localhost", name], ipAddresses: ["127.0.0.1", "::1"], uris: uris,
                notBefore: self.now, validity: Self.certificateValidity))
        try DevFiles.write(issued.certificatePEM, to: certificate)
        try DevFiles.write(issued.privateKeyPEM, to: key, mode: 0o600)
        return (certificate, key)
    }

    private static func randomText() -> String { Hexadecimal.text(randomBytes(24)) }
}
