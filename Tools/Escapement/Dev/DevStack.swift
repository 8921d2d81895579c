import EscapementModel
import Glibc
import HTTPClient
import JSON

/// Starts, watches and stops everything `escapement dev up` runs: real processes, real TLS between them.
///
/// A stand-in is started only where no real service is named: with `KAFKA_BOOTSTRAP_SERVERS`,
/// `ELASTICSEARCH_URL` or `PGHOST`/`DATABASE_URL` in the environment the services get those variables. The dispatchers
/// also get the environment's own variables of their role.
actor DevStack {
    /// How long a process may take to listen.
    static let listenMax = Duration.seconds(60)
    /// How long all services may take to be ready.
    static let readyMax = Duration.seconds(120)
    /// How long a process may take to stop before it is killed.
    static let stopMax = Duration.seconds(15)
    /// How long a process that is taken away may take to hand over what it owns.
    static let drainMax = Duration.seconds(30)
    /// The pause before a process that ended by itself is started again.
    static let restartPause = Duration.seconds(1)
    static let kafkaUser = "escapement"
    static let elasticsearchUser = "elastic"

    struct Member {
        var process: DevReport.Process
        var launch: ChildProcess.Launch
        var child: ChildProcess
        var isService: Bool
    }

    /// What the services are told besides their own names: kept, so that more of them can be started.
    private struct Surroundings {
        var database: [String: String] = [:]
        var kafka: [String: String] = [:]
        var elasticsearch: [String: String] = [:]
        var coordinators = ""
    }

    private let options: DevOptions
    private let folder: String
    private let binaries: String
    private let secrets: DevSecrets
    private var ports: DevPorts
    var members: [Member] = []
    /// Processes that somebody has stopped on purpose.
    var held: Set<String> = []
    private var surroundings = Surroundings()
    private var lastUser = 0
    private var report: DevReport
    private var isStopping = false
    let http = HTTPClient()
    let say: @Sendable (String) -> Void

    init(options: DevOptions, say: @escaping @Sendable (String) -> Void) throws {
        self.options = options
        self.say = say
        self.folder = DevFiles.absolute(options.dataDir)
        self.binaries = try DevFiles.executableFolder()
        try DevFiles.makeDirectory(self.folder)
        try DevFiles.makeDirectory("\(self.folder)/logs")
        try DevFiles.makeDirectory("\(self.folder)/ready")
        self.secrets = try DevSecrets(
            folder: "\(self.folder)/secrets", cluster: options.clusterName, now: SystemClocks().wallNow())
        self.ports = DevPorts(file: "\(self.folder)/ports.json")
        self.report = DevReport(
            cluster: options.clusterName, dataFolder: self.folder, supervisor: getpid(), ready: false, apiURL: "",
            authorityFile: self.secrets.authorityFile, tokenFile: self.secrets.tokenFile, kafka: nil,
            elasticsearch: nil, postgres: nil, processes: [])
    }

    static func reportFile(in folder: String) -> String { "\(folder)/dev.json" }

    var current: DevReport { self.report }

    // MARK: - Start

    /// Starts everything and returns when all of it is ready.
    func start() async throws {
        try self.secrets.makeToken()
        let database = try await self.startPostgres()
        let kafka = try await self.startKafka()
        let elasticsearch = try await self.startElasticsearch()
        try await self.migrate(database)
        self.surroundings = Surroundings(database: database, kafka: kafka, elasticsearch: elasticsearch)
        try self.startServices()
        try self.ports.save()
        try await self.waitUntilReady()
        self.report.ready = true
        try self.writeReport()
    }

    private func startPostgres() async throws -> [String: String] {
        let real = DevFiles.variables { $0.hasPrefix("PG") || $0.hasPrefix("DATABASE_") }
        let schema = DevFiles.variables { $0 == "ESCAPEMENT_DATABASE_SCHEMA" }
        if real["PGHOST"] != nil || real["DATABASE_URL"] != nil || real["DATABASE_URL_FILE"] != nil {
            self.say("PostgreSQL: the one that the environment names")
            return real.merging(schema) { $1 }
        }
        let port = try self.ports.port("postgres", wanted: self.options.postgresPort, flag: "--postgres-port")
        let log = self.logFile("postgres")
        let server = try DevPostgres(folder: "\(self.folder)/postgres", port: port, logFile: log)
        let password = try self.secrets.password("postgres-password")
        self.say("PostgreSQL: 127.0.0.1:\(port)")
        try await server.prepare(password: password)
        let child = try self.spawn("postgres", role: "postgres", server.launch(), adminURL: nil, isService: false)
        try await server.finish(child, password: password)
        let passwordFile = try self.secrets.passwordFile("postgres-password")
        self.report.postgres = DevReport.Postgres(
            connectionString:
                "postgresql://\(DevPostgres.user)@127.0.0.1:\(port)/\(DevPostgres.database)?sslmode=disable",
            passwordFile: passwordFile)
        return [
            "PGHOST": "127.0.0.1", "PGPORT": "\(port)", "PGUSER": DevPostgres.user,
            "PGDATABASE": DevPostgres.database, "PGPASSWORD_FILE": passwordFile, "PGSSLMODE": "disable",
        ].merging(schema) { $1 }
    }

    private func startKafka() async throws -> [String: String] {
        let real = DevFiles.variables { $0.hasPrefix("KAFKA_") || $0.hasPrefix("CONFIG_whisk_kafka") }
        if let servers = real["KAFKA_BOOTSTRAP_SERVERS"] {
            self.say("Kafka: \(servers), as the environment says")
            return real
        }
        let first = try self.ports.port("kafka-1", wanted: self.options.kafkaPort, flag: "--kafka-port")
        var listeners = ["127.0.0.1:\(first)"]
        for number in 1..<max(1, self.options.brokers) {
            listeners.append("127.0.0.1:\(try self.ports.port("kafka-\(number + 1)"))")
        }
        let admin = try self.ports.port("kafka-admin")
        let passwordFile = try self.secrets.passwordFile("kafka-password")
        let usersFile = "\(self.secrets.folder)/kafka-users"
        try DevFiles.write(
            "\(Self.kafkaUser):\(try self.secrets.password("kafka-password"))\n", to: usersFile, mode: 0o600)
        let certificate = try self.secrets.serverCertificate("kafka")
        let ready = self.readyFile("kafka")
        let launch = ChildProcess.Launch(
            executable: "\(self.binaries)/dev-kafka",
            arguments: [
                "--data-dir", "\(self.folder)/kafka", "--brokers", "\(self.options.brokers)", "--listen",
                listeners.joined(separator: ","), "--advertised-host", "127.0.0.1", "--security", "SASL_SSL",
                "--tls-cert", certificate.certificate, "--tls-key", certificate.key, "--tls-ca",
                self.secrets.authorityFile, "--users-file", usersFile, "--admin-listen", "127.0.0.1:\(admin)",
                "--default-partitions", "\(self.options.lanes)", "--ready-file", ready,
            ], environment: self.baseEnvironment, logFile: self.logFile("kafka"))
        self.say("dev Kafka: \(listeners.joined(separator: ",")) (SASL_SSL, SCRAM-SHA-512)")
        let child = try self.spawn(
            "kafka", role: "kafka", launch, adminURL: "http://127.0.0.1:\(admin)", isService: false)
        try await self.waitForFile(ready, of: child)
        self.report.kafka = DevReport.Kafka(
            bootstrapServers: listeners.joined(separator: ","), username: Self.kafkaUser, passwordFile: passwordFile,
            mechanism: "SCRAM-SHA-512", authorityFile: self.secrets.authorityFile,
            adminURL: "http://127.0.0.1:\(admin)")
        return [
            "KAFKA_BOOTSTRAP_SERVERS": listeners.joined(separator: ","), "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": Self.kafkaUser,
            "KAFKA_SASL_PASSWORD_FILE": passwordFile, "KAFKA_SSL_CA_FILE": self.secrets.authorityFile,
        ]
    }

    private func startElasticsearch() async throws -> [String: String] {
        let real = DevFiles.variables { $0.hasPrefix("ELASTICSEARCH_") }
        if let url = real["ELASTICSEARCH_URL"] {
            self.say("Elasticsearch: \(HTTPClientError.withoutSecrets(url)), as the environment says")
            return real
        }
        let port = try self.ports.port(
            "elasticsearch", wanted: self.options.elasticsearchPort, flag: "--elasticsearch-port")
        let admin = try self.ports.port("elasticsearch-admin")
        let passwordFile = try self.secrets.passwordFile("elasticsearch-password")
        let certificate = try self.secrets.serverCertificate("elasticsearch")
        let ready = self.readyFile("elasticsearch")
        let launch = ChildProcess.Launch(
            executable: "\(self.binaries)/dev-elasticsearch",
            arguments: [
                "--data-dir", "\(self.folder)/elasticsearch", "--listen", "127.0.0.1:\(port)", "--tls-cert",
                certificate.certificate, "--tls-key", certificate.key, "--username", Self.elasticsearchUser,
                "--password-file", passwordFile, "--admin-listen", "127.0.0.1:\(admin)", "--ready-file", ready,
            ], environment: self.baseEnvironment, logFile: self.logFile("elasticsearch"))
        let url = "https://127.0.0.1:\(port)"
        self.say("dev Elasticsearch: \(url)")
        let child = try self.spawn(
            "elasticsearch", role: "elasticsearch", launch, adminURL: "http://127.0.0.1:\(admin)", isService: false)
        try await self.waitForFile(ready, of: child)
        self.report.elasticsearch = DevReport.Elasticsearch(
            url: url, username: Self.elasticsearchUser, passwordFile: passwordFile,
            authorityFile: self.secrets.authorityFile, adminURL: "http://127.0.0.1:\(admin)")
        return [
            "ELASTICSEARCH_URL": url, "ELASTICSEARCH_USERNAME": Self.elasticsearchUser,
            "ELASTICSEARCH_PASSWORD_FILE": passwordFile, "ELASTICSEARCH_CA_FILE": self.secrets.authorityFile,
        ]
    }

    /// Runs our own `db migrate` as a process of its own, with the services' environment.
    private func migrate(_ database: [String: String]) async throws {
        let environment = self.baseEnvironment.merging(database) { $1 }
        let output = try await runCommand(
            "\(self.binaries)/escapement", ["db", "migrate"], environment: environment,
            outputFile: "\(self.folder)/migrate.output")
        for line in output.split(separator: "\n") { self.say("database: \(line)") }
    }

    private func startServices() throws {
        let clusterPorts = try (1...self.options.coordinators).map { try self.ports.port("coordinator-\($0)-cluster") }
        self.surroundings.coordinators = clusterPorts.map { "127.0.0.1:\($0)" }.joined(separator: ",")
        for (index, port) in clusterPorts.enumerated() { try self.startCoordinator(index + 1, cluster: port) }
        for number in 1...self.options.dispatchers { try self.startMember(.dispatcher, number) }
        for number in 1...self.options.tickers { try self.startMember(.ticker, number) }
    }

    private func startCoordinator(_ number: Int, cluster: Int) throws {
        let api = try self.secrets.serverCertificate("api")
        let port = try self.ports.port(
            "coordinator-\(number)-api", wanted: number == 1 ? self.options.apiPort : 0, flag: "--api-port")
        let url = "https://127.0.0.1:\(port)"
        if number == 1 { self.report.apiURL = url }
        var environment = self.surroundings.database
        environment["ESCAPEMENT_HTTP_LISTEN"] = "127.0.0.1:\(port)"
        environment["ESCAPEMENT_HTTP_TLS_CERT_FILE"] = api.certificate
        environment["ESCAPEMENT_HTTP_TLS_KEY_FILE"] = api.key
        environment["ESCAPEMENT_AUTH_TOKENS_FILE"] = self.secrets.tokensFile
        try self.startService(.coordinator, number, environment, cluster: cluster, apiURL: url)
    }

    /// Starts a ticker or a dispatcher, which the running coordinators are told to find.
    func startMember(_ role: Role, _ number: Int) throws {
        let around = self.surroundings
        switch role {
        case .dispatcher:
            try self.startService(
                role, number,
                around.kafka.merging(around.elasticsearch) { $1 }.merging(self.dispatcherVariables) { $1 },
                cluster: try self.ports.port("dispatcher-\(number)-cluster"))
        case .ticker: try self.startService(role, number, [:], cluster: nil)
        case .coordinator, .tool: throw DevError("a \(role.rawValue) cannot be added")
        }
    }

    private func startService(
        _ role: Role, _ number: Int, _ own: [String: String], cluster: Int?, apiURL: String? = nil
    ) throws {
        let name = "\(role.rawValue)-\(number)"
        let certificate = try self.secrets.memberCertificate(role: role, node: NodeID(name))
        let admin = try self.ports.port("\(name)-admin")
        let ready = self.readyFile(name)
        unlink(ready)
        var environment = self.baseEnvironment.merging(own) { $1 }
        environment["ESCAPEMENT_CLUSTER_NAME"] = self.options.clusterName
        environment["ESCAPEMENT_CLUSTER_SHARDS"] = "\(self.options.shards)"
        environment["ESCAPEMENT_CLUSTER_LANES"] = "\(self.options.lanes)"
        environment["ESCAPEMENT_INSTANCE_ID"] = name
        environment["ESCAPEMENT_LOG_LEVEL"] = self.options.logLevel
        environment["ESCAPEMENT_HTTP_ADMIN_LISTEN"] = "127.0.0.1:\(admin)"
        environment["ESCAPEMENT_TLS_CERT_FILE"] = certificate.certificate
        environment["ESCAPEMENT_TLS_KEY_FILE"] = certificate.key
        environment["ESCAPEMENT_TLS_CA_FILE"] = self.secrets.authorityFile
        environment["ESCAPEMENT_COORDINATORS"] = self.surroundings.coordinators
        environment["ESCAPEMENT_READY_FILE"] = ready
        environment["ESCAPEMENT_DRAIN_TIMEOUT"] = "8s"
        if let cluster {
            environment["ESCAPEMENT_CLUSTER_LISTEN"] = "127.0.0.1:\(cluster)"
            environment["ESCAPEMENT_CLUSTER_ADVERTISE"] = "127.0.0.1:\(cluster)"
        }
        var launch = ChildProcess.Launch(
            executable: "\(self.binaries)/escapement-\(role.rawValue)", arguments: [], environment: environment,
            logFile: self.logFile(name))
        if self.options.usersFrom > 0 {
            self.lastUser = max(self.lastUser + 1, self.options.usersFrom)
            launch = launch.asUser(self.lastUser)
        }
        try self.spawn(
            name, role: role.rawValue, launch, adminURL: "http://127.0.0.1:\(admin)", apiURL: apiURL, isService: true)
    }

    // MARK: - Processes

    private var baseEnvironment: [String: String] {
        DevFiles.variables { ["PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "SWIFT_BACKTRACE"].contains($0) }
            .merging(
                DevFiles.variables {
                    ["ESCAPEMENT_TZDIR", "ESCAPEMENT_ACTIVATION_STORE"].contains($0)
                        || $0.hasPrefix("CONFIG_whisk_spi") || $0.hasPrefix("OTEL_")
                }
            ) { $1 }
    }

    /// What the environment says about publishing and recording.
    private var dispatcherVariables: [String: String] {
        DevFiles.variables { name in
            name == "ESCAPEMENT_DELIVERY_MODE"
                || [
                    "ESCAPEMENT_DISPATCHER_", "ESCAPEMENT_ACTIVATIONS_", "ESCAPEMENT_OPENWHISK_",
                    "ESCAPEMENT_HTTP_TARGETS",
                ]
                .contains { name.hasPrefix($0) }
        }
    }

    func logFile(_ name: String) -> String { "\(self.folder)/logs/\(name).log" }
    private func readyFile(_ name: String) -> String { "\(self.folder)/ready/\(name).json" }

    @discardableResult func spawn(
        _ name: String, role: String, _ launch: ChildProcess.Launch, adminURL: String?, apiURL: String? = nil,
        isService: Bool
    ) throws -> ChildProcess {
        if DevFiles.exists(self.readyFile(name)) { unlink(self.readyFile(name)) }
        let child = try ChildProcess(name: name, launch)
        let process = DevReport.Process(
            name: name, role: role, node: name, pid: child.pid, adminURL: adminURL, apiURL: apiURL,
            logFile: launch.logFile)
        if let index = self.members.firstIndex(where: { $0.process.name == name }) {
            self.members[index] = Member(process: process, launch: launch, child: child, isService: isService)
        } else {
            self.members.append(Member(process: process, launch: launch, child: child, isService: isService))
        }
        try self.writeReport()
        self.watch(child)
        return child
    }

    /// Starts a process that ended by itself again. The task ends with the process; what fails is said.
    private func watch(_ child: ChildProcess) {
        Task {
            let ending = await child.wait()
            await self.ended(child, ending)
        }
    }

    private func ended(_ child: ChildProcess, _ ending: ChildProcess.Ending) async {
        guard !self.isStopping, let member = self.members.first(where: { $0.child === child }) else { return }
        let name = member.process.name
        guard !self.held.contains(name) else { return }
        self.say("\(name) ended: \(ending)")
        // A refused configuration does not mend itself.
        guard self.report.ready, !self.options.noRestart, ending != .exited(78) else { return }
        do {
            try await Task.sleep(for: Self.restartPause)
            guard !self.isStopping, !self.held.contains(name), self.members.contains(where: { $0.child === child })
            else {
                return
            }
            let restarted = try self.spawn(
                name, role: member.process.role, member.launch, adminURL: member.process.adminURL,
                apiURL: member.process.apiURL, isService: member.isService)
            self.say("\(name) started again as process \(restarted.pid)")
        } catch {
            self.say("\(name) could not be started again: \(error)")
        }
    }

    func writeReport() throws(DevError) {
        self.report.processes = self.members.map(\.process)
        try DevFiles.write(self.report.json.prettyText + "\n", to: Self.reportFile(in: self.folder), mode: 0o644)
    }

    // MARK: - Stop

    /// Stops everything: who uses a service before the service.
    func stop() async {
        guard !self.isStopping else { return }
        self.isStopping = true
        for roles in [["ticker"], ["dispatcher"], ["coordinator"], ["kafka", "elasticsearch"], ["postgres"]] {
            let group = self.members.filter { roles.contains($0.process.role) }
            await withTaskGroup(of: Void.self) { tasks in
                for member in group {
                    // PostgreSQL's fast shutdown does not wait for clients.
                    let signal = member.process.role == "postgres" ? SIGINT : SIGTERM
                    tasks.addTask { await member.child.stop(signal, patience: Self.stopMax) }
                }
            }
        }
        unlink(Self.reportFile(in: self.folder))
        await self.http.shutdown()
    }
}
