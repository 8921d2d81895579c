import ArgumentParser
import DevKafka
import Glibc
import HTTPServer
import Logging
import Observability
import ServiceConfiguration
import ServiceLifecycle
import TLS

/// `dev-kafka`: the brokers of `DevKafka` as a process.
@main
struct DevKafkaCommand: AsyncParsableCommand {
    /// How long a stop may take.
    static let stopMax = Duration.seconds(5)

    static let configuration = CommandConfiguration(
        commandName: "dev-kafka", abstract: "A small, strict Kafka for development and tests. Not a product.",
        discussion: AdminRoutes.help)

    @Option(help: "Where logs and state live; created when missing.") var dataDir: String
    @Option(help: "How many brokers; as many as listeners.") var brokers: Int?
    @Option(help: "host:port of each broker, separated by commas; port 0 takes a free one.") var listen: String =
        "127.0.0.1:9092"
    @Option(help: "The host that clients are told; default: the one listened on.") var advertisedHost: String?
    @Option(help: "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.") var security: String = "PLAINTEXT"
    @Option(help: "PEM file with the certificate chain, for SSL and SASL_SSL.") var tlsCert: String?
    @Option(help: "PEM file with its key.") var tlsKey: String?
    @Option(help: "PEM file with authorities; with SSL it makes client certificates compulsory.") var tlsCa: String?
    @Option(help: "File with lines of user:password, for SASL.") var usersFile: String?
    @Option(help: "host:port of the admin port (plain HTTP).") var adminListen: String = "127.0.0.1:0"
    @Option(help: "Partitions of topics that are created without a number of them.") var defaultPartitions: Int32 = 1
    @Flag(inversion: .prefixedNo, help: "Create topics when they are first used.") var autoCreateTopics = true
    @Option(help: "Written when everything listens: JSON with the ports.") var readyFile: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical.") var logLevel: String = "info"

    mutating func run() async throws {
        signal(SIGPIPE, SIG_IGN)
        guard let level = Logger.Level(rawValue: self.logLevel) else {
            throw ValidationError("--log-level \(self.logLevel) is none of the levels")
        }
        let observability = Observability.bootstrap(role: "kafka", instance: "kafka", cluster: "dev", level: level)
        let logger = observability.logger("kafka")
        let configuration = try self.clusterConfiguration()
        let admin = try Self.address(self.adminListen, option: "--admin-listen")
        let cluster: DevKafkaCluster
        do {
            cluster = try await DevKafkaCluster.start(configuration, logger: logger)
        } catch {
            logger.error("dev Kafka does not start", metadata: ["error": "\(error)"])
            throw ExitCode.failure
        }
        let names = configuration.listeners.indices.map { "kafka-\($0 + 1)" }
        let ready = ReadyFile(
            path: self.readyFile, role: "kafka", instance: "kafka", listeners: Set(names + ["admin"]))
        for (name, port) in zip(names, await cluster.ports) { try ready.note(name, port: port) }
        let servers = await cluster.bootstrapServers
        logger.info(
            "dev Kafka listens",
            metadata: ["address": "\(servers)", "security": "\(configuration.security.rawValue)"])
        let server = AdminServer(
            host: admin.host, port: admin.port, observability: observability,
            onBound: { port in
                do {
                    try ready.note("admin", port: port)
                } catch {
                    logger.error("the ready file cannot be written", metadata: ["error": "\(error)"])
                }
            }, addRoutes: { AdminRoutes(cluster: cluster).add(to: $0) })
        let code = await ServiceMain.run(
            [ClusterService(cluster: cluster), server], logger: logger, drainLimit: Self.stopMax)
        throw ExitCode(code)
    }

    private func clusterConfiguration() throws -> ClusterConfiguration {
        guard let security = ClusterConfiguration.Security(rawValue: self.security) else {
            let names = ClusterConfiguration.Security.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--security must be one of \(names)")
        }
        let listeners = try self.listen.split(separator: ",").map { try Self.address(String($0), option: "--listen") }
        guard !listeners.isEmpty, listeners.count == self.brokers ?? listeners.count else {
            throw ValidationError("--listen names \(listeners.count) listeners for \(self.brokers ?? 0) brokers")
        }
        var tls: TLSConfiguration?
        if security.hasTLS {
            guard let certificate = self.tlsCert, let key = self.tlsKey else {
                throw ValidationError("--security \(self.security) needs --tls-cert and --tls-key")
            }
            // With SASL the authority is for the clients' use: they log in with a password.
            let isMutual = security == .tls && self.tlsCa != nil
            tls = TLSConfiguration(
                role: .server, authentication: isMutual ? .mutual : .serverOnly, certificateChain: .file(certificate),
                privateKey: .file(key), trust: self.tlsCa.map { .file($0) }, minimumVersion: .tls12)
        }
        var credentials = Credentials()
        if security.hasSASL {
            guard let file = self.usersFile else {
                throw ValidationError("--security \(self.security) needs --users-file")
            }
            credentials = try Credentials(lines: try Secret(file: file).read())
        }
        var configuration = ClusterConfiguration(
            listeners: listeners, security: security, tls: tls, credentials: credentials, dataFolder: self.dataDir)
        configuration.advertisedHost = self.advertisedHost
        configuration.defaultPartitions = self.defaultPartitions
        configuration.autoCreatesTopics = self.autoCreateTopics
        return configuration
    }

    private static func address(_ text: String, option: String) throws -> ClusterConfiguration.Address {
        guard let address = ListenAddress(text: text) else {
            throw ValidationError("\(option): \(text) is not host:port")
        }
        return ClusterConfiguration.Address(host: address.host, port: address.port)
    }
}

/// Stops the cluster when the process is asked to end.
private struct ClusterService: Service {
    let cluster: DevKafkaCluster

    func run() async throws {
        try await gracefulShutdown()
        await self.cluster.stop()
    }
}
