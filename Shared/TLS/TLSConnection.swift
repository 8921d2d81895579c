import COpenSSL
import NIOCore

/// One TLS session over buffers: bytes of the network in and out at one side, plain bytes at the other.
///
/// Does no IO and knows no time; confined to the event loop of its `TLSHandler`. OpenSSL reads from `inbox`
/// and writes to `outbox` through a BIO of our own, because `BIO_s_mem` grows by copying and halves the
/// throughput of bulk data.
final class TLSConnection {
    /// The largest plaintext of one record, in bytes (RFC 8446, section 5.1).
    static let recordMax = 16 * 1024

    enum Outcome {
        case complete
        /// More bytes are needed.
        case incomplete
        /// The peer said close_notify.
        case closed
        case failed(TLSError)
    }

    /// Sessions may outlive a reload: this keeps what the ALPN callback points to.
    private let context: TLSContext
    private let handle: OpaquePointer
    private let wire: Wire
    private var hasReceivedData = false
    private var isHandshakeComplete = false
    /// After a fatal error libssl must not be asked for anything any more.
    private var isFailed = false

    /// - Parameter serverName: for clients, the DNS name or IP address that the certificate must show;
    ///   `nil` checks only the chain.
    init(context: TLSContext, serverName: String?) throws(TLSError) {
        LibraryErrors.clear()
        guard let handle = SSL_new(context.handle) else {
            throw TLSError(.handshakeFailed, reason: LibraryErrors.take())
        }
        self.context = context
        self.handle = handle
        self.wire = Wire()
        guard let bio = BIO_new(Wire.method) else {
            throw TLSError(.handshakeFailed, reason: LibraryErrors.take())
        }
        BIO_set_data(bio, Unmanaged.passUnretained(self.wire).toOpaque())
        BIO_set_init(bio, 1)
        // One BIO for both directions: SSL takes over the one reference, and SSL_free frees it.
        SSL_set_bio(handle, bio, bio)
        switch context.configuration.role {
        case .server:
            SSL_set_accept_state(handle)
        case .client:
            SSL_set_connect_state(handle)
            if let serverName { try Self.expect(serverName, in: handle) }
        }
    }

    deinit { SSL_free(self.handle) }

    private static func expect(_ serverName: String, in handle: OpaquePointer) throws(TLSError) {
        let accepted: Bool
        if serverName.isEmpty || serverName.utf8.contains(0) {
            accepted = false
        } else if cossl_is_ip_address(serverName) == 1 {
            // An address is no server name (RFC 6066, section 3): none is sent.
            accepted = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(handle), serverName) == 1
        } else {
            SSL_set_hostflags(handle, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            accepted = cossl_set_server_name(handle, serverName) == 1 && SSL_set1_host(handle, serverName) == 1
        }
        LibraryErrors.clear()
        if !accepted { throw TLSError(.handshakeFailed, subject: serverName, reason: "cannot be a server name") }
    }

    // MARK: The network's side

    /// Takes bytes from the network; they are used by the next `handshake` or `read`.
    func receive(_ bytes: ByteBuffer) {
        if self.wire.inbox.readableBytes == 0 {
            self.wire.inbox = bytes
        } else {
            self.wire.inbox.writeImmutableBuffer(bytes)
        }
    }

    /// Bytes received and not yet taken by libssl.
    var inboundByteCount: Int { self.wire.inbox.readableBytes }

    /// Bytes waiting for the network.
    var outboundByteCount: Int { self.wire.outbox.readableBytes }

    /// What is to be sent to the network; to be asked for after every other call.
    func takeOutbound() -> ByteBuffer? {
        guard self.wire.outbox.readableBytes > 0 else { return nil }
        defer { self.wire.outbox = ByteBuffer() }
        return self.wire.outbox
    }

    // MARK: The plain side

    /// Continues the handshake with what has been received.
    func handshake() -> Outcome {
        if self.isHandshakeComplete { return .complete }
        LibraryErrors.clear()
        let result = SSL_do_handshake(self.handle)
        guard result == 1 else { return self.outcome(of: result, during: .handshakeFailed) }
        self.isHandshakeComplete = true
        return .complete
    }

    /// Appends all that can be decrypted to `plain`. `complete` is never the outcome.
    func read(into plain: inout ByteBuffer) -> Outcome {
        guard !self.isFailed else { return .incomplete }
        while true {
            var count = 0
            var result: Int32 = 0
            LibraryErrors.clear()
            if plain.writableBytes == 0 { plain.reserveCapacity(minimumWritableBytes: Self.recordMax) }
            plain.writeWithUnsafeMutableBytes(minimumWritableBytes: 1) { space in
                result = SSL_read_ex(self.handle, space.baseAddress, space.count, &count)
                return result == 1 ? count : 0
            }
            guard result == 1 else {
                // In TLS 1.3 a client is done before the server has judged its certificate: an alert in place of
                // the first data is the refusal.
                let refused = self.context.configuration.role == .client && !self.hasReceivedData
                return self.outcome(of: result, during: refused ? .handshakeFailed : .connectionFailed)
            }
            self.hasReceivedData = true
        }
    }

