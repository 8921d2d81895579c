import CoordinatorAPI
import CoordinatorService
import EscapementModel
import HTTPServer
import Logging
import Observability
import PostgresStore
import ServiceConfiguration
import ServiceLifecycle

/// The coordinator as a service; settings that differ from the database's end the process with code 78.
struct CoordinatorRun: Service {
    let coordinator: Coordinator

    func run() async throws {
        do {
            try await self.coordinator.run()
        } catch let mismatch as ClusterSettingsMismatch {
            throw ConfigurationRefusal(
                mismatch.differences.map { ConfigurationProblem($0.setting, $0.message, remedy: $0.remedy) })
        }
    }
}

/// The database connections: opened first, closed last.
struct StoreRun: Service {
    let store: PostgresStore

    func run() async throws {
        self.store.start()
        do {
            try await gracefulShutdown()
        } catch {
            // Cancelled without a shutdown: the connections are closed all the same.
            await self.store.close()
            throw error
        }
        await self.store.close()
    }
}

/// The built-in canary; not at all when the operator wants none.
struct CanaryRun: Service {
    /// `nil` for none.
    let keeper: CanaryKeeper?

    func run() async throws {
        guard let keeper else {
            try await gracefulShutdown()
            return
        }
        await cancelWhenGracefulShutdown { await keeper.run() }
    }
}

/// Fails readiness and waits until load balancers have noticed, before anything else stops.
struct RotationPause: Service {
    /// What Kubernetes needs to take an endpoint out everywhere, as a rule.
    static let pauseMax = Duration.seconds(5)
    /// The name of the condition among the health checks.
    static let check = "draining"

    let health: Health
    let clocks: SystemClocks
    let drainLimit: Duration

    init(health: Health, clocks: SystemClocks, drainLimit: Duration) {
        self.health = health
        self.clocks = clocks
        self.drainLimit = drainLimit
        health.declare(Self.check, kind: .condition, gates: [.readiness], initially: .ok)
    }

    func run() async throws {
        try await gracefulShutdown()
        self.health.set(Self.check, .notReady("shutting down"))
        // A short limit is somebody's wish for a quick end: most of it is left for what follows.
        try await self.clocks.sleep(for: min(Self.pauseMax, self.drainLimit / 8))
    }
}

/// Notes listeners for the ready file; a file that cannot be written stops nothing but is said.
struct ReadyNote: Sendable {
    let file: ReadyFile
    let logger: Logger

    func note(_ listener: String, _ port: Int) {
        do {
            try self.file.note(listener, port: port)
        } catch {
            self.logger.error(
                "the ready file is not written", event: "ready_file_failed", [LogKey.error: .text(error)])
        }
    }
}
