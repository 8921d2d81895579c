import CoordinatorService
import DispatcherDomain
import DispatcherService
import EscapementModel
import Logging
import MemberLink
import Observability
import Scheduling
import Store
import TestSupport
import TickerService
import WireProtocol

/// The real shells and domains of all three services, on simulated time, network, database, Kafka and Elasticsearch.
final class SimulatedCluster: @unchecked Sendable {
    static let name = "sim"
    static let shardCount = 12
    static let laneCount = 3
    static let journalTopic = PublishingRules.journalTopic(of: SimulatedCluster.name)
    static let parkedTopic = PublishingRules.parkedTopic(of: name)
    /// Where fires go whose templates say nothing, and where others do.
    static let defaultTopic = "fires"
    static let otherTopic = "fires.other"

    /// A place where a process runs, again and again.
    struct Seat: Hashable {
        var role: Role
        var number: Int

        var node: NodeID { NodeID("\(self.role.rawValue)-\(self.number)") }
        var address: PeerAddress { PeerAddress(host: self.node.name, port: 7400) }
        var identity: PeerIdentity { PeerIdentity(cluster: SimulatedCluster.name, role: self.role, node: self.node) }
    }

    private struct Process {
        var host: Host
        var task: Task<Void, Never>
        /// Tells a coordinator of a change; nothing for the others.
        var changed: @Sendable (ShardID) -> Void = { _ in }
        /// Asks the process to stop, as SIGTERM does; nothing for a coordinator.
        var leave: (@Sendable () -> Void)?
        /// Asks a coordinator for something, as an operator does; nothing for the others.
        var ask: (@Sendable (ClusterRequest) async -> Bool)?
    }

    let simulator: Simulator
    let network: SimulatedNetwork
    let database: SimulatedDatabase
    let kafka: SimulatedKafka
    let elasticsearch: SimulatedElasticsearch
    let hosts: SimulatedHosts
    let oracle: Oracle
    let events: EventCounter
    let seats: [Seat]
    let spareSeats: [Seat]
    /// The protocol versions that a role's processes speak from their next start on; the build's, where nothing is said.
    var versions: [Role: ProtocolRange] = [:]
    private let zones = ZoneDatabase(source: nil)
    private let settingsOfRun: RunSettings
    private var random: SplitMix64
    private var processes: [Seat: Process] = [:]

    init(_ settings: RunSettings) {
        var seeds = SplitMix64(seed: settings.seed)
        self.settingsOfRun = settings
        self.simulator = Simulator(seed: seeds.next())
        self.events = EventCounter()
        self.network = SimulatedNetwork(simulator: self.simulator, events: self.events, seed: seeds.next())
        self.database = SimulatedDatabase(seed: seeds.next())
        self.kafka = SimulatedKafka(simulator: self.simulator, seed: seeds.next())
        self.elasticsearch = SimulatedElasticsearch(seed: seeds.next())
        let oracle = Oracle(simulator: self.simulator, journalTopic: Self.journalTopic)
        self.oracle = oracle
        self.random = SplitMix64(seed: seeds.next())
        self.hosts = SimulatedHosts(
            simulator: self.simulator, seed: seeds.next(), delivered: { oracle.delivered($0) })
        self.seats =
            (1...settings.coordinators).map { Seat(role: .coordinator, number: $0) }
            + (1...settings.tickers).map { Seat(role: .ticker, number: $0) }
            + (1...settings.dispatchers).map { Seat(role: .dispatcher, number: $0) }
        // Empty at first: somebody may join there.
        self.spareSeats = [
            Seat(role: .ticker, number: settings.tickers + 1),
            Seat(role: .dispatcher, number: settings.dispatchers + 1),
        ]
        self.kafka.committed = { oracle.committed($0, $1) }
    }

    // MARK: Processes

    func startAll() { for seat in self.seats { self.start(seat) } }

    func host(of seat: Seat) -> Host? { self.processes[seat]?.host }

