import EscapementModel
import Glibc
import ServiceConfiguration
import TLS
import Transport
import WireProtocol

/// Certificates of members, in a folder of their own under `/tmp`.
struct MemberCertificates {
    private let path: String
    private let authority: CertificateAuthority
    private let notBefore = SystemClocks().wallNow().advanced(by: .seconds(-3600))

    init() throws {
        self.authority = try CertificateAuthority(
            name: FireSample.cluster, notBefore: self.notBefore, validity: Self.validity)
        var template = Array("/tmp/escapement-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BenchError("no folder under /tmp") }
        self.path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static let validity = Duration.seconds(86_400)

    /// One new certificate, with its key and the authority's.
    func files(of role: Role) throws -> MemberTLSSettings {
        let node = NodeID("\(role.rawValue)-1")
        let identity = PeerIdentity(cluster: FireSample.cluster, role: role, node: node)
        let issued = try self.authority.issue(
            CertificateRequest(
                commonName: node.name, ipAddresses: [DispatcherProcess.loopback],
                uris: identity.uri.map { [$0] } ?? [], notBefore: self.notBefore, validity: Self.validity))
        return MemberTLSSettings(
            certificateFile: try self.write(issued.certificatePEM, "\(node.name).crt"),
            keyFile: try self.write(issued.privateKeyPEM, "\(node.name).key"),
            authorityFile: try self.write(self.authority.certificatePEM, "ca.crt"))
    }

    /// Not compiled into its callers: within a function that waits, its errors crash the optimizer of Swift 6.3.
    @inline(never)
    func contexts(of role: Role) throws -> MemberContexts {
        try MemberContexts(try self.files(of: role), now: SystemClocks().wallNow())
    }

    private func write(_ text: String, _ name: String) throws(BenchError) -> String {
        let file = "\(self.path)/\(name)"
        guard let stream = fopen(file, "we") else { throw BenchError("\(file) cannot be written") }
        defer { fclose(stream) }
        guard fputs(text, stream) >= 0 else { throw BenchError("\(file) cannot be written") }
        return file
    }

    func remove() {
        guard let folder = opendir(self.path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            unlink("\(self.path)/\(name)")
        }
        closedir(folder)
        rmdir(self.path)
    }
}
