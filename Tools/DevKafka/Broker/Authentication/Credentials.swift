import TLS

/// Who may log in.
package struct Credentials: Sendable {
    /// Passwords by user name.
    package var passwords: [String: String]
    /// Bearer tokens that OAUTHBEARER accepts, with the user each stands for. Without any, the mechanism is not offered.
    package var bearerTokens: [String: String]

    package init(passwords: [String: String] = [:], bearerTokens: [String: String] = [:]) {
        self.passwords = passwords
        self.bearerTokens = bearerTokens
    }

    /// Reads lines of `user:password`; empty lines and those that begin with `#` are skipped.
    ///
    /// - Throws: `CredentialsError` naming the line, never its content.
    package init(lines text: String) throws(CredentialsError) {
        self.init()
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else {
                throw CredentialsError(line: index + 1, reason: "must be user:password")
            }
            let user = String(line[..<colon])
            guard self.passwords.updateValue(String(line[line.index(after: colon)...]), forKey: user) == nil else {
                throw CredentialsError(line: index + 1, reason: "names a user a second time")
            }
        }
    }

    var mechanisms: [SASLMechanism] {
        SASLMechanism.allCases.filter { $0 != .oauthBearer || !self.bearerTokens.isEmpty }
    }
}

/// A users file that cannot be read.
package struct CredentialsError: Error, CustomStringConvertible {
    package var line: Int
    package var reason: String

    package var description: String { "line \(self.line) of the users file \(self.reason)" }
}
