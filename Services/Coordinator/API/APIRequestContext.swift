package import Hummingbird
import NIOCore

/// What Hummingbird carries along with a request of ours.
package struct APIRequestContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The caller's address without the port, for limits and the audit trail; `unknown` where there is none.
    package let remoteAddress: String
    /// Given by the caller or drawn here; set by the first middleware.
    package var requestID = ""

    package init(source: ApplicationRequestContextSource) {
        self.coreContext = CoreRequestContextStorage(source: source)
        self.remoteAddress = source.channel.remoteAddress?.ipAddress ?? "unknown"
    }
}
