import CoordinatorService
import EscapementModel
import Logging
import Observability
import ServiceLifecycle
import Store
import Synchronization
import Testing
import TestSupport
import WireProtocol

/// Real coordinators on a store, a network and clocks in memory, with members that obey.
final class Harness: Sendable {
    static let cluster = "test"
    static let shardCount = 8
    static let laneCount = 2

    /// One coordinator's way to the database, which can be cut.
    final class Reachability: StoreConditions {
        private let isReachable = Atomic<Bool>(true)
        private let slow = Mutex<(operation: String, delay: Duration)?>(nil)
        private let clocks: any Clocks

        init(clocks: any Clocks) { self.clocks = clocks }

        /// From now on `operation` is done at once, and answered after `delay`.
        func slowDown(_ operation: String, by delay: Duration) { self.slow.withLock { $0 = (operation, delay) } }

        func set(_ value: Bool) { self.isReachable.store(value, ordering: .sequentiallyConsistent) }

        func before(_ operation: String) async throws(StoreError) {
            guard !self.isReachable.load(ordering: .sequentiallyConsistent) else { return }
            throw StoreError(.unavailable, operation: operation, detail: "cut off")
        }
        func after(_ operation: String) async throws(StoreError) {
            guard let slow = self.slow.withLock({ $0 }), slow.operation == operation else { return }
            do { try await self.clocks.sleep(for: slow.delay) } catch {
                throw StoreError(.unavailable, operation: operation, detail: "cancelled")
            }
        }
    }

    /// A coordinator that runs.
    struct Running: Sendable {
        var coordinator: Coordinator
        var address: PeerAddress
        var node: NodeID
        var store: InMemoryStore
        var reachability: Reachability
        var observability: Observability
        var group: ServiceGroup
        var task: Task<(any Error)?, Never>

        func stop() async { await self.group.triggerGracefulShutdown() }
    }

    let clocks = ManualClocks()
    let store = InMemoryStore()
    let network = InMemoryNetwork()
    private let running = Mutex<[Running]>([])
    private let members = Mutex<[FakeMember]>([])
    /// Assignments that were told before the store had them.
    private let early = Mutex<[String]>([])

    /// Runs `body` on a fresh harness and ends everything after it.
    static func run(_ body: (Harness) async throws -> Void) async throws {
        let harness = Harness()
        let result: Result<Void, any Error>
        do {
            try await body(harness)
            result = .success(())
        } catch {
            result = .failure(error)
        }
        for member in harness.members.withLock({ $0 }) { member.die() }
        for running in harness.running.withLock({ $0 }) {
            running.task.cancel()
            _ = await running.task.value
        }
        #expect(harness.early.withLock { $0 } == [], "told before it was durable")
        try result.get()
    }