    /// Kills the process; `silently` takes its machine with it, so that nobody is told.
    func kill(_ seat: Seat, silently: Bool) {
        guard let process = self.processes.removeValue(forKey: seat) else { return }
        process.host.kill()
        self.network.died(process.host, silently: silently)
    }

    /// Starts the seat's process, if none runs.
    func start(_ seat: Seat) {
        guard self.processes[seat] == nil else { return }
        let host = Host(name: seat.node.name, simulator: self.simulator)
        let observability = Observability(
            identity: ProcessIdentity(role: seat.role.rawValue, instance: seat.node.name, cluster: Self.name),
            level: .debug, format: .json, sink: self.events.sink(host, verbose: self.settingsOfRun.isVerbose),
            nowMicroseconds: { host.clocks.wallNow().milliseconds * 1000 })
        switch seat.role {
        case .coordinator: self.processes[seat] = self.startCoordinator(seat, host, observability)
        case .ticker: self.processes[seat] = self.startTicker(seat, host, observability)
        case .dispatcher: self.processes[seat] = self.startDispatcher(seat, host, observability)
        case .tool: break
        }
    }

    /// Asks the process to stop, as an upgrade does; false when there is nobody who could.
    func leave(_ seat: Seat) -> Bool {
        guard let leave = self.processes[seat]?.leave else { return false }
        leave()
        return true
    }

    /// Asks the cluster, through any coordinator.
    func ask(_ request: ClusterRequest) async -> Bool {
        for seat in self.seats where seat.role == .coordinator {
            if let ask = self.processes[seat]?.ask, await ask(request) { return true }
        }
        return false
    }

    /// The process has ended by itself.
    private func ended(_ seat: Seat, _ host: Host) {
        guard let process = self.processes[seat], process.host === host else { return }
        self.processes[seat] = nil
        self.events.count("process_left")
        self.network.died(host, silently: false)
        host.kill()
    }

    /// The host of the coordinator that has the lease, by its database row.
    func leader() -> Host? {
        self.database.contents.leaderNode.flatMap { node in
            self.processes.first { $0.key.node == node }?.value.host
        }
    }

    /// Where the leader runs.
    func leaderSeat() -> Seat? {
        self.database.contents.leaderNode.flatMap { node in self.seats.first { $0.node == node } }
    }

    /// A change of `shard` was committed: the coordinator that served the request says so.
    func changed(_ shard: ShardID) {
        let living = self.processes.filter { $0.key.role == .coordinator && !$0.value.host.isPaused }
        // Some requests die between the commit and the hint.
        guard let seat = living.keys.sorted(by: { $0.number < $1.number }).randomElement(using: &self.random),
            Int.random(in: 0..<10, using: &self.random) > 0
        else { return }
        living[seat]?.changed(shard)
    }

    /// Reads the database past all faults, for the oracle.
    func showDatabase() async {
        for shard in 0..<Self.shardCount {
            do {
                try await self.database.contents.snapshot(
                    of: ShardID(UInt16(shard)), cursor: .start, horizon: .distantFuture
                ) { [oracle] page in
                    oracle.saw(page, of: ShardID(UInt16(shard)))
                    return true
                }
            } catch {
                preconditionFailure("the database's contents cannot be read: \(error)")
            }
        }
    }

    private func coordinatorAddresses() -> [PeerAddress] {
        self.seats.filter { $0.role == .coordinator }.map(\.address)
    }

    private func description(_ seat: Seat) -> MemberDescription {
        var description = MemberDescription(
            cluster: Self.name, incarnation: Incarnation(.random(using: &self.random)),
            listenAddress: seat.role == .ticker ? "" : "\(seat.address)", shardCount: UInt32(Self.shardCount),
            laneCount: UInt32(Self.laneCount), build: "simulation")
        description.versions = self.versions[seat.role] ?? .current
        return description
    }

