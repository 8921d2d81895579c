package import EscapementModel
package import ServiceConfiguration
package import TLS

/// A member's certificate, ready for links in both directions.
package struct MemberContexts: Sendable {
    package let server: TLSContextSlot
    package let client: TLSContextSlot

    /// Reads certificate, key and authority.
    ///
    /// - Throws: `ConfigurationRefusal` when they cannot be used.
    package init(_ files: MemberTLSSettings, now: WallInstant) throws(ConfigurationRefusal) {
        func slot(_ role: TLSConfiguration.Role) throws(TLSError) -> TLSContextSlot {
            try TLSContextSlot(
                .links(
                    role, certificateChain: .file(files.certificateFile), privateKey: .file(files.keyFile),
                    trust: .file(files.authorityFile)), now: now)
        }
        do throws(TLSError) {
            self.server = try slot(.server)
            self.client = try slot(.client)
        } catch {
            throw ConfigurationRefusal([
                ConfigurationProblem(
                    "ESCAPEMENT_TLS_CERT_FILE", "and its key and authority cannot be used: \(error)",
                    remedy: "see docs/configuration.md")
            ])
        }
    }
}
