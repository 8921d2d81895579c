import HTTPServer
import JSON
import Logging
import Observability
import ServiceConfiguration
import ServiceLifecycle
import Synchronization
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// One after the other: they send signals to this very process.
@Suite(.serialized) struct ServiceMainTests {
    private struct ClosureService: Service {
        let body: @Sendable () async throws -> Void
        func run() async throws { try await self.body() }
    }

    private struct Broken: Error {}

    private final class Events: Sendable {
        private let lines = Mutex<[[UInt8]]>([])
        var logger: Logger {
            let observability = Observability(
                identity: ProcessIdentity(role: "test", instance: "a", cluster: "b"), format: .json,
                sink: LogSink { line in self.lines.withLock { $0.append(line) } })
            return observability.logger("main")
        }
        func codes() throws -> [String] {
            try self.lines.withLock { $0 }.compactMap { try JSONParser.parse($0)["event"]?.stringValue }
        }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `a signal stops the services in reverse order, with code 0`(signal: Int32) async throws {
        let events = Events()
        let order = Mutex<[String]>([])
        let first = ClosureService {
            try await gracefulShutdown()
            order.withLock { $0.append("first") }
        }
        let second = ClosureService {
            kill(getpid(), signal)
            try await gracefulShutdown()
            order.withLock { $0.append("second") }
        }
        let code = await ServiceMain.run([first, second], logger: events.logger, drainLimit: .seconds(60))
        #expect(code == 0)
        #expect(order.withLock { $0 } == ["second", "first"])
        #expect(try events.codes() == ["shutdown_requested", "process_stopped"])
    }

    @Test func `a service that fails ends the process with code 1 and one line`() async throws {
        let events = Events()
        let code = await ServiceMain.run(
            [ClosureService { throw Broken() }], logger: events.logger, drainLimit: .seconds(60))
        #expect(code == 1)
        #expect(try events.codes() == ["service_failed"])
    }

    @Test func `a configuration refused while running ends with code 78`() async throws {
        let refusal = ConfigurationRefusal([
            ConfigurationProblem(
                "ESCAPEMENT_CLUSTER_SHARDS", "is 8, but the database keeps 256", remedy: "set it to 256")
        ])
        let code = await ServiceMain.run(
            [ClosureService { throw refusal }], logger: Events().logger, drainLimit: .seconds(60))
        #expect(code == 78)
    }
}

@Suite struct ReadyFileTests {
    @Test func `the file appears whole, once every listener is bound`() throws {
        let path = "/tmp/escapement-ready-\(getpid())-\(UInt64.random(in: 0 ... .max)).json"
        defer { unlink(path) }
        let file = ReadyFile(path: path, role: "ticker", instance: "t\"0", listeners: ["admin", "cluster"])
        try file.note("admin", port: 9090)
        #expect(access(path, F_OK) != 0)
        try file.note("cluster", port: 7400)
        var buffer = [UInt8](repeating: 0, count: 4096)
        let descriptor = open(path, O_RDONLY)
        let count = read(descriptor, &buffer, buffer.count)
        close(descriptor)
        let document = try JSONParser.parse(buffer[..<max(0, count)])
        #expect(document["pid"] == .integer(getpid()))
        #expect(document["role"] == "ticker")
        #expect(document["instance"] == "t\"0")
        #expect(document["ports"]?["admin"] == 9090)
        #expect(document["ports"]?["cluster"] == 7400)
    }

    @Test func `without a path nothing is written, and a bad path is an error`() throws {
        try ReadyFile(path: nil, role: "r", instance: "i", listeners: ["a"]).note("a", port: 1)
        let file = ReadyFile(path: "/nowhere/x", role: "r", instance: "i", listeners: ["a"])
        #expect(throws: ReadyFileError.self) { try file.note("a", port: 1) }
    }
}
