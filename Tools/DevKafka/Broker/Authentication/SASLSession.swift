import NIOCore
import TLS

/// Where one connection stands in logging in.
struct SASLSession {
    enum Step: Equatable {
        case answer([UInt8])
        case complete([UInt8])
        /// Kafka's message to the client; the connection is closed after it.
        case refused(String)
    }

    private enum State {
        /// Next: `exchanging`.
        case waiting
        case scram(SASLMechanism, SCRAMServer)
        case plain
        case bearer
        /// The bearer token was refused; the client owes one more message.
        case bearerRefused
        case complete(user: String)
    }

    private var state = State.waiting
    private(set) var isRaw = false

    /// The user, once logged in.
    var user: String? { if case .complete(let user) = self.state { user } else { nil } }
    var isExchanging: Bool {
        switch self.state {
        case .waiting, .complete: false
        case .scram, .plain, .bearer, .bearerRefused: true
        }
    }

    /// Begins with a mechanism. A client that is logged in may begin again.
    ///
    /// - Parameter isRaw: the tokens come without request headers, as after version 0 of the handshake.
    mutating func begin(_ mechanism: SASLMechanism, isRaw: Bool, credentials: Credentials) {
        self.isRaw = isRaw
        switch mechanism {
        case .plain: self.state = .plain
        case .oauthBearer: self.state = .bearer
        case .scramSHA256, .scramSHA512:
            guard let hash = mechanism.hash else { preconditionFailure("\(mechanism) has no hash") }
            self.state = .scram(mechanism, SCRAMServer(hash: hash) { credentials.passwords[$0] })
        }
    }

    mutating func receive(_ token: ByteBuffer, credentials: Credentials) -> Step {
        let text = String(buffer: token)
        switch self.state {
        case .waiting, .complete:
            return .refused("no mechanism was chosen")
        case .plain:
            return self.plain(text, credentials)
        case .bearer:
            return self.bearer(text, credentials)
        case .bearerRefused:
            self.state = .waiting
            return .refused("{\"status\":\"invalid_token\"}")
        case .scram(let mechanism, var server):
            guard let (answer, isComplete) = server.receive(text) else {
                self.state = .waiting
                return .refused(
                    "Authentication failed during authentication due to invalid credentials with SASL mechanism "
                        + mechanism.rawValue)
            }
            self.state = isComplete ? .complete(user: server.user) : .scram(mechanism, server)
            return isComplete ? .complete(Array(answer.utf8)) : .answer(Array(answer.utf8))
        }
    }

    /// Authorization id, user and password, each behind a NUL (RFC 4616).
    private mutating func plain(_ text: String, _ credentials: Credentials) -> Step {
        let fields = text.split(separator: "\0", omittingEmptySubsequences: false)
        self.state = .waiting
        guard fields.count == 3, let password = credentials.passwords[String(fields[1])],
            constantTimeEquals(Array(password.utf8), Array(fields[2].utf8)),
            fields[0].isEmpty || fields[0] == fields[1]
        else { return .refused("Authentication failed: Invalid username or password") }
        self.state = .complete(user: String(fields[1]))
        return .complete([])
    }

    /// `n,,^Aauth=Bearer TOKEN^A^A` (RFC 7628).
    private mutating func bearer(_ text: String, _ credentials: Credentials) -> Step {
        let prefix = "auth=Bearer "
        let token = text.split(separator: "\u{1}").first { $0.hasPrefix(prefix) }?.dropFirst(prefix.count)
        guard let token, let user = credentials.bearerTokens[String(token)] else {
            self.state = .bearerRefused
            return .answer(Array("{\"status\":\"invalid_token\"}".utf8))
        }
        self.state = .complete(user: user)
        return .complete([])
    }
}
