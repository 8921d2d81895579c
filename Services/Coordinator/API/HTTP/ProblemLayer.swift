import Hummingbird
import Logging
import Observability

/// The innermost layer of every request: turns whatever is thrown into a problem, so that the layers around it
/// see answers with their statuses.
struct ProblemLayer: RouterMiddleware {
    typealias Context = APIRequestContext

    let logger: Logger
    let routes: RouteTable

    func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            return self.answer(to: request, requestID: context.requestID, failure: error)
        }
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
}
