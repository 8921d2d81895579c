import Discovery
import EscapementModel
import Logging
import Synchronization
import TLS
import Testing
import TestSupport

/// One implementation under the suite that all of them pass, with the hand that changes the world it looks at.
protocol DiscoverySubject: Sendable {
    /// Runs `body` with the implementation at work; it finds `hosts` at first.
    func run(
        finding hosts: [String], _ body: @Sendable (any Discovery, any DiscoveryWorld) async throws -> Void
    ) async throws
}

/// What an implementation looks at.
protocol DiscoveryWorld: Sendable {
    /// The coordinators are at these addresses from now on.
    func set(_ hosts: [String]) async
    /// The source of it cannot be reached, and can again.
    func setReachable(_ isReachable: Bool) async
    /// Lets time pass, for who works by the clock.
    func pass() async
}

let quietLogger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })

/// A name whose addresses a test decides.
struct DNSSubject: DiscoverySubject {
    final class World: DiscoveryWorld, HostResolver {
        private struct State {
            var hosts: [String]
            var isReachable = true
            var isSilent = false
            var questions = 0
        }

        private let state: Mutex<State>
        let clocks = ManualClocks()

        init(_ hosts: [String]) { self.state = Mutex(State(hosts: hosts)) }

        var questions: Int { self.state.withLock { $0.questions } }
        func set(_ hosts: [String]) async { self.state.withLock { $0.hosts = hosts } }
        func setReachable(_ isReachable: Bool) async { self.state.withLock { $0.isReachable = isReachable } }
        func fallSilent() { self.state.withLock { $0.isSilent = true } }
        func pass() async { await self.clocks.advance(by: .seconds(2)) }

        func resolve(_ host: String, port: Int) async throws(ResolutionError) -> [PeerAddress] {
            let (hosts, isReachable, isSilent) = self.state.withLock { state in
                state.questions += 1
                return (state.hosts, state.isReachable, state.isSilent)
            }
            if isSilent { do { try await self.clocks.sleep(for: .seconds(30)) } catch {} }
            guard isReachable else { throw ResolutionError(host: host, detail: "no answer") }
            return hosts.map { PeerAddress(host: $0, port: port) }
        }
    }

    func run(
        finding hosts: [String], _ body: @Sendable (any Discovery, any DiscoveryWorld) async throws -> Void
    ) async throws {
        let world = World(hosts)
        let discovery = DNSDiscovery(
            name: PeerAddress(host: "coordinators.test", port: 7400), resolver: world, clocks: world.clocks,
            logger: quietLogger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await discovery.run() }
            try await body(discovery, world)
            group.cancelAll()
        }
    }
}

/// Pods of an API server over real TLS.
struct KubernetesSubject: DiscoverySubject {
    final class World: DiscoveryWorld {
        let server = FakeAPIServer()
        func set(_ hosts: [String]) async {
            self.server.set(Dictionary(uniqueKeysWithValues: hosts.map { ("pod-\($0)", $0) }))
        }

        func setReachable(_ isReachable: Bool) async {
            // A wrong token for everyone: what an API server does that has lost its mind.
            self.server.setToken(isReachable ? "token-1" : "nobody's")
            if !isReachable { self.server.endWatches() }
        }

        func pass() async { await Task.yield() }
    }

    func run(
        finding hosts: [String], _ body: @Sendable (any Discovery, any DiscoveryWorld) async throws -> Void
    ) async throws {
        let world = World()
        await world.set(hosts)
        try await Self.run(world.server) { discovery in try await body(discovery, world) }
    }

    /// Runs a discovery against `server`.
    static func run(
        _ server: FakeAPIServer, token: @escaping @Sendable () -> String = { "token-1" }, trusts: Bool = true,
        _ body: @Sendable (KubernetesDiscovery) async throws -> Void
    ) async throws {
        let start = SystemClocks().wallNow().advanced(by: .seconds(-60))
        let authority = try CertificateAuthority(name: "cluster", notBefore: start, validity: .seconds(3600))
        let issued = try authority.issue(
            CertificateRequest(
                commonName: "kubernetes", ipAddresses: ["127.0.0.1"], notBefore: start, validity: .seconds(3000)))
        let slot = try TLSContextSlot(
            TLSConfiguration(
                role: .server, authentication: .serverOnly, certificateChain: .pem(issued.certificatePEM),
                privateKey: .pem(issued.privateKeyPEM), applicationProtocols: ["http/1.1"]))
        let trusted =
            trusts ? authority : try CertificateAuthority(name: "other", notBefore: start, validity: .seconds(3600))
        let folder = TemporaryFolder()
        folder.write(trusted.certificatePEM, to: "authority.pem")
        try await server.serve(tls: slot) { port in
            let discovery = KubernetesDiscovery(
                KubernetesDiscovery.Settings(
                    url: "https://127.0.0.1:\(port)", namespace: FakeAPIServer.namespace,
                    labelSelector: "app.kubernetes.io/name=escapement,app.kubernetes.io/component=coordinator",
                    port: 7400, tokenFile: "token", authorityFile: folder.path(of: "authority.pem")),
                clocks: SystemClocks(), logger: quietLogger, seed: 1, readToken: { _ in token() })
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await discovery.run() }
                do {
                    try await body(discovery)
                } catch {
                    group.cancelAll()
                    throw error
                }
                group.cancelAll()
            }
        }
    }
}

/// Waits until `condition` holds; fails after twenty seconds.
func eventually(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now.advanced(by: .seconds(20))
    while clock.now < deadline {
        if await condition() { return }
        // A pause between two looks, not a wait for the outcome.
        try await Task.sleep(for: .milliseconds(5))
    }
    Issue.record("never: \(what)", sourceLocation: sourceLocation)
}
