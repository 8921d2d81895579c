import EscapementModel
import WireProtocol

/// A link that the leader has accepted, and who is at its other end.
final class AcceptedLink: Sendable {
    /// Reads of the store for one ticker at a time. Each holds a page while the ticker is slow to take it.
    static let readsMax = 4

    let link: any MessageLink
    let hello: Hello
    let correlator = Correlator()
    /// For the contents of shards.
    let window: ContentsWindow
    let reads = StoreGate(permits: AcceptedLink.readsMax)

    /// - Parameter version: the protocol version that both sides speak.
    init(link: any MessageLink, hello: Hello, version: UInt32, clocks: any Clocks) {
        self.link = link
        self.hello = hello
        self.window = ContentsWindow(link: link, clocks: clocks, version: version)
    }

    var role: Role { self.link.peer.role }
    var node: NodeID { self.link.peer.member(claiming: self.hello.instance) }
    var incarnation: Incarnation { self.hello.incarnation }

    /// Sends a question to the member and waits for the answer.
    func ask(_ message: some WireMessage, within limit: Duration, clocks: any Clocks) async -> Frame? {
        await self.correlator.ask(within: limit, clocks: clocks) { correlation in
            self.link.send(message, correlation: correlation)
        }
    }

    /// Answers a question that came as `frame`.
    func answer(_ frame: Frame, _ message: some WireMessage) {
        self.link.send(message, flags: .answer, correlation: frame.correlation)
    }

    /// Closes, saying why.
    func dismiss(_ detail: String) {
        self.link.send(Goodbye(detail: detail))
        self.link.close()
        self.correlator.close()
    }
}
