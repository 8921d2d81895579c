package import Hummingbird

/// Refuses, with 413 and before reading it, a body that announces more than the limit. A handler that
/// collects a body of unknown length gives the same limit to `collect(upTo:)`.
package struct BodyLimit<Context: RequestContext>: RouterMiddleware {
    private let byteCountMax: Int

    package init(_ byteCountMax: Int) { self.byteCountMax = byteCountMax }

    package func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        if let text = request.headers[.contentLength], let length = Int(text), length > self.byteCountMax {
            throw HTTPError(
                .contentTooLarge, headers: [.connection: "close"],
                message: "the body has \(length) bytes, at most \(self.byteCountMax) are accepted")
        }
        return try await next(request, context)
    }
}
