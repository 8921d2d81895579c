package import NIOCore

/// Closes a connection whose request is not answered in time, counted from the request's first byte to the
/// answer's first byte: ends clients that send headers or a body drop by drop, and handlers that hang.
///
/// Sees bytes only: whatever arrives starts the time, whatever is written ends it, so an answer that
/// streams for hours is untouched.
package final class RequestDeadlineHandler: ChannelDuplexHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundIn = ByteBuffer

    private let timeout: TimeAmount
    private var deadline: Scheduled<Void>?

    package init(timeout: TimeAmount) { self.timeout = timeout }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if self.deadline == nil {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            self.deadline = context.eventLoop.scheduleTask(in: self.timeout) { bound.value.close(promise: nil) }
        }
        context.fireChannelRead(data)
    }

    package func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        self.cancel()
        context.write(data, promise: promise)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        self.cancel()
        context.fireChannelInactive()
    }

    package func handlerRemoved(context: ChannelHandlerContext) { self.cancel() }

    private func cancel() {
        self.deadline?.cancel()
        self.deadline = nil
    }
}
