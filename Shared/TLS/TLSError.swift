import COpenSSL

/// Why certificates cannot be used, or a connection is not (or no longer) secure. Never holds key bytes.
package struct TLSError: Error, Equatable, Sendable {
    package enum Code: String, Sendable {
        /// A file cannot be read. Retry after a while: it may be in the middle of a rotation.
        case unreadable
        /// The certificate chain does not parse, or a leaf certificate is missing.
        case invalidCertificate
        /// The private key does not parse, or is protected by a password.
        case invalidKey
        /// The private key belongs to another certificate. In a rotation: read both again.
        case keyMismatch
        /// The file of trusted authorities holds none, or does not parse.
        case invalidTrust
        /// The certificate's time is over.
        case expired
        /// Settings contradict one another, or libssl refuses them.
        case invalidConfiguration
        /// The peer did not prove who it is, refused us, or speaks no common version or protocol.
        case handshakeFailed
        /// The peer did not finish the handshake in time.
        case handshakeTimedOut
        /// The connection ended without close_notify: what came last may be missing.
        case truncated
        /// Bytes that no peer of an intact connection sends, or an alert in mid-connection.
        case connectionFailed
    }

    package var code: Code
    /// The file, or which part of the configuration; empty for connections.
    package var subject: String
    /// What is wrong, for the log.
    package var reason: String

    package init(_ code: Code, subject: String = "", reason: String) {
        self.code = code
        self.subject = subject
        self.reason = reason
    }
}

extension TLSError: CustomStringConvertible {
    package var description: String {
        self.subject.isEmpty
            ? "\(self.code.rawValue): \(self.reason)" : "\(self.code.rawValue): \(self.subject): \(self.reason)"
    }
}

/// The error queue of libcrypto: one for each thread, shared by all connections of an event loop.
enum LibraryErrors {
    /// To be called before every call whose error code will be asked for: a stale entry would fail
    /// the wrong connection.
    static func clear() { ERR_clear_error() }

    /// The oldest reason in the queue, in OpenSSL's words; empties the queue.
    static func take() -> String {
        let code = ERR_get_error()
        defer { ERR_clear_error() }
        guard code != 0 else { return "no reason given" }
        if let reason = ERR_reason_error_string(code) { return String(cString: reason) }
        return "library \(cossl_err_lib(code)), reason \(cossl_err_reason(code))"
    }
}
