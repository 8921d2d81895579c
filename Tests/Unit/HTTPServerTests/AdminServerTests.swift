import HTTPServer
import JSON
import Logging
import Observability
import ServiceLifecycle
import Testing

@Suite struct AdminServerTests {
    private let observability = Observability(
        identity: ProcessIdentity(role: "ticker", instance: "ticker-0", cluster: "test"), format: .json,
        sink: LogSink { _ in })

    /// Runs an admin server on a free port for the time of `body`.
    private func withServer(_ body: @Sendable (Int) async throws -> Void) async throws {
        let bound = BoundPort()
        let server = AdminServer(
            host: "127.0.0.1", port: 0, observability: self.observability, onBound: { bound.set($0) })
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(services: [server], logger: self.observability.logger("test")))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            try await body(await bound.wait())
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test func `probes answer what health says`() async throws {
        let health = self.observability.health
        health.declare("postgres")
        try await self.withServer { (port: Int) async throws in
            let live = try await RawHTTP.get(port, "/livez")
            #expect(live.status == 200)
            #expect(live.body == "ok\n")

            let down = try await RawHTTP.get(port, "/readyz")
            #expect(down.status == 503)
            #expect(down.body == "[-]postgres failed: not checked yet\nnot ok\n")
            #expect(try await RawHTTP.get(port, "/readyz?exclude=postgres").status == 200)
            #expect(try await RawHTTP.get(port, "/startupz").status == 503)

            let json = try await RawHTTP.get(port, "/readyz", headers: ["Accept: application/json"])
            #expect(json.status == 503)
            #expect(json.headers["content-type"] == "application/json")
            let document = try JSONParser.parse(json.body.filter { $0 != "\n" })
            #expect(document["ok"] == false)
            #expect(document["checks"]?[0]?["name"] == "postgres")
            #expect(document["checks"]?[0]?["reason"] == "not checked yet")

            health.set("postgres", .ok)
            #expect(try await RawHTTP.get(port, "/readyz").body == "ok\n")
            #expect(try await RawHTTP.get(port, "/readyz?verbose").body == "[+]postgres ok\nok\n")
            #expect(try await RawHTTP.get(port, "/readyz?verbose=1").body == "[+]postgres ok\nok\n")
            #expect(try await RawHTTP.get(port, "/startupz").status == 200)
        }
    }

    @Test func `metrics come in the format that is asked for`() async throws {
        self.observability.metrics.counter("escapement_test_total", "T.").increment()
        try await self.withServer { (port: Int) async throws in
            let text = try await RawHTTP.get(port, "/metrics")
            #expect(text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
            #expect(text.body.contains("\nescapement_test_total 1\n"))
            let open = try await RawHTTP.get(
                port, "/metrics", headers: ["Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1"])
            #expect(open.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8")
            #expect(open.body.hasSuffix("# EOF\n"))
        }
    }

    @Test func `the log level changes while the process runs`() async throws {
        let control = self.observability.logLevel
        try await self.withServer { (port: Int) async throws in
            #expect(try await RawHTTP.get(port, "/admin/log-level").body == "info\n")
            let changed = try await RawHTTP.send(port, "PUT", "/admin/log-level", body: "debug\n")
            #expect(changed.status == 200)
            #expect(control.level == .debug)
            let json = try await RawHTTP.send(port, "PUT", "/admin/log-level", body: "{\"level\": \"Warning\"}")
            #expect(json.status == 200)
            #expect(control.level == .warning)
            let wrong = try await RawHTTP.send(port, "PUT", "/admin/log-level", body: "loud")
            #expect(wrong.status == 400)
            #expect(control.level == .warning)
        }
    }

    @Test func `large bodies, large headers and unknown paths are refused`() async throws {
        try await self.withServer { (port: Int) async throws in
            let body = String(repeating: "x", count: HTTPServerLimits.admin.bodyByteCountMax + 1)
            #expect(try await RawHTTP.send(port, "PUT", "/admin/log-level", body: body).status == 413)
            let header = "X-Large: " + String(repeating: "x", count: HTTPServerLimits.admin.headerListByteCountMax)
            #expect(try await RawHTTP.get(port, "/livez", headers: [header]).status == 400)
            #expect(try await RawHTTP.get(port, "/nothing").status == 404)
            #expect(try await RawHTTP.send(port, "POST", "/livez", body: "").status != 200)
        }
    }

    @Test func `a port that is taken is an error that names it`() async throws {
        try await self.withServer { (port: Int) async throws in
            let second = AdminServer(host: "127.0.0.1", port: port, observability: self.observability)
            let error = await #expect(throws: HTTPListenError.self) { try await second.run() }
            #expect(error?.description.contains("127.0.0.1:\(port)") == true)
        }
    }
}
