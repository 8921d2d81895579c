import EscapementModel
import Foundation
import NIOCore
import TLS
import Testing
import Transport
import WireProtocol

/// Who gets a link, and who does not.
@Suite(.timeLimit(.minutes(2))) struct AuthenticationTests {
    let cluster: Cluster

    init() throws { self.cluster = try Cluster() }

    private func code(_ body: () async throws -> any MessageLink) async -> LinkError.Code? {
        do {
            let link = try await body()
            // The client may be done before the server has judged it.
            #expect(await link.drain() == [])
            return link.linkFailure?.code
        } catch {
            return (error as? LinkError)?.code
        }
    }

    @Test func `a listener of another role than expected is refused`() async throws {
        let listener = try await self.cluster.listen()
        let connector = try self.cluster.connector()
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .coordinator) } == .wrongPeer
        )
        await listener.close()
    }

    @Test func `a listener of another cluster is refused`() async throws {
        let listener = try await self.cluster.listen(as: Cluster.identity(.dispatcher, "d1", cluster: "other"))
        let connector = try self.cluster.connector()
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .dispatcher) } == .wrongPeer)
        await listener.close()
    }

    @Test(arguments: [
        Cluster.identity(.dispatcher, "t1"), Cluster.identity(.tool, "t1"),
        Cluster.identity(.ticker, "t1", cluster: "other"),
    ]) func `a peer that is not admitted is closed at once`(identity: PeerIdentity) async throws {
        let listener = try await self.cluster.listen()
        let connector = try self.cluster.connector(as: identity)
        let link = try await connector.connect(to: listener.address, expecting: .dispatcher)
        #expect(await link.drain() == [])
        await self.cluster.log.wait(for: "link_refused")
        #expect(self.cluster.log.loggedErrors.first?.hasPrefix("wrongPeer") == true)
        await listener.close()
        for await _ in listener.links { Issue.record("a link of a peer that was not admitted") }
    }

    @Test(arguments: [
        [], ["spiffe://escapement/test/ticker"], ["spiffe://elsewhere/test/ticker/t1"],
        ["spiffe://escapement/test/ticker/t1", "spiffe://escapement/test/coordinator/c1"],
    ]) func `a certificate without one identity is refused`(uris: [String]) async throws {
        let listener = try await self.cluster.listen()
        let leaf = try self.cluster.certificate(uris: uris)
        let contexts = try TLSContextSlot(self.cluster.configuration(.client, leaf))
        let connector = try self.cluster.connector(contexts: contexts)
        let link = try await connector.connect(to: listener.address, expecting: .dispatcher)
        #expect(await link.drain() == [])
        await self.cluster.log.wait(for: "link_refused")
        await listener.close()
        for await _ in listener.links { Issue.record("a link without an identity") }
    }

    @Test func `a client of another authority is refused`() async throws {
        let listener = try await self.cluster.listen()
        let other = try Cluster()
        let uri = try #require(Cluster.identity(.ticker, "t1").uri)
        let leaf = try self.cluster.certificate(uris: [uri], authority: other.authority)
        let contexts = try TLSContextSlot(self.cluster.configuration(.client, leaf))
        let connector = try self.cluster.connector(contexts: contexts)
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .dispatcher) } == .refused)
        await self.cluster.log.wait(for: "link_refused")
        await listener.close()
        for await _ in listener.links { Issue.record("a link of a stranger") }
    }

    @Test func `a server of another authority is refused`() async throws {
        let other = try Cluster()
        let listener = try await other.listen()
        let connector = try self.cluster.connector()
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .dispatcher) } == .refused)
        await listener.close()
    }

    @Test func `a server at another address than its certificate says is refused`() async throws {
        let uri = try #require(Cluster.identity(.dispatcher, "d1").uri)
        let leaf = try self.cluster.certificate(uris: [uri], addresses: ["127.0.0.2"])
        let contexts = try TLSContextSlot(self.cluster.configuration(.server, leaf))
        let listener = try await self.cluster.listen(contexts: contexts)
        let connector = try self.cluster.connector()
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .dispatcher) } == .refused)
        let named = PeerAddress(host: "localhost", port: listener.address.port)
        let link = try await connector.connect(to: named, expecting: .dispatcher)
        #expect(link.peer.node == NodeID("d1"), "the name is in the certificate")
        link.close()
        await listener.close()
    }

    @Test func `a server whose certificate names no host is good wherever it runs, by cluster and role`() async throws {
        let uri = try #require(Cluster.identity(.dispatcher, "*").uri)
        let leaf = try self.cluster.certificate(uris: [uri], names: [], addresses: [])
        let contexts = try TLSContextSlot(self.cluster.configuration(.server, leaf))
        let listener = try await self.cluster.listen(contexts: contexts)
        let connector = try self.cluster.connector()
        let link = try await connector.connect(to: listener.address, expecting: .dispatcher)
        #expect(link.peer.role == .dispatcher)
        link.close()
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .coordinator) }
                == .wrongPeer)
        await listener.close()
    }

    @Test func `a client without a certificate is refused`() async throws {
        let listener = try await self.cluster.listen()
        var configuration = try self.cluster.tickerConfiguration()
        configuration.authentication = .serverOnly
        configuration.certificateChain = nil
        configuration.privateKey = nil
        let client = try await self.cluster.rawClient(configuration, to: listener.address)
        let error = try await client.failure.get()
        #expect(error?.code == .handshakeFailed)
        #expect(error?.reason.contains("certificate required") == true)
        await listener.close()
        for await _ in listener.links { Issue.record("a link without a certificate") }
    }

    @Test func `TLS 1_2 is refused`() async throws {
        let listener = try await self.cluster.listen()
        var configuration = try self.cluster.tickerConfiguration()
        configuration.minimumVersion = .tls12
        configuration.maximumVersion = .tls12
        let client = try await self.cluster.rawClient(configuration, to: listener.address)
        let error = try await client.failure.get()
        #expect(error?.code == .handshakeFailed)
        #expect(error?.reason.contains("protocol version") == true)
        await listener.close()
    }

    @Test func `another protocol, or none, is refused`() async throws {
        let listener = try await self.cluster.listen()
        var configuration = try self.cluster.tickerConfiguration()
        configuration.requiresApplicationProtocol = false
        for protocols in [["escapement/2"], []] {
            configuration.applicationProtocols = protocols
            let client = try await self.cluster.rawClient(configuration, to: listener.address)
            _ = try await client.failure.get()
            await self.cluster.log.wait(for: "link_refused")
        }
        await listener.close()
        for await _ in listener.links { Issue.record("a link without the protocol") }
    }

    @Test func `nobody listening is unreachable`() async throws {
        let listener = try await self.cluster.listen()
        await listener.close()
        let connector = try self.cluster.connector()
        #expect(
            await self.code { try await connector.connect(to: listener.address, expecting: .dispatcher) }
                == .unreachable)
    }

    @Test func `an address in use cannot be bound`() async throws {
        let listener = try await self.cluster.listen()
        await #expect(throws: LinkError.self) {
            try await TransportListener.bind(
                to: listener.address, contexts: self.cluster.slot(.server, Cluster.identity(.dispatcher, "d2")),
                admitting: PeerPolicy(cluster: "test", roles: [.ticker]), group: self.cluster.group,
                logger: self.cluster.log.logger)
        }
        await listener.close()
    }

    @Test func `a new certificate serves new links while old ones live on`() async throws {
        let directory = NSTemporaryDirectory() + "escapement-transport-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        func write(_ node: String) throws {
            let uri = try #require(Cluster.identity(.dispatcher, node).uri)
            let leaf = try self.cluster.certificate(uris: [uri])
            try leaf.certificatePEM.write(toFile: "\(directory)/chain.pem", atomically: true, encoding: .utf8)
            try leaf.privateKeyPEM.write(toFile: "\(directory)/key.pem", atomically: true, encoding: .utf8)
        }
        try write("before")
        let contexts = try TLSContextSlot(
            .links(
                .server, certificateChain: .file("\(directory)/chain.pem"), privateKey: .file("\(directory)/key.pem"),
                trust: .pem(self.cluster.authority.certificatePEM)))
        let listener = try await self.cluster.listen(contexts: contexts)
        let connector = try self.cluster.connector()
        let old = try await connector.connect(to: listener.address, expecting: .dispatcher)
        let oldEnd = try await listener.next()
        try write("after")
        guard case .reloaded = contexts.reload() else {
            Issue.record("the files were not taken")
            return
        }
        let new = try await connector.connect(to: listener.address, expecting: .dispatcher)
        #expect(old.peer.node == NodeID("before"))
        #expect(new.peer.node == NodeID("after"))
        old.send(.numbered(1))
        #expect(await oldEnd.take(1) == [.numbered(1)])
        old.close()
        new.close()
        await listener.close()
    }
}
