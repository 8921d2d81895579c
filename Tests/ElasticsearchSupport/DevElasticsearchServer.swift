package import DevElasticsearch
import EscapementModel
import HTTPServer
import Logging
import NIOCore
import ServiceLifecycle
package import TLS
package import TestSupport

/// Dev Elasticsearch within the process of a test, on a free port.
package struct DevElasticsearchServer: Sendable {
    package static let username = "elastic"
    package static let password = "a password"

    /// `http://127.0.0.1:port`, or `https`.
    package let url: String
    /// What goes wrong on order.
    package let faults: Faults

    /// Hides templates and policies, as a real server does from credentials that may write documents only.
    package func hideSetup() { self.faults.plan.hidesSetup = true }

    /// Serves the data of `folder` while `body` runs.
    ///
    /// - Parameters:
    ///   - asksWho: whether it wants the user and password above.
    ///   - dialect: the server that it stands in for.
    ///   - tls: a server's, for HTTPS.
    package static func with(
        folder: TemporaryFolder, asksWho: Bool = false, dialect: ServerDialect = .standard,
        tls: TLSConfiguration? = nil,
        _ body: @escaping @Sendable (DevElasticsearchServer) async throws -> Void
    ) async throws {
        let clocks = SystemClocks()
        let faults = Faults(seed: 1)
        let routes = ElasticsearchRoutes(
            node: try Node(folder: folder.path, clocks: clocks, seed: 1, dialect: dialect), faults: faults,
            clocks: clocks,
            username: asksWho ? self.username : nil, password: self.password)
        let (ports, bound) = AsyncStream.makeStream(of: Int.self)
        let logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        var limits = HTTPServerLimits()
        limits.bodyByteCountMax = ElasticsearchRoutes.bodyByteCountMax
        let listener = HTTPListener(
            name: "api", router: routes.router(), host: "127.0.0.1", port: 0,
            slot: try tls.map { try TLSContextSlot($0, now: clocks.wallNow()) }, limits: limits, logger: logger,
            onBound: { bound.yield($0) })
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [listener], logger: logger))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                defer { bound.finish() }
                try await group.run()
            }
            if let port = await ports.first(where: { _ in true }) {
                do {
                    try await body(
                        DevElasticsearchServer(
                            url: "\(tls == nil ? "http" : "https")://127.0.0.1:\(port)", faults: faults))
                } catch {
                    await group.triggerGracefulShutdown()
                    throw error
                }
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }
}
