import EscapementModel
import TestSupport
import Testing
import WireProtocol

/// The links that service tests use behave like those of sockets.
@Suite struct InMemoryNetworkTests {
    private let ticker = Cluster.identity(.ticker, "t1")
    private let dispatcher = Cluster.identity(.dispatcher, "d1")

    private func connected(
        _ network: InMemoryNetwork
    ) async throws -> (ticker: any MessageLink, dispatcher: any MessageLink, listener: InMemoryListener) {
        let listener = network.listen(at: PeerAddress(host: "d1", port: 0), as: self.dispatcher)
        let link = try await network.connector(as: self.ticker).connect(to: listener.address, expecting: .dispatcher)
        for await other in listener.links { return (link, other, listener) }
        throw LinkError(.unreachable, "the listener closed")
    }

    @Test func `frames travel and a close ends both ends in order`() async throws {
        let (ticker, dispatcher, listener) = try await self.connected(InMemoryNetwork())
        #expect(ticker.peer == self.dispatcher && dispatcher.peer == self.ticker)
        ticker.send(.numbered(1))
        ticker.send(.numbered(2))
        ticker.close()
        #expect(await dispatcher.drain() == [.numbered(1), .numbered(2)])
        #expect(dispatcher.failure == nil && ticker.failure == nil)
        #expect(!ticker.send(.numbered(3)) && !dispatcher.send(.numbered(3)))
        await listener.close()
    }

    @Test func `a severed node loses its links until it is healed`() async throws {
        let network = InMemoryNetwork()
        let (ticker, dispatcher, listener) = try await self.connected(network)
        network.sever(NodeID("t1"))
        #expect(await ticker.drain() == [])
        #expect(await dispatcher.drain() == [])
        #expect(ticker.linkFailure?.code == .broken && dispatcher.linkFailure?.code == .broken)
        let connector = network.connector(as: self.ticker)
        await #expect(throws: LinkError.self) {
            try await connector.connect(to: listener.address, expecting: .dispatcher)
        }
        network.heal()
        #expect(try await connector.connect(to: listener.address, expecting: .dispatcher).peer == self.dispatcher)
    }

    @Test func `wrong roles and unknown addresses are refused`() async throws {
        let network = InMemoryNetwork()
        let listener = network.listen(at: PeerAddress(host: "d1", port: 5), as: self.dispatcher, admitting: [.ticker])
        func code(_ identity: PeerIdentity, _ port: Int, _ role: Role) async -> LinkError.Code? {
            do {
                _ = try await network.connector(as: identity).connect(
                    to: PeerAddress(host: "d1", port: port), expecting: role)
                return nil
            } catch {
                return (error as? LinkError)?.code
            }
        }
        #expect(await code(self.ticker, 5, .dispatcher) == nil)
        #expect(await code(self.ticker, 5, .coordinator) == .wrongPeer)
        #expect(await code(self.ticker, 6, .dispatcher) == .unreachable)
        #expect(await code(Cluster.identity(.tool, "x"), 5, .dispatcher) == .refused)
        #expect(await code(Cluster.identity(.ticker, "t1", cluster: "other"), 5, .dispatcher) == .wrongPeer)
        await listener.close()
        #expect(await code(self.ticker, 5, .dispatcher) == .unreachable)
    }

    @Test func `an end that does not read overflows`() {
        let pair = InMemoryLink.pair(a: self.ticker, b: self.dispatcher, queueMax: 2)
        #expect(pair.a.send(.numbered(1)) && pair.a.send(.numbered(2)))
        #expect(!pair.a.send(.numbered(3)))
        #expect(pair.a.linkFailure?.code == .overflow && pair.b.linkFailure?.code == .broken)
    }
}