    /// Starts a coordinator.
    @discardableResult
    func coordinator(
        _ number: Int, shardCount: Int = Harness.shardCount, isReachable: Bool = true,
        _ change: (inout CoordinatorSettings) -> Void = { _ in }
    ) -> Running {
        let node = NodeID("coordinator-\(number)")
        let address = PeerAddress(host: node.name, port: 7400)
        let identity = PeerIdentity(cluster: Self.cluster, role: .coordinator, node: node)
        let reachability = Reachability(clocks: self.clocks)
        // Before it runs: it may be quick.
        if !isReachable { reachability.set(false) }
        let store = InMemoryStore(sharing: self.store, conditions: reachability)
        let observability = Observability(
            identity: ProcessIdentity(role: "coordinator", instance: node.name, cluster: Self.cluster), level: .debug,
            format: .json, sink: LogSink { _ in }, nowMicroseconds: { 0 })
        var settings = CoordinatorSettings(
            cluster: Self.cluster, shardCount: shardCount, laneCount: Self.laneCount, node: node,
            incarnation: Incarnation(UID(high: 1, low: UInt64(number))), address: "\(address)", build: "test")
        change(&settings)
        let coordinator = Coordinator(
            settings: settings, locks: store, schedules: store,
            listener: self.network.listen(at: address, as: identity), connector: self.network.connector(as: identity),
            clocks: self.clocks, observability: observability, seed: UInt64(number))
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: coordinator, successTerminationBehavior: .gracefullyShutdownGroup)],
                logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })))
        // Cancelled by `run`, or ends by a graceful stop; its error is for the test.
        let task = Task { () -> (any Error)? in
            do {
                try await group.run()
                return nil
            } catch {
                return error
            }
        }
        let running = Running(
            coordinator: coordinator, address: address, node: node, store: store, reachability: reachability,
            observability: observability, group: group, task: task)
        self.running.withLock { $0.append(running) }
        return running
    }

    /// Ends a coordinator as `kill -9` does: nothing is given back.
    func kill(_ coordinator: Running) async {
        self.network.sever(coordinator.node)
        coordinator.task.cancel()
        _ = await coordinator.task.value
    }

    /// A member that is not connected yet.
    func member(_ role: Role, _ name: String, incarnation: UInt64) -> FakeMember {
        let member = FakeMember(
            role, name, incarnation: incarnation, network: self.network, clocks: self.clocks,
            onAssign: { [weak self] number, epoch in
                guard let self else { return }
                let holder = Incarnation(UID(high: 7, low: incarnation))
                let ownership = try? await self.store.loadOwnership()
                let rows = (role == .ticker ? ownership?.shards : ownership?.lanes) ?? []
                let row = rows.first { $0.number == number }
                // A later claim may have raised it meanwhile; an earlier epoch in the store is the crime.
                if let row, row.epoch > epoch || row.epoch == epoch && row.incarnation == holder { return }
                self.early.withLock { $0.append("\(role) \(number) \(epoch)") }
            })
        self.members.withLock { $0.append(member) }
        return member
    }

    /// A member that has greeted the leader.
    func join(_ role: Role, _ name: String, incarnation: UInt64, _ leader: Running) async throws -> FakeMember {
        let member = self.member(role, name, incarnation: incarnation)
        try await member.connect(to: leader.address)
        try await self.until("\(name) is accepted") { !member.received(HelloAck.self).isEmpty }
        return member
    }

    /// The leader once there is one.
    func leader() async throws -> Running {
        try await self.until("somebody leads") { self.leading != nil }
        return try #require(self.leading)
    }

    var leading: Running? { self.running.withLock { $0 }.first { $0.coordinator.ledEpoch != nil } }

    /// The store's rows.
    func rows(_ kind: OwnedKind) async throws -> [OwnershipRecord] {
        let ownership = try await self.store.loadOwnership()
        return kind == .shard ? ownership.shards : ownership.lanes
    }

    /// 50 ms pass; each 500 ms every member sends a heartbeat and gets its answer.
    func step(_ number: Int) async {
        await self.clocks.advance(by: .milliseconds(50))
        guard number % 10 == 9 else { return }
        let members = self.members.withLock { $0 }
        for member in members { member.beat() }
        // Bounded: a leader that is gone answers nobody.
        for _ in 0..<5000 where members.contains(where: { $0.beatsUnanswered > 0 }) { await Task.yield() }
    }

    /// Lets time pass.
    func pass(_ duration: Duration) async {
        for number in 0..<Int(duration.wholeMilliseconds / 50) { await self.step(number) }
    }

    /// How long the machine may take, however busy it is: simulated time can run ahead of threads that wait for a processor.
    private static let patience = Duration.seconds(10)

    /// Lets time pass until `condition` holds; fails when both two minutes of it and the machine's patience are over.
    func until(
        _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now.advanced(by: Self.patience)
        var number = 0
        while number < 2400 || ContinuousClock.now < deadline {
            if try await condition() { return }
            await self.step(number)
            number += 1
        }
        Issue.record("never: \(what)", sourceLocation: sourceLocation)
        throw NeverHappened()
    }

    struct NeverHappened: Error {}
}
