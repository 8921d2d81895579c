package import Hummingbird
package import Observability

/// `http_server_request_duration_seconds` by method, route and status: the name that OpenTelemetry's
/// convention gets in Prometheus. The route is the router's pattern, so the number of series is bounded.
package struct RequestMetrics<Context: RequestContext>: RouterMiddleware {
    private static var methods: Set<String> { ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] }

    private let durations: MetricFamily<Histogram>
    private let clock = ContinuousClock()

    package init(_ metrics: MetricsRegistry) {
        self.durations = metrics.histograms(
            "http_server_request_duration_seconds", "Time to the beginning of the answer.",
            labels: ["http_request_method", "http_route", "http_response_status_code"], buckets: .duration)
    }

    package func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        let start = self.clock.now
        let method = request.method.rawValue
        func observe(_ status: Int) {
            self.durations.series(
                Self.methods.contains(method) ? method : "_OTHER", context.endpointPath ?? "", "\(status)"
            ).observe(self.clock.now - start)
        }
        do {
            let response = try await next(request, context)
            observe(response.status.code)
            return response
        } catch {
            observe((error as? any HTTPResponseError)?.status.code ?? 500)
            throw error
        }
    }
}
