package import EscapementModel
import JSON

/// Gets access tokens by OAuth 2's client-credentials grant (RFC 6749, section 4.4).
package struct ClientCredentials: Sendable {
    /// A token and until when it is good.
    package struct Token: Sendable {
        /// Never logged.
        package var value: String
        /// The `sub` of a JWT; `nil` for tokens that cannot be read.
        package var subject: String?
        package var expiresAt: WallInstant
    }

    /// The answer's size, bytes.
    private static let answerByteCountMax = 256 * 1024
    /// What a token lasts whose answer does not say.
    private static let lifeDefault = Duration.seconds(300)

    package var endpoint: String
    package var clientID: String
    package var clientSecret: String
    package var scope: String?

    package init(endpoint: String, clientID: String, clientSecret: String, scope: String? = nil) {
        self.endpoint = endpoint
        self.clientID = clientID
        self.clientSecret = clientSecret
        self.scope = scope
    }

    /// Asks the token endpoint.
    ///
    /// - Throws: `HTTPClientError`; `ClientCredentialsError` with the endpoint's reason, which is no secret.
    package func token(
        client: HTTPClient, clocks: some Clocks, timeout: Duration = .seconds(10)
    ) async throws -> Token {
        var form = "grant_type=client_credentials"
        if let scope = self.scope { form += "&scope=\(Self.escaped(scope))" }
        let asked = clocks.wallNow()
        let answer = try await client.send(
            HTTPRequest(
                .post, self.endpoint,
                headers: ["Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"],
                body: Array(form.utf8), timeout: timeout, responseByteCountMax: Self.answerByteCountMax,
                authorization: .basic(user: Self.escaped(self.clientID), password: Self.escaped(self.clientSecret))))
        let document: JSONValue
        do {
            document = try JSONParser.parse(answer.body)
        } catch {
            throw self.refusal("status \(answer.status), and the answer is no JSON")
        }
        guard answer.isSuccess, let value = document["access_token"]?.stringValue, !value.isEmpty else {
            let code = document["error"]?.stringValue ?? "no access_token"
            let detail = document["error_description"]?.stringValue.map { ": \($0)" } ?? ""
            throw self.refusal("status \(answer.status), \(code)\(detail)")
        }
        if let type = document["token_type"]?.stringValue, type.lowercased() != "bearer" {
            throw self.refusal("the token is of type \(type), not Bearer")
        }
        let life = document["expires_in"]?.doubleValue.map { Duration.seconds(max(1, $0)) } ?? Self.lifeDefault
        return Token(value: value, subject: Self.subject(of: value), expiresAt: asked.advanced(by: life))
    }

    private func refusal(_ reason: String) -> ClientCredentialsError {
        ClientCredentialsError(reason: "\(HTTPClientError.withoutSecrets(self.endpoint)): \(reason)")
    }

    /// Form encoding, as the grant wants it also within Basic (RFC 6749, section 2.3.1).
    private static func escaped(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var result = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                result += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
        return result
    }

    /// Read without any check: it names the client in logs, and the broker decides what the token is worth.
    private static func subject(of token: String) -> String? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let claims = self.decoded(parts[1]) else { return nil }
        do { return try JSONParser.parse(claims)["sub"]?.stringValue } catch { return nil }
    }

    /// Base64 with the URL alphabet, without padding.
    private static func decoded(_ text: Substring) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for digit in text.utf8 {
            let value: UInt32
            switch digit {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(digit) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(digit) - 97 + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(digit) - 48 + 52
            case UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "_"): value = 63
            default: return nil
            }
            bits = bits << 6 | value
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return bytes
    }
}

/// A token endpoint gave no token.
package struct ClientCredentialsError: Error, Equatable, CustomStringConvertible {
    package var reason: String

    package init(reason: String) { self.reason = reason }

    package var description: String { "the token endpoint refused: \(self.reason)" }
}
