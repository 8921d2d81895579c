import Hummingbird
package import HummingbirdCore
import JSON
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
            responder: Self.refusingLargeBodies(responder, byteCountMax: limits.bodyByteCountMax),
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

    /// Answers a request that announces too large a body before reading it, and ends the answers of its
    /// connection: whoever goes on sending is cut off by the request's deadline.
    private static func refusingLargeBodies(
        _ responder: @escaping HTTPChannelHandler.Responder, byteCountMax: Int
    ) -> HTTPChannelHandler.Responder {
        { request, writer, channel in
            guard let text = request.headers[.contentLength], let length = Int(text), length > byteCountMax else {
                return try await responder(request, writer, channel)
            }
            let problem: JSONValue = [
                "type": "about:blank", "title": "Content Too Large", "status": 413, "code": "PAYLOAD_TOO_LARGE",
                "detail": .string("the body has \(length) bytes, at most \(byteCountMax) are accepted"),
            ]
            let response = Response(
                status: .contentTooLarge, headers: [.contentType: "application/problem+json", .connection: "close"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: problem.bytes)))
            try await writer.write(response: response.head, body: response.body)
            channel.close(mode: .output, promise: nil)
        }
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
