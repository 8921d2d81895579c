import EscapementModel
import Hummingbird
import Logging
import Observability

/// The outermost layer of every request: gives it an id, writes one log line, and sets the header fields that
/// every answer has.
struct RequestShell: RouterMiddleware {
    typealias Context = APIRequestContext

    let logger: Logger
    let clocks: any Clocks

    /// Longest id of a caller's that is taken over.
    private static let requestIDLengthMax = 128

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = Self.requestID(of: request)
        let start = self.clocks.monotonicNow()
        var response = try await next(request, context)
        response.headers[own: .requestID] = context.requestID
        response.headers[.xContentTypeOptions] = "nosniff"
        if response.headers[.cacheControl] == nil { response.headers[.cacheControl] = "no-store" }
        let milliseconds = self.clocks.monotonicNow().duration(since: start).wholeMilliseconds
        self.logger.debug(
            "request answered", event: "http_request",
            [
                LogKey.requestID: .string(context.requestID), LogKey.httpMethod: .string(request.method.rawValue),
                LogKey.httpRoute: .string(context.endpointPath ?? ""), LogKey.httpStatus: .number(response.status.code),
                LogKey.durationMilliseconds: .number(milliseconds),
            ])
        return response
    }

    /// The caller's id when it is fit for a log line and a header, else a new one.
    private static func requestID(of request: Request) -> String {
        if let given = request.headers[own: .requestID], !given.isEmpty,
            given.utf8.count <= self.requestIDLengthMax, given.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
        {
            return given
        }
        var generator = SystemRandomNumberGenerator()
        return "req_\(UID.random(using: &generator).hex.prefix(20))"
    }
}
