import EscapementModel
import ServiceConfiguration
import Testing

@Suite struct CommonConfigurationTests {
    private let fixtures = Fixtures()

    @Test func `defaults hold where nothing is set`() throws {
        let loaded = try self.fixtures.load(TickerConfiguration.self)
        let common = loaded.model.common
        #expect(common.cluster == ClusterSettings(name: "escapement", shardCount: 256, laneCount: 16))
        #expect(common.instance == "host-1")
        #expect(common.adminListen == ListenAddress(host: "0.0.0.0", port: 9090))
        #expect(common.clusterListen == ListenAddress(host: "0.0.0.0", port: 7400))
        #expect(common.advertise == nil)
        #expect(common.logLevel == .info)
        #expect(common.logFormat == .auto)
        #expect(common.zoneInfoDirectory == "/usr/share/zoneinfo")
        #expect(common.drainLimit == .seconds(40))
        #expect(
            common.coordinators == [
                PeerAddress(host: "coordinator-0", port: 7400), PeerAddress(host: "coordinator-1", port: 7400),
            ])
        #expect(loaded.warnings == [])
    }

    @Test func `flags win over the environment, and an empty variable is not set`() throws {
        let loaded = try self.fixtures.load(
            TickerConfiguration.self,
            [
                "ESCAPEMENT_CLUSTER_NAME": "from-environment", "ESCAPEMENT_ZONE": "", "ESCAPEMENT_LOG_LEVEL": " Debug ",
                "ESCAPEMENT_CLUSTER_ADVERTISE": "10.0.0.7:7400",
            ],
            flags: ["cluster-name": "from-flag", "drain-timeout": "1m30s"])
        #expect(loaded.model.common.cluster.name == "from-flag")
        #expect(loaded.model.common.drainLimit == .seconds(90))
        #expect(loaded.model.common.logLevel == .debug)
        #expect(loaded.model.common.advertise == PeerAddress(host: "10.0.0.7", port: 7400))
        #expect(loaded.listing.contains("ESCAPEMENT_CLUSTER_NAME=from-flag  # flag --cluster-name\n"))
        #expect(loaded.listing.contains("ESCAPEMENT_ZONE=  # default\n"))
        #expect(loaded.listing.contains("ESCAPEMENT_DRAIN_TIMEOUT=1m30s  # flag --drain-timeout\n"))
    }

    @Test func `all problems are reported together`() {
        let problems = self.fixtures.problems(
            TickerConfiguration.self,
            [
                "ESCAPEMENT_CLUSTER_NAME": "Not A Name", "ESCAPEMENT_CLUSTER_SHARDS": "many",
                "ESCAPEMENT_HTTP_ADMIN_LISTEN": "9090", "ESCAPEMENT_DRAIN_TIMEOUT": "40",
                "ESCAPEMENT_LOG_FORMAT": "xml", "ESCAPEMENT_TLS_KEY_FILE": "/nowhere/key.pem",
                "ESCAPEMENT_TLS_CA_FILE": "", "ESCAPEMENT_COORDINATORS": "", "ESCAPEMENT_TZDIR": "/nowhere",
                "ESCAPEMENT_CLUSTER_ADVERTISE": "host", "ESCAPEMENT_INSTANCE_ID": "a b",
            ])
        #expect(
            Set(problems.map(\.name)) == [
                "ESCAPEMENT_CLUSTER_NAME", "ESCAPEMENT_CLUSTER_SHARDS", "ESCAPEMENT_HTTP_ADMIN_LISTEN",
                "ESCAPEMENT_DRAIN_TIMEOUT", "ESCAPEMENT_LOG_FORMAT", "ESCAPEMENT_TLS_KEY_FILE",
                "ESCAPEMENT_TLS_CA_FILE", "ESCAPEMENT_COORDINATORS", "ESCAPEMENT_TZDIR",
                "ESCAPEMENT_CLUSTER_ADVERTISE", "ESCAPEMENT_INSTANCE_ID",
            ])
        for problem in problems {
            #expect(!problem.remedy.isEmpty)
            #expect(!problem.description.contains("\n"))
        }
        #expect(ConfigurationRefusal.exitCode == 78)
    }

    @Test func `more lanes than shards are refused`() {
        let problems = self.fixtures.problems(
            TickerConfiguration.self, ["ESCAPEMENT_CLUSTER_SHARDS": "8", "ESCAPEMENT_CLUSTER_LANES": "9"])
        #expect(problems.map(\.name) == ["ESCAPEMENT_CLUSTER_LANES"])
    }

    @Test(arguments: [
        ("ESCAPEMENT_HTTP_ADMIN_LISTN", "did you mean ESCAPEMENT_HTTP_ADMIN_LISTEN?"),
        ("ESCAPEMENT_COORDINATOR", "did you mean ESCAPEMENT_COORDINATORS?"),
        ("ESCAPEMENT_LOGLEVEL", "did you mean ESCAPEMENT_LOG_LEVEL?"),
        ("ESCAPEMENT_DISPATCHER_FORMATS", "did you mean ESCAPEMENT_DISPATCHER_FORMAT?"),
        ("ESCAPEMENT_SOMETHING_ELSE_ENTIRELY", "unset it, or see docs/configuration.md"),
    ])
    func `an unknown variable of ours is refused with the likely one`(name: String, remedy: String) {
        let problems = self.fixtures.problems(TickerConfiguration.self, [name: "1"])
        #expect(problems == [ConfigurationProblem(name, "is not a setting", remedy: remedy)])
    }

    @Test func `service links, other services' keys and the command line's are no problem`() throws {
        _ = try self.fixtures.load(
            TickerConfiguration.self,
            [
                "ESCAPEMENT_PORT": "tcp://10.0.0.1:8080", "ESCAPEMENT_SERVICE_HOST": "10.0.0.1",
                "ESCAPEMENT_SERVICE_PORT": "8080", "ESCAPEMENT_SERVICE_PORT_HTTP": "8080",
                "ESCAPEMENT_PORT_8080_TCP": "tcp://10.0.0.1:8080", "ESCAPEMENT_PORT_8080_TCP_ADDR": "10.0.0.1",
                "ESCAPEMENT_API_PORT_8080_TCP_PROTO": "tcp", "ESCAPEMENT_COORDINATOR_SERVICE_HOST": "10.0.0.2",
                "ESCAPEMENT_DISPATCHER_FORMAT": "plain", "ESCAPEMENT_AUTH_MODE": "none",
                "ESCAPEMENT_SERVER": "https://x", "ESCAPEMENT_TOKEN_FILE": "/x", "KAFKA_PORT": "tcp://10.0.0.3:9092",
                "PATH": "/bin",
            ])
    }

    @Test func `an unknown flag is refused with the likely one`() {
        let problems = self.fixtures.problems(TickerConfiguration.self, [:], flags: ["cluster-nam": "x"])
        #expect(
            problems == [
                ConfigurationProblem(
                    "--cluster-nam", "is not a flag of this service", remedy: "did you mean --cluster-name?")
            ])
    }

    @Test func `arguments become flags and switches`() throws {
        let flags = try CommandLineFlags(["--http-listen", "127.0.0.1:0", "--print-config", "--log-level=debug"])
        #expect(flags.values == ["http-listen": "127.0.0.1:0", "log-level": "debug"])
        #expect(flags.switches == ["print-config"])
        #expect(throws: ConfigurationRefusal.self) { try CommandLineFlags(["positional"]) }
        #expect(throws: ConfigurationRefusal.self) { try CommandLineFlags(["--log-level"]) }
        #expect(throws: ConfigurationRefusal.self) { try CommandLineFlags(["--a=1", "--a=2"]) }
    }

    @Test(arguments: [
        ("0.0.0.0:9090", ListenAddress(host: "0.0.0.0", port: 9090)), (":0", ListenAddress(host: "0.0.0.0", port: 0)),
        ("[::1]:80", ListenAddress(host: "::1", port: 80)),
        ("localhost:65535", ListenAddress(host: "localhost", port: 65_535)),
    ])
    func `addresses to listen on`(text: String, address: ListenAddress) {
        #expect(ListenAddress(text: text) == address)
        #expect(ListenAddress(text: address.description) == address)
    }

    @Test(arguments: ["9090", "host:", "host:65536", "host:-1", "::1:80", "[]:80", "host:http", "host:+80"])
    func `what is no address to listen on`(text: String) {
        #expect(ListenAddress(text: text) == nil)
    }

    @Test func `a collector that is spoken to by gRPC elsewhere stops no service`() throws {
        let loaded = try Fixtures().load(
            DispatcherConfiguration.self,
            ["OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"])
        #expect(loaded.model.common.telemetry.tracesURL == nil)
        #expect(loaded.warnings.map(\.name) == ["OTEL_EXPORTER_OTLP_PROTOCOL"])
    }

    @Test(arguments: ["hunter2", "=hunter2", "a=hunter2%2", "a=hunter2%zz"])
    func `headers for the collector of traces that cannot be read are refused and not repeated`(text: String) {
        let problems = Fixtures().problems(DispatcherConfiguration.self, ["OTEL_EXPORTER_OTLP_HEADERS": text])
        #expect(problems.map(\.name) == ["OTEL_EXPORTER_OTLP_HEADERS"])
        #expect(!problems.description.contains("hunter2"))
    }

    @Test func `sizes`() {
        #expect(SizeText.parse("16MiB") == 16 << 20)
        #expect(SizeText.parse("64kB") == 64_000)
        #expect(SizeText.parse("512") == 512)
        #expect(SizeText.parse("1.5GiB") == nil)
        #expect(SizeText.parse("MiB") == nil)
        #expect(SizeText.parse("9999999999GiB") == nil)
        #expect(SizeText.format(16 << 20) == "16MiB")
        #expect(SizeText.format(1000) == "1000")
    }
}
