import EscapementModel
import Testing
import Transport
import WireProtocol

@Suite struct PeerIdentityTests {
    @Test(arguments: Role.allCases) func `an identity is read as it is printed`(role: Role) throws {
        let identity = PeerIdentity(cluster: "prod.eu-1", role: role, node: NodeID("node_7.ns"))
        let uri = try #require(identity.uri)
        #expect(uri == "spiffe://escapement/prod.eu-1/\(role.rawValue)/node_7.ns")
        #expect(PeerIdentity(uri: uri) == identity)
    }

    @Test func `with a shared certificate a member says its name, with its own it does not`() throws {
        let shared = try #require(PeerIdentity(uri: "spiffe://escapement/c/ticker/*"))
        #expect(shared.uri == "spiffe://escapement/c/ticker/*")
        #expect(shared.member(claiming: "ticker-7d5b") == NodeID("ticker-7d5b"))
        #expect(shared.member(claiming: "") == PeerIdentity.sharedNode)
        #expect(shared.member(claiming: "a/b") == PeerIdentity.sharedNode)
        let own = PeerIdentity(cluster: "c", role: .ticker, node: NodeID("n"))
        #expect(own.member(claiming: "another") == NodeID("n"))
    }

    @Test(arguments: [
        "", "spiffe://escapement/", "spiffe://escapement/c/ticker", "spiffe://escapement/c/ticker/",
        "spiffe://escapement//ticker/n", "spiffe://escapement/c/ticker/n/", "spiffe://escapement/c/ticker/n/m",
        "spiffe://escapement/c/Ticker/n", "spiffe://escapement/c/clock/n", "SPIFFE://escapement/c/ticker/n",
        "https://escapement/c/ticker/n", "spiffe://escapement.org/c/ticker/n", "spiffe://escapement/c/ticker/n?x",
        "spiffe://escapement/c/ticker/n#x", "spiffe://escapement/c%2Fd/ticker/n", "spiffe://escapement/c/ticker/ n",
        "spiffe://escapement/../ticker/n",
    ]) func `anything else is no identity`(uri: String) {
        #expect(PeerIdentity(uri: uri) == nil)
    }

    @Test(arguments: ["", "a/b", "a b", "..", "ü"]) func `a name that could be read as another is not printed`(
        name: String
    ) {
        #expect(PeerIdentity(cluster: name, role: .ticker, node: NodeID("n")).uri == nil)
        #expect(PeerIdentity(cluster: "c", role: .ticker, node: NodeID(name)).uri == nil)
    }
}
