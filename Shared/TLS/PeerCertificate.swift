import COpenSSL
package import EscapementModel

/// What a verified certificate says, as values.
package struct PeerCertificate: Equatable, Sendable {
    /// The subject's common name, if it has one.
    package var commonName: String?
    /// URIs of the subject alternative name, in order.
    package var uris: [String]
    /// DNS names of the subject alternative name, in order.
    package var dnsNames: [String]
    /// IP addresses of the subject alternative name: 4 or 16 bytes each.
    package var ipAddresses: [[UInt8]]
    package var notBefore: WallInstant
    package var notAfter: WallInstant
    /// The serial number in hexadecimal, for the log.
    package var serial: String
    /// SHA-256 of the whole certificate.
    package var fingerprint: [UInt8]

    /// - Throws: `TLSError` with code `invalidCertificate`.
    package init(pem: String) throws(TLSError) {
        guard let certificate = CertificateBox.all(inPEM: Array(pem.utf8))?.first else {
            throw TLSError(.invalidCertificate, subject: "PEM text", reason: "holds no certificate")
        }
        self.init(certificate)
    }

    init(_ certificate: CertificateBox) {
        let handle = certificate.handle
        self.commonName = Self.commonName(of: handle)
        self.uris = []
        self.dnsNames = []
        self.ipAddresses = []
        self.notBefore = Self.instant(X509_get0_notBefore(handle))
        self.notAfter = Self.instant(X509_get0_notAfter(handle))
        self.serial = Self.serial(of: handle)
        self.fingerprint = [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { output, count in
            var length: UInt32 = 0
            count = X509_digest(handle, EVP_sha256(), output.baseAddress, &length) == 1 ? Int(length) : 0
        }
        self.readNames(of: handle)
    }

    private mutating func readNames(of handle: OpaquePointer) {
        guard let names = cossl_names_of(handle) else { return }
        defer { cossl_names_free(names) }
        for index in 0..<cossl_names_count(names) {
            var data: UnsafePointer<UInt8>?
            var length: Int32 = 0
            let type = cossl_names_get(names, index, &data, &length)
            let bytes = Array(UnsafeBufferPointer(start: data, count: Int(max(length, 0))))
            // A name with a zero byte is read by some libraries up to it only: nobody issues one in good faith.
            if type == GEN_IPADD {
                self.ipAddresses.append(bytes)
            } else if let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) {
                if type == GEN_URI { self.uris.append(text) }
                if type == GEN_DNS { self.dnsNames.append(text) }
            }
        }
    }

    private static func commonName(of handle: OpaquePointer) -> String? {
        let subject = X509_get_subject_name(handle)
        let index = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
        guard index >= 0, let entry = X509_NAME_get_entry(subject, index) else { return nil }
        var text: UnsafeMutablePointer<UInt8>?
        let length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry))
        guard length >= 0, let text else { return nil }
        defer { CRYPTO_free(text, nil, 0) }
        return String(validating: UnsafeBufferPointer(start: text, count: Int(length)), as: UTF8.self)
    }

    private static func serial(of handle: OpaquePointer) -> String {
        guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(handle), nil) else { return "" }
        defer { BN_free(number) }
        guard let text = BN_bn2hex(number) else { return "" }
        defer { CRYPTO_free(text, nil, 0) }
        return String(cString: text)
    }

    private static func instant(_ time: UnsafePointer<ASN1_TIME>?) -> WallInstant {
        guard let epoch = ASN1_TIME_set(nil, 0) else { return .distantPast }
        defer { ASN1_TIME_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return .distantPast }
        return WallInstant(milliseconds: (Int64(days) * 86400 + Int64(seconds)) * 1000)
    }
}

/// Owns one `X509`.
///
/// Sendable: the handle is only read, and OpenSSL's objects may be read by several threads at a time
/// (openssl-threads(7)); the reference count is atomic.
final class CertificateBox: @unchecked Sendable {
    let handle: OpaquePointer

    /// Takes over the caller's reference.
    init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { X509_free(self.handle) }

    /// Every certificate in PEM text, in order; `nil` when one of them does not parse.
    static func all(inPEM bytes: [UInt8]) -> [CertificateBox]? {
        guard let bio = BIO_new_mem_buf(bytes, Int32(bytes.count)) else { return nil }
        defer { BIO_free(bio) }
        var certificates: [CertificateBox] = []
        LibraryErrors.clear()
        while let handle = cossl_read_certificate(bio) { certificates.append(CertificateBox(owning: handle)) }
        // The loop ends with an error in any case; "no start line" is the end of the text.
        let error = ERR_peek_last_error()
        LibraryErrors.clear()
        let ended = cossl_err_lib(error) == Int32(ERR_LIB_PEM) && cossl_err_reason(error) == PEM_R_NO_START_LINE
        return ended ? certificates : nil
    }
}
