import COpenSSL
package import EscapementModel

/// A private authority that issues certificates for development and tests. Production brings its own.
///
/// Keys are ECDSA on P-256. Holds PEM text, so it can be stored and read back; each call parses it again.
package struct CertificateAuthority: Sendable {
    /// The authority's own certificate, to be trusted by all.
    package let certificatePEM: String
    /// The authority's key; whoever has it can be anyone.
    package let privateKeyPEM: String

    /// An authority made earlier.
    package init(certificatePEM: String, privateKeyPEM: String) {
        self.certificatePEM = certificatePEM
        self.privateKeyPEM = privateKeyPEM
    }

    /// Makes a new authority, self-signed, that may issue leaf certificates only.
    ///
    /// - Throws: `TLSError`, when libcrypto refuses a value or has no memory.
    package init(name: String, notBefore: WallInstant, validity: Duration) throws(TLSError) {
        let key = try Minting.makeKey()
        let certificate = try Minting.makeCertificate(
            subject: name, key: key, notBefore: notBefore, validity: validity)
        try Minting.check(X509_set_issuer_name(certificate.handle, X509_get_subject_name(certificate.handle)), "issuer")
        try Minting.add(NID_basic_constraints, "critical,CA:TRUE,pathlen:0", to: certificate, issuer: certificate)
        try Minting.add(NID_key_usage, "critical,keyCertSign,cRLSign", to: certificate, issuer: certificate)
        try Minting.add(NID_subject_key_identifier, "hash", to: certificate, issuer: certificate)
        try Minting.sign(certificate, with: key)
        self.certificatePEM = try Minting.pem(certificate)
        self.privateKeyPEM = try Minting.pem(key)
    }

    /// Issues a certificate with a new key.
    ///
    /// - Throws: `TLSError`, when a name or address is malformed or the authority's PEM does not parse.
    package func issue(_ request: CertificateRequest) throws(TLSError) -> IssuedCertificate {
        let issuerKey = try PrivateKeyBox(pem: Array(self.privateKeyPEM.utf8), subject: "authority's key")
        guard let issuer = CertificateBox.all(inPEM: Array(self.certificatePEM.utf8))?.first else {
            throw TLSError(.invalidCertificate, subject: "authority's certificate", reason: "does not parse")
        }
        let key = try Minting.makeKey()
        let leaf = try Minting.makeCertificate(
            subject: request.commonName, key: key, notBefore: request.notBefore, validity: request.validity)
        try Minting.check(X509_set_issuer_name(leaf.handle, X509_get_subject_name(issuer.handle)), "issuer")
        try Minting.add(NID_basic_constraints, "critical,CA:FALSE", to: leaf, issuer: issuer)
        try Minting.add(NID_key_usage, "critical,digitalSignature", to: leaf, issuer: issuer)
        if let usage = request.usages.text { try Minting.add(NID_ext_key_usage, usage, to: leaf, issuer: issuer) }
        try Minting.add(NID_subject_key_identifier, "hash", to: leaf, issuer: issuer)
        try Minting.add(NID_authority_key_identifier, "keyid", to: leaf, issuer: issuer)
        try Minting.setAlternativeNames(of: leaf, request)
        try Minting.sign(leaf, with: issuerKey)
        return IssuedCertificate(certificatePEM: try Minting.pem(leaf), privateKeyPEM: try Minting.pem(key))
    }
}

/// What a certificate is to say.
package struct CertificateRequest: Sendable {
    package struct Usages: OptionSet, Sendable {
        package var rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        package static let server = Usages(rawValue: 1)
        package static let client = Usages(rawValue: 2)

        var text: String? {
            var names: [String] = []
            if self.contains(.server) { names.append("serverAuth") }
            if self.contains(.client) { names.append("clientAuth") }
            return names.isEmpty ? nil : names.joined(separator: ",")
        }
    }

    /// 1 to 64 characters.
    package var commonName: String
    package var dnsNames: [String]
    /// IPv4 or IPv6, in text form.
    package var ipAddresses: [String]
    package var uris: [String]
    package var usages: Usages
    package var notBefore: WallInstant
    package var validity: Duration

    package init(
        commonName: String, dnsNames: [String] = [], ipAddresses: [String] = [], uris: [String] = [],
        usages: Usages = [.server, .client], notBefore: WallInstant, validity: Duration
    ) {
        self.commonName = commonName
        self.dnsNames = dnsNames
        self.ipAddresses = ipAddresses
        self.uris = uris
        self.usages = usages
        self.notBefore = notBefore
        self.validity = validity
    }
}

/// A leaf certificate and its key, as PEM text.
package struct IssuedCertificate: Sendable {
    package var certificatePEM: String
    package var privateKeyPEM: String
}
