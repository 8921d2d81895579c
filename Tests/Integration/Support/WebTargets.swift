import EscapementModel
import HTTPServer
import Hummingbird
import Logging
import Synchronization
import TLS
import TestSupport

/// Two hosts for HTTP targets: one answers all requests with 200, except for the first to `/busy`; the other takes
/// requests and never answers.
final class WebTargets: Sendable {
    private struct State {
        var answered: [String: Int] = [:]
        var silentCount = 0
        var silentMax = 0
    }

    private let files = TemporaryFolder()
    private let state = Mutex(State())
    private let context: TLSConfiguration

    /// The dispatchers' variables.
    let variables: [String: String]

    /// How often each path was asked for, at the host that answers.
    var answered: [String: Int] { self.state.withLock { $0.answered } }
    /// Requests that the silent host has at a time, at most.
    var silentMax: Int { self.state.withLock { $0.silentMax } }

    init() throws {
        let start = SystemClocks().wallNow().advanced(by: .seconds(-3600))
        let authority = try CertificateAuthority(name: "Targets", notBefore: start, validity: .seconds(86_400))
        let issued = try authority.issue(
            CertificateRequest(
                commonName: "127.0.0.1", dnsNames: [], ipAddresses: ["127.0.0.1"], uris: [], usages: [.server],
                notBefore: start, validity: .seconds(80_000)))
        self.context = TLSConfiguration(
            role: .server, authentication: .serverOnly, certificateChain: .pem(issued.certificatePEM),
            privateKey: .pem(issued.privateKeyPEM), applicationProtocols: ["http/1.1"], minimumVersion: .tls12)
        self.variables = [
            "ESCAPEMENT_HTTP_TARGETS": "all",
            "ESCAPEMENT_HTTP_TARGETS_CA_FILE": self.files.write(authority.certificatePEM, to: "targets-ca.pem"),
        ]
    }

    /// Listens while `body` runs, which gets the URLs of both.
    func run(_ body: @escaping @Sendable (_ answering: String, _ silent: String) async throws -> Void) async throws {
        try await self.listen({ path in
            let count = self.state.withLock { state in
                state.answered[path, default: 0] += 1
                return state.answered[path]
            }
            guard path == "busy", count == 1 else { return Response(status: .ok) }
            // At once: that time is over.
            return Response(status: .serviceUnavailable, headers: [.retryAfter: "Sun, 06 Nov 1994 08:49:37 GMT"])
        }) { answering in
            try await self.listen({ _ in
                self.state.withLock { state in
                    state.silentCount += 1
                    state.silentMax = max(state.silentMax, state.silentCount)
                }
                defer { self.state.withLock { $0.silentCount -= 1 } }
                // Until whoever asked, or the listener, is gone.
                for await _ in AsyncStream<Void>.makeStream().stream {}
                return Response(status: .ok)
            }) { silent in try await body(answering, silent) }
        }
    }

    /// - Parameter answer: called with the path of each request.
    private func listen(
        _ answer: @escaping @Sendable (String) async -> Response,
        _ body: @escaping @Sendable (_ url: String) async throws -> Void
    ) async throws {
        let router = Router()
        router.post("{path}") { _, context in
            await answer(context.parameters.get("path") ?? "")
        }
        let (ports, port) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let listener = HTTPListener(
            name: "target", router: router, host: "127.0.0.1", port: 0, slot: try TLSContextSlot(self.context),
            logger: Logger(label: "target", factory: { _ in SwiftLogNoOpLogHandler() }), onBound: { port.yield($0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            for await bound in ports {
                try await body("https://127.0.0.1:\(bound)")
                break
            }
            group.cancelAll()
        }
    }
}
