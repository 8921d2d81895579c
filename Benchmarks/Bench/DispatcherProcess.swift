import DispatcherDomain
import EscapementModel
import Glibc
import Logging
import NIOPosix
import ServiceConfiguration
import TLS
import Transport
import WireProtocol

/// A dispatcher's program as it runs in a cluster. This process is its leader and its only ticker: each talks to it over
/// a link of its own, with mutual TLS. The frames are encoded before the clock starts, as they would be elsewhere; that
/// they are encrypted takes its share of the processors. Nothing is recorded unless `ELASTICSEARCH_URL` names a store.
struct DispatcherProcess {
    struct Measured {
        var perSecond: Double
        /// Processor nanoseconds of the process for a fire.
        var cpu: Double
    }

    private static let epoch = Epoch(5)
    static let loopback = "127.0.0.1"
    /// What was due so long ago is catching up, and paced, which is not what is measured.
    private static let lateAfter = LaneLimits().lateAfter

    let program: String
    let bootstrap: String
    let mode: DeliveryMode
    let lanes: Int

    /// Starts it, has it acknowledge `count` fires with payloads of `size` bytes, one shard a lane, and ends it.
    func measure(count: Int, size: Int) async throws -> Measured {
        let certificates = try MemberCertificates()
        defer { certificates.remove() }
        let ticker = Incarnation(UID(high: 1, low: 1))
        let leader = try await FakeLeader(
            contexts: certificates.contexts(of: .coordinator), lanes: self.lanes, shardEpoch: Self.epoch, owner: ticker)
        do {
            let measured = try await self.measure(certificates, leader, ticker, count: count, size: size)
            await leader.stop()
            return measured
        } catch {
            await leader.stop()
            throw error
        }
    }

    private func measure(
        _ certificates: MemberCertificates, _ leader: FakeLeader, _ ticker: Incarnation, count: Int, size: Int
    ) async throws -> Measured {
        let process = try self.start(certificates, leader: leader.address)
        defer { process.stop(kills: true) }
        let feeder = TickerFeeder(
            link: try await self.link(to: leader, as: certificates.contexts(of: .ticker)), incarnation: ticker,
            epoch: Self.epoch, lanes: self.lanes)
        return try await self.measure(process, fedBy: feeder, count: count, size: size)
    }

    private func link(to leader: FakeLeader, as ticker: MemberContexts) async throws -> any MessageLink {
        let connector = TransportConnector(
            cluster: FireSample.cluster, contexts: ticker.client, group: MultiThreadedEventLoopGroup.singleton)
        let port = try await leader.dispatcherPort()
        return try await connector.connect(to: PeerAddress(host: Self.loopback, port: port), expecting: .dispatcher)
    }

    private func measure(
        _ process: ChildProcess, fedBy feeder: TickerFeeder, count: Int, size: Int
    ) async throws -> Measured {
        let credits = try await feeder.open()
        let template = FireSample(size: size).template.encoded()
        var cursors: [ShardID: Cursor] = [:]
        let warmUp = feeder.frames(
            FireSample.warmUp(for: count), from: &cursors, due: SystemClocks().wallNow(), template)
        try await feeder.feed(warmUp, credits)
        let now = SystemClocks().wallNow()
        let frames = feeder.frames(count, from: &cursors, due: now, template)
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        let cpu = Self.processorTime(of: process)
        try await feeder.feed(frames, credits)
        let seconds = Double(Measuring.clock(CLOCK_MONOTONIC) - wall) / 1e9
        let used = Double(Self.processorTime(of: process)) - Double(cpu)
        guard SystemClocks().wallNow().duration(since: now) < Self.lateAfter else {
            throw BenchError("\(count) fires take so long that the last ones are late, and paced: take fewer")
        }
        let fires = Double(frames.values.reduce(0) { $0 + $1.count } * FireSample.batchCount)
        return Measured(perSecond: fires / seconds, cpu: used / fires)
    }

    private func start(_ certificates: MemberCertificates, leader: PeerAddress) throws -> ChildProcess {
        try ChildProcess(
            "dispatcher", program: self.program, ["escapement-dispatcher"],
            environment: self.environment(certificates.files(of: .dispatcher), leader: leader), isLogged: true)
    }

    private func environment(_ files: MemberTLSSettings, leader: PeerAddress) -> [String] {
        let store = getenv("ELASTICSEARCH_URL") == nil ? ["ELASTICSEARCH_URL=http://\(Self.loopback):9"] : []
        let own = ["ELASTICSEARCH_", "LD_LIBRARY_PATH="]
        return Allocator.system.environment.filter { entry in own.contains { entry.hasPrefix($0) } } + store + [
            "ESCAPEMENT_CLUSTER_NAME=\(FireSample.cluster)", "ESCAPEMENT_CLUSTER_SHARDS=\(self.lanes)",
            "ESCAPEMENT_CLUSTER_LANES=\(self.lanes)", "ESCAPEMENT_INSTANCE_ID=dispatcher-1",
            "ESCAPEMENT_LOG_LEVEL=error", "ESCAPEMENT_HTTP_ADMIN_LISTEN=\(Self.loopback):0",
            "ESCAPEMENT_CLUSTER_LISTEN=\(Self.loopback):0", "ESCAPEMENT_COORDINATORS=\(leader)",
            "ESCAPEMENT_TLS_CERT_FILE=\(files.certificateFile)", "ESCAPEMENT_TLS_KEY_FILE=\(files.keyFile)",
            "ESCAPEMENT_TLS_CA_FILE=\(files.authorityFile)", "ESCAPEMENT_DELIVERY_MODE=\(self.mode.rawValue)",
            "KAFKA_BOOTSTRAP_SERVERS=\(self.bootstrap)",
        ]
    }

    /// Nanoseconds of all its threads; of a process that is gone none.
    private static func processorTime(of process: ChildProcess) -> UInt64 {
        var clock = clockid_t()
        return clock_getcpuclockid(process.process, &clock) == 0 ? Measuring.clock(clock) : 0
    }
}
