import CoordinatorDomain
package import EscapementModel
import JSON
import Logging
import MemberLink
import NIOCore
package import Observability
import ServiceLifecycle
package import Store
import Synchronization
package import WireProtocol

/// A coordinator without its API: takes part in the election, leads when elected, otherwise follows; accepts
/// links either way. Also the API's way into the cluster.
///
/// Does nothing before the database has been reached and its settings were found equal to ours; until then
/// links are told that nobody leads.
package final class Coordinator: Service, ClusterGateway {
    /// The name of the database among the health checks; set by whoever owns the connections.
    package static let databaseCheck = "postgres"

    /// What this process is at present.
    enum Part: Sendable {
        case waiting
        case following(FollowerSession)
        case leading(LeaderShell)
    }

    private struct State {
        var part = Part.waiting
        /// The epoch that the election has given this process; `nil` while it does not lead.
        var ledEpoch: Epoch?
    }

    private enum Phase: Sendable {
        case follow
        case lead(Epoch)
    }

    let settings: CoordinatorSettings
    private let locks: any LockStore
    private let schedules: any ScheduleStore
    private let listener: any MessageListener
    private let connector: any MessageConnector
    private let clocks: any Clocks
    private let health: Health
    private let metrics: CoordinatorMetrics
    private let logger: Logger
    private let seed: UInt64
    private let startup: StoreStartup
    private let election: ElectionShell
    private let state = Mutex(State())
    /// Turns while the cooperative pool does; for a liveness check.
    private let beat: LoopBeat

    /// - Parameters:
    ///   - listener: accepts links of every role at `settings.address`.
    ///   - connector: opens links to other coordinators.
    ///   - seed: of all jitter; different in every process.
    package init(
        settings: CoordinatorSettings, locks: any LockStore, schedules: any ScheduleStore,
        listener: any MessageListener, connector: any MessageConnector, clocks: any Clocks,
        observability: Observability, seed: UInt64
    ) {
        let logger = observability.logger("coordinator")
        self.settings = settings
        self.locks = locks
        self.schedules = schedules
        self.listener = listener
        self.connector = connector
        self.clocks = clocks
        self.health = observability.health
        self.metrics = CoordinatorMetrics(registry: observability.metrics)
        self.logger = logger
        self.seed = seed
        self.startup = StoreStartup(
            store: schedules, clocks: clocks, settings: settings, health: observability.health, logger: logger)
        self.election = ElectionShell(
            store: locks, clocks: clocks, settings: settings, seed: seed &+ 1, logger: logger)
        self.beat = LoopBeat("event loop", limit: .seconds(5), now: { clocks.monotonicNow() })
        let beat = self.beat
        observability.health.addLivenessCheck("event loop") { beat.status }
    }

    /// Works until a graceful shutdown: then gives the lease back and ends every link.
    ///
    /// - Throws: `ClusterSettingsMismatch` when the database belongs to a cluster with other settings.
    package func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            let server = LinkServer(
                settings: self.settings, clocks: self.clocks, logger: self.logger, leader: { self.leader },
                leaderAddress: { self.leaderAddress?.description })
            group.addTask { await server.run(self.listener) }
            group.addTask { await self.turn() }
            defer { group.cancelAll() }
            do {
                // A database that never came leaves the start-up waiting: there is nothing to give back.
                try await cancelWhenGracefulShutdown { try await self.startup.run() }
            } catch is CancellationError {
                return
            }
            await withGracefulShutdownHandler {
                await self.takePart()
            } onGracefulShutdown: {
                self.election.stop()
            }
        }
        await self.listener.close()
    }

    private func turn() async {
        while true {
            self.beat.beat()
            do { try await self.clocks.sleep(for: .seconds(1)) } catch { return }
        }
    }

    // MARK: - Leading and following

    /// Whether this process leads, and under which epoch.
    package var ledEpoch: Epoch? { self.leader?.epoch }

    var part: Part { self.state.withLock { $0.part } }

    private var leader: LeaderShell? { if case .leading(let leader) = self.part { leader } else { nil } }

    /// Where the leader accepts links; `nil` when nobody is known to lead, or it would be us.
    private var leaderAddress: PeerAddress? {
        guard let seen = self.election.seen, seen.holder != self.settings.incarnation else { return nil }
        return seen.address.flatMap { PeerAddress(text: $0) }
    }

    /// Takes part in the election until it is stopped.
    private func takePart() async {
        // One entry for each change of the election, which takes a second at least.
        let (phases, enqueue) = AsyncStream<Phase>.makeStream(bufferingPolicy: .unbounded)
        enqueue.yield(.follow)
        await withDiscardingTaskGroup { group in
            group.addTask {
                await self.election.run { change in
                    switch change {
                    case .lead(let epoch):
                        self.enter(.waiting, ledEpoch: epoch)
                        enqueue.yield(.lead(epoch))
                    case .stepDown(_, let reason):
                        // At once: whatever the leader still says would be refused.
                        self.enter(.waiting, ledEpoch: nil)
                        if reason != .stopping { enqueue.yield(.follow) }
                    }
                }
                enqueue.finish()
            }
            for await phase in phases {
                switch phase {
                case .follow:
                    guard let session = self.follow() else { continue }
                    group.addTask { await session.run() }
                case .lead(let epoch): group.addTask { await self.lead(epoch) }
                }
            }
            self.enter(.waiting, ledEpoch: nil)
            group.cancelAll()
        }
    }

    /// Ends what this process was before.
    private func enter(_ part: Part, ledEpoch: Epoch?) {
        let former = self.state.withLock { state in
            defer {
                state.part = part
                state.ledEpoch = ledEpoch
            }
            return state.part
        }
        switch former {
        case .waiting: break
        case .following(let session): session.leave()
        case .leading(let leader): leader.stop()
        }
    }

    private func follow() -> FollowerSession? {
        let session = FollowerSession(
            settings: self.settings, connector: self.connector, clocks: self.clocks, seed: self.seed &+ 2,
            logger: self.logger, leader: { [weak self] in self?.leaderAddress })
        return self.state.withLock { state in
            guard state.ledEpoch == nil, case .waiting = state.part else { return nil }
            state.part = .following(session)
            return session
        }
    }

    private func lead(_ epoch: Epoch) async {
        let (election, health) = (self.election, self.health)
        let environment = LeaderEnvironment(
            locks: self.locks, schedules: self.schedules, clocks: self.clocks, settings: self.settings,
            metrics: self.metrics, logger: self.logger, leads: { election.leads(epoch) },
            deposed: { election.deposed(epoch) },
            dependencies: { health.status(of: Self.databaseCheck).map { [(Self.databaseCheck, $0)] } ?? [] })
        guard let leader = await LeaderShell.begin(epoch: epoch, environment: environment) else { return }
        let isStillOurs = self.state.withLock { state in
            guard state.ledEpoch == epoch else { return false }
            state.part = .leading(leader)
            return true
        }
        if isStillOurs { await leader.run() }
    }
}
