package import Hummingbird
import HummingbirdCore
package import Logging
package import NIOCore
import NIOPosix
import Observability
import ServiceLifecycle
package import TLS

/// One HTTP or HTTPS listener as a service: bind, report the port, serve, and on graceful shutdown finish
/// what is in flight.
package struct HTTPListener<Context: RequestContext>: Service
where Context.Source == ApplicationRequestContextSource {
    private let name: String
    private let responder: RouterResponder<Context>
    private let host: String
    private let port: Int
    private let slot: TLSContextSlot?
    private let limits: HTTPServerLimits
    private let logger: Logger
    private let group: any EventLoopGroup
    private let onBound: @Sendable (_ port: Int) async -> Void

    /// - Parameters:
    ///   - name: for logs and the ready file: `admin`, `api`.
    ///   - port: 0 takes any free port.
    ///   - slot: the TLS context of an HTTPS listener; `nil` for plain HTTP.
    ///   - onBound: called once with the port that was bound, before the first request.
    package init(
        name: String, router: Router<Context>, host: String, port: Int, slot: TLSContextSlot? = nil,
        limits: HTTPServerLimits = HTTPServerLimits(), logger: Logger,
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton,
        onBound: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
    ) {
        self.name = name
        self.responder = router.buildResponder()
        self.host = host
        self.port = port
        self.slot = slot
        self.limits = limits
        self.logger = logger
        self.group = group
        self.onBound = onBound
    }

    /// Serves until cancelled or shut down.
    ///
    /// - Throws: `HTTPListenError` when the address cannot be bound.
    package func run() async throws {
        let wasBound = BoundPort()
        let (name, logger, onBound) = (self.name, self.logger, self.onBound)
        // Hummingbird's own lines carry no event code; what matters is logged here.
        var quietLogger = logger
        quietLogger.logLevel = max(.warning, logger.logLevel)
        let application = Application(
            responder: self.responder,
            server: self.slot.map { .ownTLS(slot: $0, limits: self.limits) } ?? .plain(limits: self.limits),
            configuration: ApplicationConfiguration(
                address: .hostname(self.host, port: self.port), backlog: 1024,
                availableConnectionsDelegate: .maximum(self.limits.connectionCountMax, logger: quietLogger)),
            onServerRunning: { channel in
                let port = channel.localAddress?.port ?? 0
                wasBound.set(port)
                logger.info(
                    "listening", event: "http_listening",
                    ["listener": .string(name), LogKey.port: .number(port)])
                await onBound(port)
            }, eventLoopGroupProvider: .shared(self.group), logger: quietLogger)
        do {
            try await application.run()
        } catch let error where wasBound.value == nil && !(error is CancellationError) {
            throw HTTPListenError(listener: name, host: self.host, port: self.port, underlying: error)
        }
    }
}

/// A listener could not be bound: wrong address, or the port is taken. Retrying helps only when the other
/// program goes away.
package struct HTTPListenError: Error, CustomStringConvertible {
    package var listener: String
    package var host: String
    package var port: Int
    package var underlying: any Error

    package var description: String {
        "the \(self.listener) listener cannot use \(self.host):\(self.port): \(self.underlying)"
    }
}
