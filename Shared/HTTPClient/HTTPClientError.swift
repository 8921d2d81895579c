/// A request got no answer. Says nothing secret: the URL is without user-info, query and fragment.
package struct HTTPClientError: Error, Equatable, CustomStringConvertible {
    package enum Code: String, Hashable, Sendable {
        /// The name does not resolve or nobody accepts the connection: the request was not sent.
        case unreachable
        /// The connection ended before the answer did: the request may or may not have taken effect.
        case brokenConnection
        /// No complete answer in time: the request may or may not have taken effect.
        case timeout
        /// Certificates, host name or versions do not fit. A person has to look.
        case tls
        /// The request or the answer exceeds its bound.
        case tooLarge
        /// The address is in a private network and the client connects to public ones only.
        case forbidden
        /// The calling task was cancelled, or the client was shut down.
        case cancelled
        /// Anything else: a malformed URL or header, a protocol error, too many requests under way.
        case other
    }

    package var code: Code
    package var method: HTTPMethod
    /// Scheme, host, port and path.
    package var url: String
    package var detail: String
    /// Whether the same request may succeed later without anyone's intervention.
    package var isRetriable: Bool

    package init(code: Code, method: HTTPMethod, url: String, detail: String, isRetriable: Bool? = nil) {
        self.code = code
        self.method = method
        self.url = Self.withoutSecrets(url)
        self.detail = detail
        self.isRetriable = isRetriable ?? Self.isRetriable(code)
    }

    package var description: String { "\(self.method.rawValue) \(self.url): \(self.detail)" }

    private static func isRetriable(_ code: Code) -> Bool {
        switch code {
        case .unreachable, .brokenConnection, .timeout: true
        case .tls, .tooLarge, .forbidden, .cancelled, .other: false
        }
    }

    /// `url` without user-info, query and fragment, for logs and errors.
    package static func withoutSecrets(_ url: String) -> String {
        let visible = url.prefix { $0 != "?" && $0 != "#" }
        guard let schemeEnd = visible.firstRange(of: "://")?.upperBound else {
            // Without a scheme anything before an @ may be a password.
            return String(
                visible[(visible.lastIndex(of: "@").map { visible.index(after: $0) } ?? visible.startIndex)...])
        }
        let authority = visible[schemeEnd...].prefix { $0 != "/" }
        guard let at = authority.lastIndex(of: "@") else { return String(visible) }
        return String(visible[..<schemeEnd] + visible[visible.index(after: at)...])
    }
}
