import EscapementModel
package import Logging
import NIOCore
import NIOPosix
import Synchronization
import TLS

/// A small, strict Kafka: several brokers' listeners in this process, one log per partition on disk.
///
/// It speaks Kafka's protocol as brokers of 3.6 do, to any client, and refuses what they refuse: sequence numbers
/// that do not follow, older epochs, transactions out of order, wrong passwords, checksums that do not match. It is
/// made for development and tests: all replicas of a partition are one file, nothing is forced to the disk, retention
/// and compaction are not applied, and things go wrong on order (`Fault`, brokers that are down, lost tails).
package final class DevKafkaCluster: Sendable {
    /// Connections that the kernel keeps until they are accepted.
    private static let backlog: Int32 = 256

    let core: BrokerCore
    private let group: MultiThreadedEventLoopGroup
    private let tls: TLSContextSlot?
    private let channels: NIOLoopBoundBox<[Int32: any Channel]>
    private let isStopped = Atomic<Bool>(false)

    /// Opens the data folder and the listeners; returns when clients can connect.
    ///
    /// - Throws: `StorageError`, `TLSError`, or why a listener could not be bound.
    package static func start(
        _ configuration: ClusterConfiguration, logger: Logger
    ) async throws -> DevKafkaCluster {
        let cluster = try await DevKafkaCluster(configuration, logger: logger)
        do {
            for id in 1...Int32(configuration.listeners.count) { try await cluster.bind(id) }
            try await cluster.onLoop { try cluster.core.start() }
            for id in 1...Int32(configuration.listeners.count) { try await cluster.accept(id) }
        } catch {
            await cluster.stop()
            throw error
        }
        return cluster
    }

    private init(_ configuration: ClusterConfiguration, logger: Logger) async throws {
        precondition(!configuration.listeners.isEmpty, "a cluster has a broker at least")
        self.tls = try configuration.security.hasTLS ? Self.slot(configuration) : nil
        self.group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = self.group.next()
        let brokers = configuration.listeners.enumerated().map { index, address in
            Broker(
                id: Int32(index + 1), host: configuration.advertisedHost ?? address.host, port: address.port)
        }
        self.core = BrokerCore(loop: loop, configuration: configuration, brokers: brokers, logger: logger)
        self.channels = NIOLoopBoundBox.makeBoxSendingValue([:], eventLoop: loop)
    }

    private static func slot(_ configuration: ClusterConfiguration) throws(TLSError) -> TLSContextSlot {
        guard let tls = configuration.tls else {
            throw TLSError(.invalidConfiguration, subject: "certificate chain", reason: "is needed")
        }
        return try TLSContextSlot(tls, now: SystemClocks().wallNow())
    }

    /// Closes everything; the data stays. A second call does nothing.
    package func stop() async {
        guard !self.isStopped.exchange(true, ordering: .acquiringAndReleasing) else { return }
        let open = try? await self.onLoop { () -> [any Channel] in
            for connection in self.core.connections.values { connection.close() }
            let channels = Array(self.channels.value.values)
            self.channels.value = [:]
            return channels
        }
        for channel in open ?? [] { try? await channel.close() }
        try? await self.onLoop { self.core.stop() }
        try? await self.group.shutdownGracefully()
    }

    /// What clients are given: `127.0.0.1:9092,…`.
    package var bootstrapServers: String {
        get async { await self.brokers.map { "\($0.host):\($0.port)" }.joined(separator: ",") }
    }

    /// The port of each broker, in the order of their ids.
    package var ports: [Int] {
        get async { await self.brokers.map(\.port) }
    }

    var brokers: [Broker] {
        get async { (try? await self.onLoop { self.core.brokers }) ?? [] }
    }

    /// Runs `body` where all state lives.
    func onLoop<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await self.core.loop.submit(body).get()
    }

    // MARK: - Listeners

    /// Takes a broker off the network, or brings it back to its port. The partitions that it led move to other
    /// replicas meanwhile; those without any have no leader.
    ///
    /// - Throws: when there is no such broker, or its port is taken by now.
    package func setBroker(_ id: Int32, isUp: Bool) async throws {
        guard await self.brokers.contains(where: { $0.id == id }) else { throw AdminError("there is no broker \(id)") }
        let channel = try await self.onLoop { () -> (any Channel)? in
            guard self.core.brokers[Int(id) - 1].isUp != isUp else { return nil }
            self.core.logger.info("a broker changes on order", metadata: ["broker": "\(id)", "up": "\(isUp)"])
            guard !isUp else { return nil }
            self.core.brokers[Int(id) - 1].isUp = false
            self.core.electLeaders(prefersFirst: false)
            for connection in self.core.connections.values where connection.broker == id { connection.close() }
            return self.channels.value.removeValue(forKey: id)
        }
        try await channel?.close()
        guard isUp else { return }
        try await self.bind(id)
        try await self.onLoop {
            self.core.brokers[Int(id) - 1].isUp = true
            self.core.electLeaders(prefersFirst: true)
        }
        try await self.accept(id)
    }

    private func bind(_ id: Int32) async throws {
        let core = self.core
        let tls = self.tls
        let address = core.configuration.listeners[Int(id) - 1]
        let hasSASL = core.configuration.security.hasSASL
        guard try await self.onLoop({ self.channels.value[id] == nil }) else { return }
        let port = try await self.onLoop { core.brokers[Int(id) - 1].port }
        let channel = try await ServerBootstrap(group: self.group)
            .serverChannelOption(.backlog, value: Self.backlog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Nobody is accepted before the state is there.
            .serverChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            TLSHandler(context: tls.current, mode: .server))
                    }
                    let connection = Connection(
                        broker: id, address: channel.remoteAddress.map { "\($0)" } ?? "",
                        session: hasSASL ? SASLSession() : nil)
                    try channel.pipeline.syncOperations.addHandler(
                        ConnectionHandler(core: core, connection: connection))
                }
            }
            .bind(host: address.host, port: port).get()
        try await self.onLoop {
            self.channels.value[id] = channel
            core.brokers[Int(id) - 1].port = channel.localAddress?.port ?? port
        }
    }

    private func accept(_ id: Int32) async throws {
        let channel = try await self.onLoop { self.channels.value[id] }
        try await channel?.setOption(.autoRead, value: true).get()
    }
}
