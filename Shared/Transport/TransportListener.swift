package import EscapementModel
package import Logging
package import NIOCore
import NIOPosix
import Observability
import Synchronization
package import TLS
package import WireProtocol

/// Accepts links over mutual TLS 1.3 from the peers that a policy admits.
package final class TransportListener: MessageListener {
    /// Connections that the kernel keeps until they are accepted.
    private static let backlog: Int32 = 256

    package let links: AsyncStream<any MessageLink>
    package let address: PeerAddress
    private let channel: any Channel
    private let admission: LinkAdmission

    private init(
        links: AsyncStream<any MessageLink>, address: PeerAddress, channel: any Channel, admission: LinkAdmission
    ) {
        self.links = links
        self.address = address
        self.channel = channel
        self.admission = admission
    }

    /// Binds `address` and begins to accept.
    ///
    /// - Parameters:
    ///   - address: port 0 takes a free one; see the property `address` for it.
    ///   - contexts: of role server; see `TLSConfiguration.links`. Each connection takes the current one.
    ///   - policy: who is admitted; others are closed at once, with a line in the log.
    ///   - group: the event loops that carry the links; shut down by its owner, after the links.
    /// - Throws: `LinkError` with code `unreachable` when the address cannot be bound.
    package static func bind(
        to address: PeerAddress, contexts: TLSContextSlot, admitting policy: PeerPolicy, group: any EventLoopGroup,
        limits: TransportLimits = .init(), logger: Logger
    ) async throws -> TransportListener {
        precondition(
            contexts.configuration.isForLinks(as: .server),
            "links need mutual TLS and \(TransportConnector.applicationProtocol)")
        let (links, continuation) = AsyncStream.makeStream(
            of: (any MessageLink).self, bufferingPolicy: .bufferingOldest(limits.waitingLinksMax))
        let admission = LinkAdmission(
            pendingMax: limits.pendingHandshakesMax, links: continuation, logger: logger)
        var bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        for (option, value) in SocketOptions.connection {
            bootstrap = bootstrap.childChannelOption(option, value: value)
        }
        do {
            let channel =
                try await bootstrap
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try admission.begin(channel) {
                            try LinkAttempt(
                                channel: channel, tls: contexts.current, mode: .server, policy: policy,
                                limits: limits)
                        }
                    }
                }
                .bind(host: address.host, port: address.port).get()
            let bound = PeerAddress(host: address.host, port: channel.localAddress?.port ?? address.port)
            return TransportListener(links: links, address: bound, channel: channel, admission: admission)
        } catch {
            continuation.finish()
            throw LinkError(.unreachable, "cannot listen on \(address): \(error)")
        }
    }

    /// Stops accepting. Links that were taken live on; those that nobody took can still be.
    package func close() async {
        self.admission.finish()
        do {
            try await self.channel.close()
        } catch ChannelError.alreadyClosed {
            return
        } catch {
            self.admission.logger.warning(
                "closing the listener failed", event: "listener_close_failed", [LogKey.error: .string("\(error)")])
        }
    }
}

/// Counts connections on their way and hands out the links that they become.
private final class LinkAdmission: Sendable {
    private let pendingMax: Int
    private let pending = Mutex(0)
    private let links: AsyncStream<any MessageLink>.Continuation
    let logger: Logger

    init(pendingMax: Int, links: AsyncStream<any MessageLink>.Continuation, logger: Logger) {
        self.pendingMax = pendingMax
        self.links = links
        self.logger = logger
    }

    /// - Throws: `LinkError` when too many handshakes are under way; the channel is closed then.
    func begin(_ channel: any Channel, _ make: () throws -> LinkAttempt) throws {
        let isAdmitted = self.pending.withLock { pending in
            guard pending < self.pendingMax else { return false }
            pending += 1
            return true
        }
        guard isAdmitted else {
            self.log("connection refused: too many handshakes under way", "link_flood", channel, nil)
            throw LinkError(.overflow, "more than \(self.pendingMax) handshakes are under way")
        }
        let attempt: LinkAttempt
        do {
            attempt = try make()
        } catch {
            self.pending.withLock { $0 -= 1 }
            throw error
        }
        attempt.established.whenComplete { result in
            self.pending.withLock { $0 -= 1 }
            switch result {
            case .success(let link): self.hand(out: link, channel)
            case .failure(let error): self.log("peer refused", "link_refused", channel, error)
            }
        }
    }

    private func hand(out link: TransportLink, _ channel: any Channel) {
        switch self.links.yield(link) {
        case .enqueued:
            return
        case .dropped:
            self.log("link refused: too many wait to be taken", "link_overflow", channel, nil)
            link.close()
        case .terminated:
            link.close()
        @unknown default:
            link.close()
        }
    }

    func finish() { self.links.finish() }

    private func log(_ message: StaticString, _ event: String, _ channel: any Channel, _ error: (any Error)?) {
        var metadata: Logger.Metadata = [:]
        if let address = channel.remoteAddress { metadata[LogKey.address] = .string("\(address)") }
        if let error { metadata[LogKey.error] = .string("\(error)") }
        self.logger.warning(message, event: event, metadata)
    }
}
