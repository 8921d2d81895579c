package import NIOCore
import WireProtocol

/// The bounds of connections between processes. Each is a process setting; the defaults fit a cluster of tens.
package struct TransportLimits: Sendable {
    /// Time for TCP to connect.
    package var connectTimeout: TimeAmount
    /// Time for TLS to finish, after TCP did.
    package var handshakeTimeout: TimeAmount
    /// How long a close waits for what was queued to leave, and then again for the peer's close_notify.
    package var closeTimeout: TimeAmount
    /// A link on which nothing arrives for so long is broken; `nil` leaves that to heartbeats above.
    package var readTimeout: TimeAmount?
    /// A link older than this is closed in order, so that certificates are judged anew; it never outlives the
    /// peer's certificate either.
    package var linkAgeMax: TimeAmount
    /// Bytes queued for a peer that does not read, until the link is closed: eight of the largest frames.
    package var outboundBytesMax: Int
    /// Bytes queued for a peer from which on senders with much to send wait: `MessageLink.hasRoom`.
    package var outboundBytesRoom: Int
    /// Frames received and not yet taken, until reading stops.
    package var inboundFramesMax: Int
    /// Bytes received and not yet taken, until reading stops. At least one frame is always taken.
    package var inboundBytesMax: Int
    /// Connections of a listener that have not finished their handshake; more are closed at once.
    package var pendingHandshakesMax: Int
    /// Links of a listener that nobody has taken yet; more are closed at once.
    package var waitingLinksMax: Int

    package init(
        connectTimeout: TimeAmount = .seconds(5), handshakeTimeout: TimeAmount = .seconds(5),
        closeTimeout: TimeAmount = .seconds(2), readTimeout: TimeAmount? = nil, linkAgeMax: TimeAmount = .hours(12),
        outboundBytesMax: Int = 64 << 20, outboundBytesRoom: Int = 4 << 20, inboundFramesMax: Int = 1024,
        inboundBytesMax: Int = 16 << 20, pendingHandshakesMax: Int = 128, waitingLinksMax: Int = 256
    ) {
        precondition(outboundBytesRoom > 0, "nobody would ever have room")
        precondition(
            outboundBytesMax - outboundBytesRoom >= Frame.headerLength + Frame.payloadMax,
            "no frame of full size would fit behind what makes senders wait")
        precondition(inboundFramesMax > 0 && inboundBytesMax > 0, "nothing could ever be received")
        precondition(pendingHandshakesMax > 0 && waitingLinksMax > 0, "nobody could ever connect")
        self.connectTimeout = connectTimeout
        self.handshakeTimeout = handshakeTimeout
        self.closeTimeout = closeTimeout
        self.readTimeout = readTimeout
        self.linkAgeMax = linkAgeMax
        self.outboundBytesMax = outboundBytesMax
        self.outboundBytesRoom = outboundBytesRoom
        self.inboundFramesMax = inboundFramesMax
        self.inboundBytesMax = inboundBytesMax
        self.pendingHandshakesMax = pendingHandshakesMax
        self.waitingLinksMax = waitingLinksMax
    }
}