    /// Encrypts all of `bytes`, in records of up to 16 KiB. The BIO takes everything, so it never blocks.
    func write(_ bytes: UnsafeRawBufferPointer) -> TLSError? {
        self.wire.reserve(bytes.count)
        var rest = bytes
        while rest.count > 0 {
            var count = 0
            LibraryErrors.clear()
            let result = SSL_write_ex(self.handle, rest.baseAddress, rest.count, &count)
            guard result == 1 else {
                switch self.outcome(of: result, during: .connectionFailed) {
                case .failed(let error): return error
                case .complete, .incomplete, .closed:
                    return TLSError(.connectionFailed, reason: "libssl did not take what it was given")
                }
            }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
        return nil
    }

    /// Says close_notify, once. Nothing can be written afterwards; reading goes on.
    func sendCloseNotify() {
        guard self.isHandshakeComplete, !self.isFailed, SSL_get_shutdown(self.handle) & SSL_SENT_SHUTDOWN == 0 else {
            return
        }
        LibraryErrors.clear()
        _ = SSL_shutdown(self.handle)
        LibraryErrors.clear()
    }

    // MARK: What was agreed

    /// The ALPN name agreed on.
    var negotiatedProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var length: UInt32 = 0
        SSL_get0_alpn_selected(self.handle, &name, &length)
        guard let name, length > 0 else { return nil }
        return String(validating: UnsafeBufferPointer(start: name, count: Int(length)), as: UTF8.self)
    }

    /// `TLSv1.3` or `TLSv1.2`.
    var version: String { String(cString: SSL_get_version(self.handle)) }

    var peerCertificate: PeerCertificate? {
        SSL_get1_peer_certificate(self.handle).map { PeerCertificate(CertificateBox(owning: $0)) }
    }

    private func outcome(of result: Int32, during code: TLSError.Code) -> Outcome {
        switch SSL_get_error(self.handle, result) {
        case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE:
            return .incomplete
        case SSL_ERROR_ZERO_RETURN:
            return .closed
        default:
            self.isFailed = true
            let isAlert = cossl_err_reason(ERR_peek_error()) >= SSL_AD_REASON_OFFSET
            // Without an alert, bytes after the handshake are simply not TLS.
            let code = self.isHandshakeComplete && !isAlert ? .connectionFailed : code
            let verification = SSL_get_verify_result(self.handle)
            if !self.isHandshakeComplete, verification != Int(X509_V_OK) {
                LibraryErrors.clear()
                let reason = String(cString: X509_verify_cert_error_string(verification))
                return .failed(TLSError(code, reason: "the peer's certificate: \(reason)"))
            }
            return .failed(TLSError(code, reason: LibraryErrors.take()))
        }
    }
}

/// The two buffers between libssl and the network.
private final class Wire {
    var inbox = ByteBuffer()
    var outbox = ByteBuffer()

    /// Beside the plaintext of several records, in bytes: their headers and tags.
    private static let overheadMax = 256
    /// The outbox's first size, in bytes: one full record.
    private static let outboxCapacity = TLSConnection.recordMax + Wire.overheadMax

    /// For so many bytes of plaintext; it would be moved each time it grows.
    func reserve(_ count: Int) {
        if count > TLSConnection.recordMax {
            self.outbox.reserveCapacity(minimumWritableBytes: count + Self.overheadMax)
        }
    }

    /// The BIO's functions. Made once, never changed, read by all threads.
    nonisolated(unsafe) static let method: OpaquePointer? = {
        let type = BIO_get_new_index() | BIO_TYPE_SOURCE_SINK
        guard let method = BIO_meth_new(type, "byte buffers") else { return nil }
        BIO_meth_set_read_ex(method) { bio, data, capacity, count in
            guard let wire = Wire.of(bio), let data else { return 0 }
            return wire.read(into: UnsafeMutableRawBufferPointer(start: data, count: capacity), count, bio)
        }
        BIO_meth_set_write_ex(method) { bio, data, length, count in
            guard let wire = Wire.of(bio), let data else { return 0 }
            if wire.outbox.capacity == 0 { wire.outbox.reserveCapacity(Wire.outboxCapacity) }
            wire.outbox.writeBytes(UnsafeRawBufferPointer(start: data, count: length))
            count?.pointee = length
            return 1
        }
        BIO_meth_set_ctrl(method) { _, command, _, _ in command == COSSL_BIO_CTRL_FLUSH ? 1 : 0 }
        return method
    }()

    private static func of(_ bio: OpaquePointer?) -> Wire? {
        BIO_get_data(bio).map { Unmanaged<Wire>.fromOpaque($0).takeUnretainedValue() }
    }

    private func read(
        into space: UnsafeMutableRawBufferPointer, _ count: UnsafeMutablePointer<Int>?, _ bio: OpaquePointer?
    ) -> Int32 {
        cossl_bio_clear_retry(bio)
        let length = min(space.count, self.inbox.readableBytes)
        guard length > 0 else {
            // Without this OpenSSL takes an empty inbox for the end of the stream.
            cossl_bio_set_retry_read(bio)
            return 0
        }
        self.inbox.readWithUnsafeReadableBytes { bytes in
            space.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<length]))
            return length
        }
        if self.inbox.readableBytes == 0 { self.inbox = ByteBuffer() }
        count?.pointee = length
        return 1
    }
}
