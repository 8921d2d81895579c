package import EscapementModel
package import NIOCore
import NIOPosix
package import TLS
package import WireProtocol

/// Opens links over mutual TLS 1.3 to peers of the own cluster.
package struct TransportConnector: MessageConnector {
    /// The ALPN name of both ends.
    package static let applicationProtocol = "escapement/1"

    private let cluster: String
    private let contexts: TLSContextSlot
    private let group: any EventLoopGroup
    private let limits: TransportLimits

    /// - Parameters:
    ///   - cluster: the only cluster whose members are accepted.
    ///   - contexts: of role client, with a certificate of one's own; see `TransportConnector.configuration`.
    ///   - group: the event loops that carry the links; shut down by its owner, after the links.
    package init(
        cluster: String, contexts: TLSContextSlot, group: any EventLoopGroup, limits: TransportLimits = .init()
    ) {
        precondition(
            contexts.configuration.isForLinks(as: .client), "links need mutual TLS and \(Self.applicationProtocol)")
        self.cluster = cluster
        self.contexts = contexts
        self.group = group
        self.limits = limits
    }

    package func connect(to address: PeerAddress, expecting role: Role) async throws -> any MessageLink {
        var policy = PeerPolicy(cluster: self.cluster, roles: [role])
        policy.host = address.host
        let expected = policy
        let context = self.contexts.current
        let limits = self.limits
        var bootstrap = ClientBootstrap(group: self.group).connectTimeout(limits.connectTimeout)
        for (option, value) in SocketOptions.connection { bootstrap = bootstrap.channelOption(option, value: value) }
        let attempt: LinkAttempt
        do {
            // Each address of the host gets a channel, and so a handler and a promise, of its own.
            attempt = try await bootstrap.connect(host: address.host, port: address.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try LinkAttempt(
                        channel: channel, tls: context, mode: .client(serverName: nil), policy: expected,
                        limits: limits)
                }
            }
        } catch let error as LinkError {
            throw error
        } catch let error as CancellationError {
            throw error
        } catch {
            throw LinkError(.unreachable, "\(address): \(error)")
        }
        return try await withTaskCancellationHandler {
            try await attempt.established.get()
        } onCancel: {
            attempt.channel.close(promise: nil)
        }
    }
}

/// A channel on its way to a link.
struct LinkAttempt: Sendable {
    let channel: any Channel
    let established: EventLoopFuture<TransportLink>

    /// Fills the pipeline of a new channel. To be called on its event loop.
    init(
        channel: any Channel, tls: TLSContext, mode: TLSHandler.Mode, policy: PeerPolicy, limits: TransportLimits
    ) throws {
        let handler = LinkHandler(policy: policy, limits: limits, eventLoop: channel.eventLoop)
        self.channel = channel
        self.established = handler.established
        let pipeline = channel.pipeline.syncOperations
        do {
            try pipeline.addHandler(
                TLSHandler(
                    context: tls, mode: mode, handshakeTimeout: limits.handshakeTimeout,
                    closeTimeout: limits.closeTimeout))
            if let timeout = limits.readTimeout { try pipeline.addHandler(IdleStateHandler(readTimeout: timeout)) }
            try pipeline.addHandler(handler)
        } catch {
            // The channel is closed already: the handler will hear of nothing.
            handler.abort(LinkError(.broken, "\(error)"))
            throw error
        }
    }
}

extension TLSConfiguration {
    /// The configuration of links: mutual, TLS 1.3 only, with our ALPN name.
    package static func links(
        _ role: Role, certificateChain: Source, privateKey: Source, trust: Source
    ) -> TLSConfiguration {
        TLSConfiguration(
            role: role, authentication: .mutual, certificateChain: certificateChain, privateKey: privateKey,
            trust: trust, applicationProtocols: [TransportConnector.applicationProtocol],
            requiresApplicationProtocol: true)
    }

    /// Whether nothing of what links rely on is switched off.
    func isForLinks(as role: Role) -> Bool {
        self.role == role && self.authentication == .mutual && self.minimumVersion == .tls13
            && self.requiresApplicationProtocol
            && self.applicationProtocols == [TransportConnector.applicationProtocol]
    }
}
