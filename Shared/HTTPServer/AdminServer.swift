package import Hummingbird
package import JSON
import Logging
package import Observability
import ServiceLifecycle

/// The admin port of every service: probes, metrics, log level. Plain HTTP, no credentials: it belongs on a
/// network that only the platform reaches.
///
/// `/livez`, `/readyz`, `/startupz` answer 200 or 503, with one line per check under `?verbose`, without the
/// checks named by `?exclude=`, and as JSON when asked for. `/metrics`; `GET` and `PUT /admin/log-level`.
package struct AdminServer: Service {
    private let listener: HTTPListener<BasicRequestContext>

    /// - Parameters:
    ///   - port: 0 takes any free port.
    ///   - onBound: called once with the port that was bound.
    ///   - addRoutes: more routes under `/admin/`, such as a tool's.
    package init(
        host: String, port: Int, observability: Observability,
        onBound: @escaping @Sendable (_ port: Int) async -> Void = { _ in },
        addRoutes: (Router<BasicRequestContext>) -> Void = { _ in }
    ) {
        let router = Router()
        let health = observability.health
        router.get("livez") { request, _ in Self.answer(health.liveness, to: request) }
        router.get("readyz") { request, _ in Self.answer(health.readiness, to: request) }
        router.get("startupz") { request, _ in Self.answer(health.startup, to: request) }
        router.get("metrics") { request, _ in
            let format = ExpositionFormat(accept: request.headers[.accept])
            return Self.text(observability.metrics.exposition(format), contentType: format.contentType)
        }
        router.get("admin/log-level") { _, _ in
            Self.text("\(observability.logLevel.level.rawValue)\n")
        }
        let logger = observability.logger("admin")
        router.put("admin/log-level") { request, _ in
            let body = try await request.body.collect(upTo: HTTPServerLimits.admin.bodyByteCountMax)
            guard let level = Self.level(in: String(buffer: body)) else {
                let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                return Self.text("the level must be one of \(names)\n", status: .badRequest)
            }
            let old = observability.logLevel.level
            observability.logLevel.level = level
            logger.log(
                max(level, .info), "log level changed", event: "log_level_changed",
                ["from": .string(old.rawValue), "to": .string(level.rawValue)])
            return Self.text("\(level.rawValue)\n")
        }
        addRoutes(router)
        self.listener = HTTPListener(
            name: "admin", router: router, host: host, port: port, limits: .admin, logger: logger, onBound: onBound)
    }

    package func run() async throws { try await self.listener.run() }

    /// `debug`, or `{"level": "debug"}`.
    private static func level(in body: String) -> Logger.Level? {
        if let document = try? JSONParser.parse(body), case .object = document {
            return document["level"]?.stringValue.flatMap { Logger.Level(rawValue: $0.lowercased()) }
        }
        let word = body.filter { !$0.isWhitespace && $0 != "\"" }
        return Logger.Level(rawValue: word.lowercased())
    }

    private static func answer(_ complete: HealthReport, to request: Request) -> Response {
        let parameters = request.uri.queryParameters
        let report = complete.excluding(parameters.getAll("exclude"))
        let status: HTTPResponse.Status = report.isOK ? .ok : .serviceUnavailable
        if request.headers[.accept]?.contains("application/json") == true {
            return self.text(report.json.text + "\n", status: status, contentType: "application/json")
        }
        // Without `verbose` a failing probe still says why: the platform shows the body in its events.
        let verbose =
            parameters["verbose"] != nil || request.uri.query?.split(separator: "&").contains("verbose") == true
        let summary = report.isOK ? "ok\n" : "not ok\n"
        return self.text(verbose || !report.isOK ? report.text + summary : summary, status: status)
    }

    private static func text(
        _ text: String, status: HTTPResponse.Status = .ok, contentType: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: status,
            headers: [.contentType: contentType, .cacheControl: "no-store", .xContentTypeOptions: "nosniff"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
    }
}

extension HealthReport {
    /// `{"ok": false, "checks": [{"name": "postgres", "ok": false, "reason": "…"}]}`.
    package var json: JSONValue {
        [
            "ok": .bool(self.isOK),
            "checks": .array(
                self.checks.map { check in
                    switch check.status {
                    case .ok: ["name": .string(check.name), "ok": true]
                    case .notReady(let reason): ["name": .string(check.name), "ok": false, "reason": .string(reason)]
                    }
                }),
        ]
    }
}
