import EscapementModel
import Hummingbird
import Logging
import Observability
import Store

/// The outermost layer of every request: gives it an id, turns whatever is thrown into a problem, writes
/// one log line, and sets the header fields that every answer has.
struct RequestShell: RouterMiddleware {
    typealias Context = APIRequestContext

    let logger: Logger
    let clocks: any Clocks
    let routes: RouteTable

    /// Longest id of a caller's that is taken over.
    private static let requestIDLengthMax = 128

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.requestID = Self.requestID(of: request)
        let start = self.clocks.monotonicNow()
        var response: Response
        do {
            response = try await next(request, context)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            response = self.answer(to: request, requestID: context.requestID, failure: error)
        }
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

    private func answer(to request: Request, requestID: String, failure: any Error) -> Response {
        var problem = Problem(describing: failure)
        if problem.code == Problem.Code.notFound, failure is HTTPError {
            let methods = self.routes.methods(at: request.uri.path)
            if !methods.isEmpty {
                problem = Problem(
                    405, Problem.Code.methodNotAllowed, "\(request.uri.path) knows \(methods.joined(separator: ", "))")
                problem.allow = methods.joined(separator: ", ")
            }
        }
        if problem.status >= 500 {
            self.logger.warning(
                "request failed", event: "http_request_failed",
                [
                    LogKey.requestID: .string(requestID), LogKey.httpMethod: .string(request.method.rawValue),
                    LogKey.path: .string(request.uri.path), LogKey.httpStatus: .number(problem.status),
                    LogKey.error: .string("\(failure)"), LogKey.errorType: .string("\(type(of: failure))"),
                ])
        }
        return Answer.problem(problem, instance: request.uri.path, requestID: requestID)
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