    private func startCoordinator(_ seat: Seat, _ host: Host, _ observability: Observability) -> Process {
        let store = self.database.client(on: host)
        var settings = CoordinatorSettings(
            cluster: Self.name, shardCount: Self.shardCount, laneCount: Self.laneCount, node: seat.node,
            incarnation: Incarnation(.random(using: &self.random)), address: "\(seat.address)", build: "simulation")
        settings.versions = self.versions[.coordinator] ?? .current
        let coordinator = Coordinator(
            settings: settings, locks: store, schedules: store,
            listener: self.network.listen(at: seat.address, on: host, as: seat.identity),
            connector: self.network.connector(on: host, as: seat.identity), clocks: host.clocks,
            observability: observability, seed: self.random.next())
        return Process(
            host: host, task: Task { do { try await coordinator.run() } catch {} },
            changed: { shard in coordinator.changed(shard) },
            ask: { request in
                do {
                    _ = try await coordinator.ask(request)
                    return true
                } catch {
                    return false
                }
            })
    }

    private func startTicker(_ seat: Seat, _ host: Host, _ observability: Observability) -> Process {
        let addresses = self.coordinatorAddresses()
        let node = TickerNode(
            settings: TickerSettings(
                member: self.description(seat), horizon: .seconds(20), drainTimeout: .seconds(10),
                seed: self.random.next()),
            connector: self.network.connector(on: host, as: seat.identity), coordinators: { addresses },
            clocks: host.clocks, zones: self.zones, observability: observability, drive: .task)
        return Process(
            host: host,
            task: Task {
                do { try await node.run() } catch {}
                self.ended(seat, host)
            }, leave: { node.leave() })
    }

    private func startDispatcher(_ seat: Seat, _ host: Host, _ observability: Observability) -> Process {
        let addresses = self.coordinatorAddresses()
        let seed = self.random.next()
        let rules = PublishingRules(
            cluster: Self.name, dispatcher: seat.node,
            topics: TopicPolicy(
                defaultTopic: Self.defaultTopic, deadLetterTopic: "deadletters", pattern: "fires.*",
                internalPrefix: "escapement."))
        let journal = self.kafka.journal(on: host, topic: Self.journalTopic)
        let clocks = host.clocks
        let producers = SimulatedLaneProducers(
            sessions: self.kafka.sessions(on: host, cluster: Self.name), clocks: clocks, seed: seed,
            events: self.events)
        let dispatcher = Dispatcher(
            description: self.description(seat),
            parts: Dispatcher.Parts(
                lanes: LaneShell.Environment(
                    producers: producers, journal: journal, parked: journal,
                    keeper: ParkedKeeper(
                        probe: journal,
                        web: WebDelivery(
                            sender: self.hosts.sender(on: host), keys: NoNamespaceKeys(), whiskHost: nil,
                            clocks: clocks), clocks: clocks), clocks: clocks, rules: rules,
                    metrics: DispatcherMetrics(observability.metrics), logger: observability.logger("lane"), seed: seed),
                feed: journal, store: self.elasticsearch.client(on: host),
                listener: self.network.listen(at: seat.address, on: host, as: seat.identity),
                connector: self.network.connector(on: host, as: seat.identity), coordinators: { addresses },
                form: .native(indexPrefix: "activations"), health: observability.health,
                logger: observability.logger("dispatcher"),
                kafkaTrouble: { nil }, deadLetter: { _, _ in }))
        return Process(
            host: host,
            task: Task {
                await dispatcher.run()
                self.ended(seat, host)
            }, leave: { Task { await dispatcher.drain(limit: .seconds(10)) } })
    }
}

/// Lane producers of one process.
struct SimulatedLaneProducers: LaneProducerFactory {
    let sessions: SimulatedSessions
    let clocks: SimulatedClocks
    let seed: UInt64
    let events: EventCounter

    func makeProducer(for lane: LaneID, epoch: Epoch) -> any LaneProducer {
        TransactionalProducer(
            lane: lane, sessions: self.sessions, clocks: self.clocks,
            seed: self.seed ^ epoch.rawValue << 8 ^ UInt64(lane.rawValue),
            recycled: { self.events.count("producer_recycled") })
    }
}
