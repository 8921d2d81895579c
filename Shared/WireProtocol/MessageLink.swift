package import EscapementModel

/// Who the other end is, as its certificate says; never as it claims itself.
package struct PeerIdentity: Hashable, Sendable {
    package var cluster: String
    package var role: Role
    package var node: NodeID

    package init(cluster: String, role: Role, node: NodeID) {
        self.cluster = cluster
        self.role = role
        self.node = node
    }

    /// The node of a certificate that all members of one role share, as the pods of a Deployment do: each says
    /// its own name in its greeting. Whoever holds it may take the name of another member of the role, never
    /// that of another role.
    package static let sharedNode = NodeID("*")

    /// The member at the other end: the certificate's node, or with a shared certificate the name that the
    /// greeting claims, if it is a name at all.
    package func member(claiming name: String) -> NodeID {
        guard self.node == Self.sharedNode, NameGrammar.fault(in: name) == nil else { return self.node }
        return NodeID(name)
    }
}

/// An established, authenticated connection that carries frames in order.
///
/// `Transport` answers this port over TLS, the simulator over its own network.
package protocol MessageLink: AnyObject, Sendable {
    var peer: PeerIdentity { get }

    /// Queues `frame` for sending and returns at once. Frames are delivered in order or not at all.
    ///
    /// - Returns: `false` when the link is closed, or its outbound queue is full, which closes it: a
    ///   peer that does not read must not hold this process's memory.
    @discardableResult func send(_ frame: Frame) -> Bool

    /// Whether so little waits to leave that whoever has much to send may send some more of it. Once this was `false` it
    /// is, for everyone, until much less waits; then the callback of `onRoom` is called. Not when the link ends first.
    var hasRoom: Bool { get }

    /// Sets what is called, on any thread, when there is room again. Set once, before `hasRoom` is asked.
    func onRoom(_ callback: @escaping @Sendable () -> Void)

    /// Frames as they arrive; ends when the link is closed by either side. Iterate once. Reading stops
    /// (TCP back-pressure) while the consumer is behind by more than a bounded number of frames.
    var frames: AsyncStream<Frame> { get }

    /// Why the link ended, once `frames` has; `nil` for an orderly close.
    var failure: (any Error)? { get }

    /// Closes: what was queued is still sent, then close_notify. Idempotent.
    func close()
}

extension MessageLink {
    /// Encodes and queues `message`; see `send(_:)` for frames.
    @discardableResult package func send(
        _ message: some WireMessage, flags: FrameFlags = [], correlation: UInt32 = 0
    ) -> Bool {
        self.send(Frame(message, flags: flags, correlation: correlation))
    }
}

/// Opens links.
package protocol MessageConnector: Sendable {
    /// Connects and authenticates. Returning does not yet mean that the peer accepted us: with TLS 1.3 a
    /// refused client learns it from its first read. The first answer to `Hello` does.
    ///
    /// - Throws: `LinkError`.
    func connect(to address: PeerAddress, expecting role: Role) async throws -> any MessageLink
}

/// Accepts links.
package protocol MessageListener: Sendable {
    /// Authenticated links, in order of arrival; ends when the listener is closed. Iterate once.
    var links: AsyncStream<any MessageLink> { get }
    /// The address bound, with the port in place of 0.
    var address: PeerAddress { get }
    func close() async
}

/// Why a link could not be opened or ended.
package struct LinkError: Error, Sendable {
    package enum Code: String, Sendable {
        /// Nobody listens, or the host cannot be reached. Retry with backoff.
        case unreachable
        /// TLS refused: the message says which check. Retry; a certificate may be rotated.
        case refused
        /// The peer's certificate names another role or cluster.
        case wrongPeer
        /// The connection broke or was cut without close_notify.
        case broken
        /// The peer does not read what we send.
        case overflow
        /// The peer sent what is not a frame.
        case protocolViolation
    }

    package var code: Code
    /// What happened, for the log; no secrets.
    package var detail: String

    package init(_ code: Code, _ detail: String) {
        self.code = code
        self.detail = detail
    }
}

extension LinkError: CustomStringConvertible {
    package var description: String { "\(self.code.rawValue): \(self.detail)" }
}
