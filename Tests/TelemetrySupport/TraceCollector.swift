import HTTPServer
import Hummingbird
package import JSON
import Logging
import NIOCore
import Synchronization

/// A collector that keeps what it is sent, and answers as told.
package final class TraceCollector: Sendable {
    private struct State {
        var bodies: [[UInt8]] = []
        var tokens: [String] = []
        var statuses: [Int] = []
    }

    private let state = Mutex(State())

    package init() {}

    package var bodies: [[UInt8]] { self.state.withLock { $0.bodies } }
    /// The values of the header `x-token`; empty where there was none.
    package var tokens: [String] { self.state.withLock { $0.tokens } }

    /// All spans received, whoever sent them.
    package var spans: [JSONValue] {
        get throws {
            try self.bodies.flatMap { body in
                let resources = try JSONParser.parse(body)["resourceSpans"]?.arrayValue ?? []
                return resources.flatMap { $0["scopeSpans"]?.arrayValue ?? [] }.flatMap {
                    $0["spans"]?.arrayValue ?? []
                }
            }
        }
    }

    /// The next answers; 200 when there is none left.
    package func answer(_ statuses: [Int]) { self.state.withLock { $0.statuses = statuses } }

    /// Listens while `body` runs.
    package func run(_ body: @escaping @Sendable (_ url: String) async throws -> Void) async throws {
        let router = Router()
        router.post("/v1/traces") { request, _ in
            let bytes = try await request.body.collect(upTo: 1 << 20)
            let token = request.headers.first { $0.name.canonicalName == "x-token" }?.value ?? ""
            let status = self.state.withLock { state in
                state.bodies.append(Array(bytes.readableBytesView))
                state.tokens.append(token)
                return state.statuses.isEmpty ? 200 : state.statuses.removeFirst()
            }
            return Response(status: .init(code: status))
        }
        let (ports, port) = AsyncStream<Int>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let logger = Logger(label: "collector", factory: { _ in SwiftLogNoOpLogHandler() })
        let listener = HTTPListener(
            name: "collector", router: router, host: "127.0.0.1", port: 0, slot: nil, limits: HTTPServerLimits(),
            logger: logger, onBound: { port.yield($0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await listener.run() }
            for await bound in ports {
                try await body("http://127.0.0.1:\(bound)")
                break
            }
            group.cancelAll()
        }
    }
}
