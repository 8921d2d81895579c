package import Hummingbird
package import Observability

/// A span for every request, below the caller's when it sent a `traceparent`. What the request makes finds the span in
/// `TraceContext.current`.
package struct RequestTraces<Context: RequestContext>: RouterMiddleware {
    private let recorder: SpanRecorder

    package init(_ recorder: SpanRecorder) { self.recorder = recorder }

    package func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard self.recorder.isOn else { return try await next(request, context) }
        let parent = request.headers.first { $0.name.canonicalName == "traceparent" }.map(\.value).flatMap {
            TraceContext(header: $0)
        }
        let own = self.context(below: parent)
        let start = StructuredLogHandler.wallMicroseconds() * 1000
        func record(_ status: Int) {
            let route = context.endpointPath ?? ""
            self.recorder.record(
                Span(
                    own, parent: parent?.spanID, name: "\(request.method.rawValue) \(route)", kind: .server,
                    start: start,
                    end: StructuredLogHandler.wallMicroseconds() * 1000,
                    attributes: [
                        ("http.request.method", .text(request.method.rawValue)), ("http.route", .text(route)),
                        ("http.response.status_code", .integer(Int64(status))),
                    ], error: status >= 500 ? "status \(status)" : nil))
        }
        do {
            let response = try await TraceContext.$current.withValue(own) { try await next(request, context) }
            record(response.status.code)
            return response
        } catch {
            record((error as? any HTTPResponseError)?.status.code ?? 500)
            throw error
        }
    }

    private func context(below parent: TraceContext?) -> TraceContext {
        var random = SystemRandomNumberGenerator()
        // Never zero, which is no id.
        func digits(_ count: Int) -> String {
            (0..<count / 16).map { _ in
                let text = String(UInt64.random(in: 1...UInt64.max, using: &random), radix: 16)
                return String(repeating: "0", count: 16 - text.utf8.count) + text
            }.joined()
        }
        let span = digits(16)
        if let parent {
            return TraceContext(
                traceID: parent.traceID, spanID: span, isSampled: self.recorder.samples(below: parent))
        }
        let trace = digits(32)
        return TraceContext(traceID: trace, spanID: span, isSampled: self.recorder.samples(traceID: trace))
    }
}
