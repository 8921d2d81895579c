import COpenSSL
package import EscapementModel

/// Certificates, key and rules of one role, read and checked; the source of connections.
///
/// Never changes: a reload makes a new one, and connections keep the one they began with.
/// Sendable: after `init` the `SSL_CTX` is only read, and `SSL_new` on one context from several threads
/// is what OpenSSL allows (openssl-threads(7)).
package final class TLSContext: @unchecked Sendable {
    /// Chains longer than this are refused, in certificates between leaf and root.
    private static let chainDepthMax: Int32 = 8

    package let configuration: TLSConfiguration
    /// The own certificate, for the metric of seconds to expiry; `nil` for a client that shows none.
    package let certificate: PeerCertificate?
    let handle: OpaquePointer
    /// The server's ALPN choice reads this through a plain pointer: it lives as long as the context, and
    /// every connection keeps its context.
    private let protocols: ProtocolList

    /// Reads and checks everything that `configuration` names.
    ///
    /// - Parameter now: refuses a certificate that is over by then; `nil` for no such check.
    /// - Throws: `TLSError`, one of the codes about files and configuration.
    package convenience init(_ configuration: TLSConfiguration, now: WallInstant? = nil) throws(TLSError) {
        try configuration.validate()
        try self.init(configuration, material: TLSMaterial(reading: configuration), now: now)
    }

    init(_ configuration: TLSConfiguration, material: TLSMaterial, now: WallInstant?) throws(TLSError) {
        try configuration.validate()
        LibraryErrors.clear()
        let method = configuration.role == .server ? TLS_server_method() : TLS_client_method()
        guard let handle = SSL_CTX_new(method) else {
            throw TLSError(.invalidConfiguration, subject: "libssl", reason: LibraryErrors.take())
        }
        self.handle = handle
        self.configuration = configuration
        self.protocols = ProtocolList(configuration.applicationProtocolList)
        var certificate: PeerCertificate?
        // From here on the properties are set, so a throw runs `deinit`, which frees the handle.
        var failure: TLSError?
        do throws(TLSError) {
            try Self.applyRules(to: handle, configuration)
            if let chain = material.certificateChain, let key = material.privateKey {
                certificate = try Self.useIdentity(in: handle, configuration, chain: chain, key: key, now: now)
            }
            try Self.applyTrust(to: handle, configuration, trust: material.trust)
        } catch {
            failure = error
        }
        self.certificate = certificate
        if let failure { throw failure }
        self.applyProtocols()
    }

    deinit { SSL_CTX_free(self.handle) }

    private static func applyRules(to handle: OpaquePointer, _ configuration: TLSConfiguration) throws(TLSError) {
        cossl_ctx_set_defaults(handle, configuration.releasesIdleBuffers ? 1 : 0)
        guard cossl_ctx_set_min_version(handle, configuration.minimumVersion.number) == 1,
            cossl_ctx_set_max_version(handle, configuration.maximumVersion.number) == 1,
            // The suites of 1.2: ephemeral keys and authenticated encryption only. 1.3 has no others.
            SSL_CTX_set_cipher_list(handle, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1
        else { throw TLSError(.invalidConfiguration, subject: "versions", reason: LibraryErrors.take()) }
        SSL_CTX_set_default_passwd_cb(handle) { _, _, _, _ in -1 }
        SSL_CTX_set_verify_depth(handle, Self.chainDepthMax)
    }

    private static func useIdentity(
        in handle: OpaquePointer, _ configuration: TLSConfiguration, chain: [UInt8], key: [UInt8], now: WallInstant?
    ) throws(TLSError) -> PeerCertificate {
        let chainName = configuration.certificateChain.map(\.description) ?? ""
        let keyName = configuration.privateKey.map(\.description) ?? ""
        guard let certificates = CertificateBox.all(inPEM: chain) else {
            throw TLSError(.invalidCertificate, subject: chainName, reason: "does not parse as PEM certificates")
        }
        guard let leaf = certificates.first else {
            throw TLSError(.invalidCertificate, subject: chainName, reason: "holds no certificate")
        }
        LibraryErrors.clear()
        guard SSL_CTX_use_certificate(handle, leaf.handle) == 1 else {
            throw TLSError(.invalidCertificate, subject: chainName, reason: LibraryErrors.take())
        }
        for issuer in certificates.dropFirst() {
            guard cossl_ctx_add_chain_certificate(handle, issuer.handle) == 1 else {
                throw TLSError(.invalidCertificate, subject: chainName, reason: LibraryErrors.take())
            }
        }
        let privateKey = try PrivateKeyBox(pem: key, subject: keyName)
        LibraryErrors.clear()
        guard X509_check_private_key(leaf.handle, privateKey.handle) == 1 else {
            throw TLSError(.keyMismatch, subject: keyName, reason: "is not the key of \(chainName)")
        }
        guard SSL_CTX_use_PrivateKey(handle, privateKey.handle) == 1, SSL_CTX_check_private_key(handle) == 1 else {
            throw TLSError(.invalidKey, subject: keyName, reason: LibraryErrors.take())
        }
        let certificate = PeerCertificate(leaf)
        if let now, certificate.notAfter < now {
            throw TLSError(.expired, subject: chainName, reason: "was valid until \(certificate.notAfter)")
        }
        return certificate
    }

    private static func applyTrust(
        to handle: OpaquePointer, _ configuration: TLSConfiguration, trust: [UInt8]?
    ) throws(TLSError) {
        guard configuration.needsTrust, let trust else {
            SSL_CTX_set_verify(handle, SSL_VERIFY_NONE, nil)
            return
        }
        let name = configuration.trust.map(\.description) ?? ""
        guard let authorities = CertificateBox.all(inPEM: trust) else {
            throw TLSError(.invalidTrust, subject: name, reason: "does not parse as PEM certificates")
        }
        if authorities.isEmpty { throw TLSError(.invalidTrust, subject: name, reason: "holds no certificate") }
        let store = SSL_CTX_get_cert_store(handle)
        for authority in authorities {
            LibraryErrors.clear()
            guard X509_STORE_add_cert(store, authority.handle) == 1 else {
                throw TLSError(.invalidTrust, subject: name, reason: LibraryErrors.take())
            }
            if configuration.role == .server { SSL_CTX_add_client_CA(handle, authority.handle) }
        }
        SSL_CTX_set_verify(handle, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
    }

    private func applyProtocols() {
        guard !self.configuration.applicationProtocols.isEmpty else { return }
        switch self.configuration.role {
        case .client:
            SSL_CTX_set_alpn_protos(self.handle, self.protocols.bytes, UInt32(self.protocols.bytes.count))
        case .server:
            SSL_CTX_set_alpn_select_cb(
                self.handle,
                { _, chosen, chosenLength, offered, offeredLength, list in
                    guard let list else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                    let wanted = Unmanaged<ProtocolList>.fromOpaque(list).takeUnretainedValue().bytes
                    // What is selected points into `offered`, which outlives the call, unlike `wanted`: so the
                    // own list is matched by hand rather than with SSL_select_next_proto.
                    return ProtocolList.select(
                        wanted, from: UnsafeBufferPointer(start: offered, count: Int(offeredLength)),
                        into: chosen, length: chosenLength)
                }, Unmanaged.passUnretained(self.protocols).toOpaque())
        }
    }
}

extension TLSConfiguration.Version {
    fileprivate var number: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// An ALPN list in wire form, at a stable address.
final class ProtocolList: Sendable {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Chooses the first of `wanted` that is offered; a fatal alert when there is none.
    static func select(
        _ wanted: [UInt8], from offered: UnsafeBufferPointer<UInt8>,
        into chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?, length: UnsafeMutablePointer<UInt8>?
    ) -> Int32 {
        for name in self.names(in: wanted[...]) {
            for range in self.ranges(in: offered) where offered[range].elementsEqual(name) {
                chosen?.pointee = offered.baseAddress.map { $0 + range.lowerBound }
                length?.pointee = UInt8(range.count)
                return SSL_TLSEXT_ERR_OK
            }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }

    private static func names(in list: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        list.withUnsafeBufferPointer { bytes in
            self.ranges(in: bytes).map { list[(list.startIndex + $0.lowerBound)..<(list.startIndex + $0.upperBound)] }
        }
    }

    /// Where the names stand in a list of length-prefixed names; stops at one that overruns the end.
    private static func ranges(in list: UnsafeBufferPointer<UInt8>) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var index = 0
        while index < list.count {
            let end = index + 1 + Int(list[index])
            guard end <= list.count else { break }
            ranges.append(index + 1..<end)
            index = end
        }
        return ranges
    }
}

/// Owns one `EVP_PKEY`.
///
/// Sendable: the key is only read, which OpenSSL allows from several threads (openssl-threads(7)).
final class PrivateKeyBox: @unchecked Sendable {
    let handle: OpaquePointer

    init(owning handle: OpaquePointer) { self.handle = handle }

    /// - Throws: `TLSError` with code `invalidKey`, naming `subject`.
    init(pem: [UInt8], subject: String) throws(TLSError) {
        guard let bio = BIO_new_mem_buf(pem, Int32(pem.count)) else {
            throw TLSError(.invalidKey, subject: subject, reason: "no memory")
        }
        defer { BIO_free(bio) }
        LibraryErrors.clear()
        guard let handle = cossl_read_private_key(bio) else {
            // The reason of the library could quote what it read.
            LibraryErrors.clear()
            throw TLSError(.invalidKey, subject: subject, reason: "does not parse as a PEM key without a password")
        }
        self.handle = handle
    }

    deinit { EVP_PKEY_free(self.handle) }
}
