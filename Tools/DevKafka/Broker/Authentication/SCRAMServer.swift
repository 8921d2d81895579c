import TLS

/// The server's side of one SCRAM exchange (RFC 5802, RFC 7677), without channel binding.
struct SCRAMServer {
    /// As many as Kafka's own tool takes for new users.
    static let iterationCount = 4096
    private static let saltByteCount = 16
    private static let nonceByteCount = 18

    private enum State {
        case initial
        case challenged(authMessagePrefix: String, nonce: String, salted: [UInt8]?)
        case ended
    }

    private let hash: HashFunction
    private let password: (String) -> String?
    private var state = State.initial
    private(set) var user = ""

    /// - Parameter password: of a user; `nil` when there is no such user.
    init(hash: HashFunction, password: @escaping (String) -> String?) {
        self.hash = hash
        self.password = password
    }

    /// Takes the client's next message; returns the answer, and whether the client has proven who it is.
    /// `nil` is a refusal, the same for a wrong password, an unknown user and a malformed message.
    mutating func receive(_ message: String) -> (answer: String, isComplete: Bool)? {
        defer { if case .challenged = self.state {} else { self.state = .ended } }
        switch self.state {
        case .initial: return self.challenge(message).map { ($0, false) }
        case .challenged(let prefix, let nonce, let salted):
            self.state = .ended
            return self.verify(message, prefix: prefix, nonce: nonce, salted: salted).map { ($0, true) }
        case .ended: return nil
        }
    }

    private mutating func challenge(_ message: String) -> String? {
        let fields = message.split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count >= 4, fields[0] == "n", fields[2].hasPrefix("n="), fields[3].hasPrefix("r=") else {
            return nil
        }
        self.user = Self.unescaped(fields[2].dropFirst(2))
        let bare = fields[2...].joined(separator: ",")
        let nonce = String(fields[3].dropFirst(2)) + Base64.encode(randomBytes(Self.nonceByteCount))
        let salt = randomBytes(Self.saltByteCount)
        let salted = self.password(self.user).map {
            self.hash.pbkdf2(
                password: Array($0.utf8), salt: salt, iterations: Self.iterationCount, length: self.hash.digestLength)
        }
        let answer = "r=\(nonce),s=\(Base64.encode(salt)),i=\(Self.iterationCount)"
        self.state = .challenged(authMessagePrefix: "\(bare),\(answer)", nonce: nonce, salted: salted)
        return answer
    }

    private func verify(_ message: String, prefix: String, nonce: String, salted: [UInt8]?) -> String? {
        let fields = message.split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count >= 3, let proofField = fields.last, proofField.hasPrefix("p="),
            // "n,,": no channel binding. The nonce need only end as ours does, as with Kafka: librdkafka before 2.3
            // repeats its own part.
            fields[0] == "c=biws", fields[1].hasPrefix("r="), fields[1].hasSuffix(nonce),
            let proof = Base64.decode(proofField.dropFirst(2)), proof.count == self.hash.digestLength, let salted
        else { return nil }
        let authMessage = Array("\(prefix),\(fields.dropLast().joined(separator: ","))".utf8)
        let clientKey = self.hash.authenticationCode(Array("Client Key".utf8), key: salted)
        let storedKey = self.hash.digest(clientKey)
        let signature = self.hash.authenticationCode(authMessage, key: storedKey)
        let shown = zip(proof, signature).map { $0 ^ $1 }
        guard constantTimeEquals(self.hash.digest(shown), storedKey) else { return nil }
        let serverKey = self.hash.authenticationCode(Array("Server Key".utf8), key: salted)
        return "v=\(Base64.encode(self.hash.authenticationCode(authMessage, key: serverKey)))"
    }

    /// `=2C` is a comma and `=3D` an equals sign in a user name.
    private static func unescaped(_ name: Substring) -> String {
        var result = ""
        var rest = name
        while let character = rest.first {
            if rest.hasPrefix("=2C") {
                result += ","
                rest = rest.dropFirst(3)
            } else if rest.hasPrefix("=3D") {
                result += "="
                rest = rest.dropFirst(3)
            } else {
                result.append(character)
                rest = rest.dropFirst()
            }
        }
        return result
    }
}
