import DispatcherService
import EscapementModel
import Glibc
import Logging
import NIOCore
import NIOPosix
import ServiceConfiguration
import TLS
import Transport
import WireProtocol

/// A dispatcher's program as it runs in a cluster. This process is its leader and its only ticker: each talks to it over
/// a link of its own, with mutual TLS. The frames of all fires are encoded before the clock starts, as they would be in
/// another process. Nothing is recorded unless `ELASTICSEARCH_URL` names a store.
struct DispatcherProcess {
    struct Measured {
        var perSecond: Double
        /// Processor nanoseconds of the process for a fire.
        var cpu: Double
    }

    private static let epoch = Epoch(5)
    fileprivate static let loopback = "127.0.0.1"
    /// What is due longer ago than a few seconds is catching up, and paced.
    private static let secondsMax = 4.0

    let program: String
    let bootstrap: String
    let mode: DeliveryMode
    let lanes: Int

    /// Starts it, has it acknowledge `count` fires with payloads of `size` bytes, one shard a lane, and ends it.
    func measure(count: Int, size: Int) async throws -> Measured {
        let certificates = try MemberCertificates()
        let ticker = Incarnation(UID(high: 1, low: 1))
        let leader = try await FakeLeader(
            contexts: certificates.contexts(of: .coordinator), lanes: self.lanes, shardEpoch: Self.epoch, owner: ticker)
        defer { leader.stop() }
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
        let now = SystemClocks().wallNow()
        var cursors: [ShardID: Cursor] = [:]
        let warmUp = feeder.frames(FireSample.warmUp(for: count), from: &cursors, due: now, template)
        let frames = feeder.frames(count, from: &cursors, due: now, template)
        try await feeder.feed(warmUp, credits)
        let wall = Measuring.clock(CLOCK_MONOTONIC)
        let cpu = Self.processorTime(of: process)
        try await feeder.feed(frames, credits)
        let seconds = Double(Measuring.clock(CLOCK_MONOTONIC) - wall) / 1e9
        let used = Double(Self.processorTime(of: process) - cpu)
        guard seconds < Self.secondsMax else {
            throw BenchError("\(count) fires took \(seconds) s, so that the last ones were late and paced: take fewer")
        }
        let fires = Double(frames.values.reduce(0) { $0 + $1.count } * FireSample.batchCount)
        return Measured(perSecond: fires / seconds, cpu: used / fires)
    }

    @inline(never) private func start(_ certificates: MemberCertificates, leader: PeerAddress) throws -> ChildProcess {
        try ChildProcess(
            "dispatcher", program: self.program, ["escapement-dispatcher"],
            environment: self.environment(certificates.files(of: .dispatcher), leader: leader))
    }

    private func environment(_ files: MemberTLSSettings, leader: PeerAddress) -> [String] {
        let store = getenv("ELASTICSEARCH_URL") == nil ? ["ELASTICSEARCH_URL=http://\(Self.loopback):9"] : []
        let own = Allocator.system.environment.filter { $0.hasPrefix("ELASTICSEARCH_") || $0.hasPrefix("LD_LIBRARY_PATH=") }
        return own + store + [
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

/// Certificates of members, in a folder of their own under `/tmp` that goes with this.
private final class MemberCertificates {
    private let path: String
    private let authority: CertificateAuthority
    private let notBefore = SystemClocks().wallNow().advanced(by: .seconds(-3600))

    init() throws {
        var template = Array("/tmp/escapement-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw BenchError("no folder under /tmp") }
        self.path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.authority = try CertificateAuthority(
            name: FireSample.cluster, notBefore: self.notBefore, validity: Self.validity)
    }

    private static let validity = Duration.seconds(86_400)

    /// One new certificate, with its key and the authority's.
    func files(of role: Role) throws -> MemberTLSSettings {
        let node = NodeID("\(role.rawValue)-1")
        let identity = PeerIdentity(cluster: FireSample.cluster, role: role, node: node)
        let issued = try self.authority.issue(
            CertificateRequest(
                commonName: node.name, ipAddresses: [DispatcherProcess.loopback],
                uris: identity.uri.map { [$0] } ?? [], notBefore: self.notBefore, validity: Self.validity))
        return MemberTLSSettings(
            certificateFile: try self.write(issued.certificatePEM, "\(node.name).crt"),
            keyFile: try self.write(issued.privateKeyPEM, "\(node.name).key"),
            authorityFile: try self.write(self.authority.certificatePEM, "ca.crt"))
    }

    @inline(never) func contexts(of role: Role) throws -> MemberContexts {
        try MemberContexts(try self.files(of: role), now: SystemClocks().wallNow())
    }

    private func write(_ text: String, _ name: String) throws(BenchError) -> String {
        let file = "\(self.path)/\(name)"
        guard let stream = fopen(file, "we") else { throw BenchError("\(file) cannot be written") }
        defer { fclose(stream) }
        guard fputs(text, stream) >= 0 else { throw BenchError("\(file) cannot be written") }
        return file
    }

    deinit {
        guard let folder = opendir(self.path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            unlink("\(self.path)/\(name)")
        }
        closedir(folder)
        rmdir(self.path)
    }
}
