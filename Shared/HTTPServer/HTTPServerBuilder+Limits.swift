package import HummingbirdCore
package import Logging
package import NIOCore
package import TLS

/// HTTP/1.1 within our limits, over TCP or over our TLS: Hummingbird's own channel with handlers below it.
package struct LimitedHTTPChannel: HTTPChannelHandler {
    private let base: HTTP1Channel
    private let slot: TLSContextSlot?
    private let requestTimeout: TimeAmount

    package init(responder: @escaping HTTPChannelHandler.Responder, slot: TLSContextSlot?, limits: HTTPServerLimits) {
        self.base = HTTP1Channel(
            responder: responder,
            configuration: HTTP1Channel.Configuration(
                idleTimeout: TimeAmount(limits.idleTimeout),
                httpDecoderConfiguration: .init(
                    maxHeaderFieldSize: limits.headerFieldByteCountMax,
                    maxHeaderListSize: limits.headerListByteCountMax,
                    maxHeaderFieldCount: limits.headerFieldCountMax)))
        self.slot = slot
        self.requestTimeout = TimeAmount(limits.requestTimeout)
    }

    package var responder: HTTPChannelHandler.Responder { self.base.responder }

    /// Each connection takes the slot's context as it begins, so a reloaded certificate shows on the next one.
    package func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<HTTP1Channel.Value> {
        channel.eventLoop.makeCompletedFuture {
            if let slot = self.slot {
                try channel.pipeline.syncOperations.addHandler(TLSHandler(context: slot.current, mode: .server))
            }
            try channel.pipeline.syncOperations.addHandler(RequestDeadlineHandler(timeout: self.requestTimeout))
        }.flatMap { self.base.setup(channel: channel, logger: logger) }
    }

    package func handle(value: HTTP1Channel.Value, logger: Logger) async {
        await self.base.handle(value: value, logger: logger)
    }
}

extension HTTPServerBuilder {
    /// HTTPS over our own TLS.
    ///
    /// - Parameter slot: a server's context, with `http/1.1` as its application protocol, and with
    ///   `releasesIdleBuffers` where many idle connections are expected.
    package static func ownTLS(
        slot: TLSContextSlot, limits: HTTPServerLimits = HTTPServerLimits()
    ) -> HTTPServerBuilder {
        HTTPServerBuilder { LimitedHTTPChannel(responder: $0, slot: slot, limits: limits) }
    }

    /// Plain HTTP within `limits`.
    package static func plain(limits: HTTPServerLimits = HTTPServerLimits()) -> HTTPServerBuilder {
        HTTPServerBuilder { LimitedHTTPChannel(responder: $0, slot: nil, limits: limits) }
    }
}
