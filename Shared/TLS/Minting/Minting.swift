import COpenSSL
import EscapementModel

/// The steps of making a certificate, over libcrypto.
enum Minting {
    /// Bytes of a serial number: unique without a register (CA/Browser Forum asks for 8 at least).
    private static let serialLength = 16

    static func makeKey() throws(TLSError) -> PrivateKeyBox {
        LibraryErrors.clear()
        guard let handle = cossl_generate_p256() else { throw self.fault("key") }
        return PrivateKeyBox(owning: handle)
    }

    /// A certificate with everything but issuer, extensions and signature.
    static func makeCertificate(
        subject: String, key: PrivateKeyBox, notBefore: WallInstant, validity: Duration
    ) throws(TLSError) -> CertificateBox {
        LibraryErrors.clear()
        guard let handle = X509_new() else { throw self.fault("certificate") }
        let certificate = CertificateBox(owning: handle)
        try self.check(X509_set_version(handle, Int(X509_VERSION_3)), "version")
        try self.setSerial(of: handle)
        try self.set(X509_getm_notBefore(handle), to: notBefore)
        try self.set(X509_getm_notAfter(handle), to: notBefore.advanced(by: validity))
        let name = X509_get_subject_name(handle)
        try self.check(
            X509_NAME_add_entry_by_NID(
                name, NID_commonName, MBSTRING_UTF8, Array(subject.utf8), Int32(subject.utf8.count), -1, 0),
            "common name")
        try self.check(X509_set_pubkey(handle, key.handle), "public key")
        return certificate
    }

    static func add(
        _ extensionID: Int32, _ value: String, to certificate: CertificateBox, issuer: CertificateBox
    ) throws(TLSError) {
        try self.check(
            cossl_add_extension(certificate.handle, issuer.handle, extensionID, value), "extension \(extensionID)")
    }

    static func setAlternativeNames(of certificate: CertificateBox, _ request: CertificateRequest) throws(TLSError) {
        guard let names = cossl_names_new() else { throw self.fault("names") }
        defer { cossl_names_free(names) }
        let all =
            request.dnsNames.map { (GEN_DNS, $0) } + request.ipAddresses.map { (GEN_IPADD, $0) }
            + request.uris.map { (GEN_URI, $0) }
        for (type, text) in all {
            guard !text.isEmpty, text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
                throw TLSError(.invalidConfiguration, subject: text, reason: "is no name for a certificate")
            }
            try self.check(cossl_names_add(names, type, text), text)
        }
        if !all.isEmpty { try self.check(cossl_names_set(certificate.handle, names), "names") }
    }

    static func sign(_ certificate: CertificateBox, with key: PrivateKeyBox) throws(TLSError) {
        // The result is the signature's length.
        try self.check(min(X509_sign(certificate.handle, key.handle, EVP_sha256()), 1), "signature")
    }

    static func pem(_ certificate: CertificateBox) throws(TLSError) -> String {
        try self.text { PEM_write_bio_X509($0, certificate.handle) }
    }

    static func pem(_ key: PrivateKeyBox) throws(TLSError) -> String {
        try self.text { PEM_write_bio_PKCS8PrivateKey($0, key.handle, nil, nil, 0, nil, nil) }
    }

    /// - Throws: `TLSError` naming `what` when `result` is not 1.
    static func check(_ result: Int32, _ what: String) throws(TLSError) {
        guard result == 1 else { throw self.fault(what) }
    }

    private static func fault(_ what: String) -> TLSError {
        TLSError(.invalidConfiguration, subject: what, reason: LibraryErrors.take())
    }

    private static func setSerial(of handle: OpaquePointer) throws(TLSError) {
        var bytes = randomBytes(self.serialLength)
        // Positive, and never with a leading zero byte.
        bytes[0] = bytes[0] & 0x7f | 0x40
        guard let number = BN_bin2bn(bytes, Int32(bytes.count), nil) else { throw self.fault("serial number") }
        defer { BN_free(number) }
        guard BN_to_ASN1_INTEGER(number, X509_get_serialNumber(handle)) != nil else {
            throw self.fault("serial number")
        }
    }

    private static func set(_ time: UnsafeMutablePointer<ASN1_TIME>?, to instant: WallInstant) throws(TLSError) {
        guard ASN1_TIME_set(time, Int(instant.milliseconds / 1000)) != nil else { throw self.fault("validity") }
    }

    private static func text(_ write: (OpaquePointer) -> Int32) throws(TLSError) -> String {
        LibraryErrors.clear()
        guard let bio = BIO_new(BIO_s_mem()) else { throw self.fault("memory") }
        defer { BIO_free(bio) }
        try self.check(write(bio), "PEM text")
        var data: UnsafeMutablePointer<CChar>?
        let length = cossl_bio_mem_data(bio, &data)
        return String(decoding: UnsafeRawBufferPointer(start: data, count: max(length, 0)), as: UTF8.self)
    }
}
