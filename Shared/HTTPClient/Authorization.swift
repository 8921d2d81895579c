/// Credentials of an outgoing request. Never shows its secret: descriptions, mirrors and so every log and
/// error say only the kind.
package enum Authorization: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// - Precondition of servers, not checked: the user name has no colon.
    case basic(user: String, password: String)
    /// Elasticsearch's `ApiKey`: the text that `_security/api_key` calls `encoded`.
    case apiKey(encoded: String)
    case bearer(token: String)

    package var description: String {
        switch self {
        case .basic: "Basic <redacted>"
        case .apiKey: "ApiKey <redacted>"
        case .bearer: "Bearer <redacted>"
        }
    }

    package var debugDescription: String { self.description }
    package var customMirror: Mirror { Mirror(reflecting: self.description) }

    /// The value of the `Authorization` field: a secret.
    var headerValue: String {
        switch self {
        case .basic(let user, let password): "Basic " + Self.base64(Array("\(user):\(password)".utf8))
        case .apiKey(let encoded): "ApiKey " + encoded
        case .bearer(let token): "Bearer " + token
        }
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = (0..<3).reduce(UInt32(0)) { $0 << 8 | ($1 < group.count ? UInt32(group[start + $1]) : 0) }
            for digit in 0..<4 {
                text.append(
                    digit <= group.count ? alphabet[Int(bits >> UInt32(18 - 6 * digit)) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
