import EscapementModel
import Foundation
import HTTPServer
import Hummingbird
import Logging
import NIOCore
import Synchronization
import TLS
import TestSupport

/// A token endpoint for OAuth's client credentials, over TLS. It counts its tokens: `token-1`, `token-2`, …
final class TokenEndpoint: Sendable {
    /// The one client that it knows.
    static let client = "dispatcher"
    static let scope = "kafka"

    private struct Down: Error {}

    private struct State {
        /// What a token lasts, by the secret that it is asked for with.
        var lifeSeconds: [String: Int] = [:]
        var isDown = false
        var issuedCount = 0
    }

    private let state = Mutex(State())
    private let files = TemporaryFolder()
    private let context: TLSConfiguration
    private let publish: @Sendable (_ token: String) async throws -> Void
    private let (issued, issue) = AsyncStream<String>.makeStream(bufferingPolicy: .unbounded)

    /// Whoever trusts it needs this file.
    let authorityFile: String

    /// Whether it hangs up instead of answering.
    var isDown: Bool {
        get { self.state.withLock { $0.isDown } }
        set { self.state.withLock { $0.isDown = newValue } }
    }

    /// - Parameter publish: makes a token known to brokers; called before the client gets it.
    init(publish: @escaping @Sendable (_ token: String) async throws -> Void) throws {
        let start = SystemClocks().wallNow().advanced(by: .seconds(-3600))
        let authority = try CertificateAuthority(name: "Tokens", notBefore: start, validity: .seconds(86_400))
        let leaf = try authority.issue(
            CertificateRequest(
                commonName: "127.0.0.1", ipAddresses: ["127.0.0.1"], usages: [.server], notBefore: start,
                validity: .seconds(80_000)))
        self.context = TLSConfiguration(
            role: .server, authentication: .serverOnly, certificateChain: .pem(leaf.certificatePEM),
            privateKey: .pem(leaf.privateKeyPEM), applicationProtocols: ["http/1.1"], minimumVersion: .tls12)
        self.authorityFile = self.files.write(authority.certificatePEM, to: "ca.pem")
        self.publish = publish
    }

    /// Gives tokens to whoever knows one of these secrets, and to nobody else from now on.
    ///
    /// - Parameter lifeSeconds: what a token lasts, by the secret.
    func accept(_ lifeSeconds: [String: Int]) { self.state.withLock { $0.lifeSeconds = lifeSeconds } }

    /// Waits until a token is given for this secret.
    func awaitToken(for secret: String) async {
        for await used in self.issued where used == secret { return }
    }

    /// Listens while `body` runs.
    func run(_ body: @escaping @Sendable (_ url: String) async throws -> Void) async throws {
        let router = Router()
        router.post("/token") { request, _ in
            let form = String(buffer: try await request.body.collect(upTo: 4096))
            return try await self.answer(to: form, authorization: request.headers[.authorization])
        }
        let (ports, port) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let listener = HTTPListener(
            name: "tokens", router: router, host: "127.0.0.1", port: 0, slot: try TLSContextSlot(self.context),
            logger: KafkaFixture.logger, onBound: { port.yield($0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            for await bound in ports {
                try await body("https://127.0.0.1:\(bound)/token")
                break
            }
            group.cancelAll()
        }
    }

    private func answer(to form: String, authorization: String?) async throws -> Response {
        // An answer that ends before it begins.
        if self.isDown { return Response(status: .ok, body: ResponseBody { _ in throw Down() }) }
        guard form == "grant_type=client_credentials&scope=\(Self.scope)" else {
            return Self.response(.badRequest, #"{"error": "invalid_request"}"#)
        }
        let found = self.state.withLock { state -> (secret: String, lifeSeconds: Int, number: Int)? in
            let known = state.lifeSeconds.first { secret, _ in
                authorization == "Basic " + Data("\(Self.client):\(secret)".utf8).base64EncodedString()
            }
            guard let known else { return nil }
            state.issuedCount += 1
            return (known.key, known.value, state.issuedCount)
        }
        guard let found else { return Self.response(.unauthorized, #"{"error": "invalid_client"}"#) }
        try await self.publish("token-\(found.number)")
        self.issue.yield(found.secret)
        return Self.response(
            .ok,
            """
            {"access_token": "token-\(found.number)", "token_type": "Bearer", "expires_in": \(found.lifeSeconds)}
            """)
    }

    private static func response(_ status: HTTPResponse.Status, _ json: String) -> Response {
        Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: json)))
    }
}
