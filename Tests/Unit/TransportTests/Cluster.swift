import EscapementModel
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TLS
import Testing
import Transport
import WireProtocol

/// Authorities, certificates and links of a small cluster on the loopback interface.
struct Cluster {
    static let loopback = PeerAddress(host: "127.0.0.1", port: 0)

    let authority: CertificateAuthority
    let group = MultiThreadedEventLoopGroup.singleton
    let log = LogRecorder()

    init() throws {
        self.authority = try CertificateAuthority(
            name: "Cluster", notBefore: Self.start, validity: .seconds(7200))
    }

    static var start: WallInstant { SystemClocks().wallNow().advanced(by: .seconds(-3600)) }

    static func identity(_ role: Role, _ node: String, cluster: String = "test") -> PeerIdentity {
        PeerIdentity(cluster: cluster, role: role, node: NodeID(node))
    }

    func certificate(
        uris: [String], names: [String] = ["localhost"], addresses: [String] = ["127.0.0.1", "::1"],
        authority: CertificateAuthority? = nil
    ) throws -> IssuedCertificate {
        try (authority ?? self.authority).issue(
            CertificateRequest(
                commonName: "node", dnsNames: names, ipAddresses: addresses, uris: uris,
                notBefore: Self.start, validity: .seconds(7000)))
    }

    func configuration(_ role: TLSConfiguration.Role, _ leaf: IssuedCertificate) -> TLSConfiguration {
        .links(
            role, certificateChain: .pem(leaf.certificatePEM), privateKey: .pem(leaf.privateKeyPEM),
            trust: .pem(self.authority.certificatePEM))
    }

    func slot(_ role: TLSConfiguration.Role, _ identity: PeerIdentity) throws -> TLSContextSlot {
        let uri = try #require(identity.uri)
        return try TLSContextSlot(self.configuration(role, self.certificate(uris: [uri])))
    }

    /// A listener of dispatcher `d1` of cluster `test`.
    func listen(
        as identity: PeerIdentity = Cluster.identity(.dispatcher, "d1"), contexts: TLSContextSlot? = nil,
        admitting roles: Set<Role> = [.ticker], limits: TransportLimits = .init()
    ) async throws -> TransportListener {
        try await TransportListener.bind(
            to: Self.loopback, contexts: contexts ?? self.slot(.server, identity),
            admitting: PeerPolicy(cluster: "test", roles: roles), group: self.group, limits: limits,
            logger: self.log.logger)
    }

    /// A connector of ticker `t1` of cluster `test`.
    func connector(
        as identity: PeerIdentity = Cluster.identity(.ticker, "t1"), contexts: TLSContextSlot? = nil,
        cluster: String = "test", limits: TransportLimits = .init()
    ) throws -> TransportConnector {
        try TransportConnector(
            cluster: cluster, contexts: contexts ?? self.slot(.client, identity), group: self.group, limits: limits)
    }

    /// Both ends of a link between ticker `t1` and dispatcher `d1`.
    func link(
        connecting: TransportLimits = .init(), accepting: TransportLimits = .init()
    ) async throws -> (ticker: any MessageLink, dispatcher: any MessageLink) {
        let listener = try await self.listen(limits: accepting)
        let ticker = try await self.connector(limits: connecting).connect(
            to: listener.address, expecting: .dispatcher)
        let dispatcher = try await listener.next()
        await listener.close()
        return (ticker, dispatcher)
    }

    /// A TLS client that is no connector: it sends what bytes it likes.
    func rawClient(_ configuration: TLSConfiguration, to address: PeerAddress) async throws -> RawClient {
        let context = try TLSContext(configuration)
        return try await ClientBootstrap(group: self.group).connect(host: address.host, port: address.port) { channel in
            channel.eventLoop.makeCompletedFuture {
                let failure = channel.eventLoop.makePromise(of: TLSError?.self)
                try channel.pipeline.syncOperations.addHandlers(
                    Cutter(), TLSHandler(context: context, mode: .client(serverName: nil)), Ending(failure))
                return RawClient(channel: channel, failure: failure.futureResult)
            }
        }
    }

    func tickerConfiguration() throws -> TLSConfiguration {
        let uri = try #require(Self.identity(.ticker, "t1").uri)
        return try self.configuration(.client, self.certificate(uris: [uri]))
    }
}

struct RawClient: Sendable {
    let channel: any Channel
    /// The first error, or `nil` at an orderly end.
    let failure: EventLoopFuture<TLSError?>
}

/// Asks for the socket to be closed below TLS.
struct Cut: Sendable {}

private final class Cutter: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        if event is Cut {
            context.close(promise: promise)
        } else {
            context.triggerUserOutboundEvent(event, promise: promise)
        }
    }
}

private final class Ending: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let failure: EventLoopPromise<TLSError?>

    init(_ failure: EventLoopPromise<TLSError?>) { self.failure = failure }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.failure.succeed(error as? TLSError)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { self.failure.succeed(nil) }
}

extension TransportListener {
    /// The next link, for listeners from which one is taken at a time.
    func next() async throws -> any MessageLink {
        for await link in self.links { return link }
        throw ListenerClosed()
    }
}

struct ListenerClosed: Error {}

extension MessageLink {
    /// Takes `count` frames, or fewer if the link ends.
    func take(_ count: Int) async -> [Frame] {
        var taken: [Frame] = []
        if count == 0 { return taken }
        for await frame in self.frames {
            taken.append(frame)
            if taken.count == count { break }
        }
        return taken
    }

    /// All frames until the link ends.
    func drain() async -> [Frame] {
        var taken: [Frame] = []
        for await frame in self.frames { taken.append(frame) }
        return taken
    }

    var linkFailure: LinkError? { self.failure as? LinkError }
}

extension Frame {
    static let greeting = Frame(kind: MessageKind.hello.rawValue, payload: ByteBuffer())

    static func numbered(_ number: Int, size: Int = 8) -> Frame {
        var payload = ByteBuffer(repeating: UInt8(truncatingIfNeeded: number), count: max(size - 8, 0))
        payload.writeInteger(number)
        return Frame(
            kind: MessageKind.fireBatch.rawValue, correlation: UInt32(truncatingIfNeeded: number), payload: payload)
    }
}

/// A logger whose lines are kept.
final class LogRecorder: Sendable {
    private let events = AsyncStream.makeStream(of: String.self)
    private let errors = Mutex<[String]>([])

    var logger: Logger { Logger(label: "test") { _ in Handler(recorder: self) } }

    /// Waits for a line with this event code.
    func wait(for event: String) async {
        for await seen in self.events.stream where seen == event { return }
    }

    /// The errors logged so far.
    var loggedErrors: [String] { self.errors.withLock { $0 } }

    private struct Handler: LogHandler {
        let recorder: LogRecorder
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        init(recorder: LogRecorder) { self.recorder = recorder }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { self.metadata[key] }
            set { self.metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            if let error = event.metadata?["error"] { self.recorder.errors.withLock { $0.append("\(error)") } }
            if let code = event.metadata?["event"] { self.recorder.events.continuation.yield("\(code)") }
        }
    }
}
