import ServiceConfiguration
import Testing
import TestSupport

@Suite struct ConfigurationFileTests {
    private let fixtures = Fixtures()

    private func load(
        _ text: String, environment: [String: String] = [:], flags: [String: String] = [:],
        deprecated: [DeprecatedSetting] = []
    ) -> (loaded: LoadedConfiguration<DispatcherConfiguration>, problems: [ConfigurationProblem]) {
        let path = self.fixtures.directory.write(text, to: "config.yaml")
        return DispatcherConfiguration.examine(
            ConfigurationSources(
                flags: flags,
                environment: self.fixtures.dispatcher.merging(["ESCAPEMENT_CONFIG_FILE": path]) { $1 }
                    .merging(environment) { $1 }, hostName: "host-1", deprecated: deprecated
            ).withFile())
    }

    private func entry(
        _ name: String, _ loaded: LoadedConfiguration<DispatcherConfiguration>
    ) throws -> ConfigurationEntry {
        try #require(loaded.entries.first { $0.name == name })
    }

    @Test func `a file sets what the environment and flags do not, and the origin is shown`() throws {
        let (loaded, problems) = self.load(
            """
            configVersion: 1
            cluster: {name: prod-eu, shards: 64}
            drainTimeout: 20s
            http:
              adminListen: "0.0.0.0:9999"
            log: {level: debug, format: json}
            kafka:
              clientId: from-file
              property: {socket.keepalive.enable: true}
            elasticsearch:
              url: [https://a:9200, https://b:9200]
            """, environment: ["ESCAPEMENT_LOG_LEVEL": "error", "ELASTICSEARCH_URL": ""],
            flags: ["kafka-client-id": "from-flag"])
        #expect(problems == [])
        #expect(loaded.model.common.cluster.name == "prod-eu")
        #expect(loaded.model.common.cluster.shardCount == 64)
        #expect(loaded.model.common.drainLimit == .seconds(20))
        #expect(loaded.model.common.adminListen.port == 9999)
        #expect(loaded.model.common.logLevel == .error)
        #expect(loaded.model.common.logFormat == .json)
        #expect(loaded.model.kafka.clientID == "from-flag")
        #expect(loaded.model.kafka.properties.map(\.name) == ["socket.keepalive.enable"])
        #expect(loaded.model.elasticsearch.urls == ["https://a:9200", "https://b:9200"])
        let origin = try self.entry("ESCAPEMENT_HTTP_ADMIN_LISTEN", loaded).origin
        #expect("\(origin)".hasPrefix("http.adminListen in /"))
        #expect("\(origin)".hasSuffix("config.yaml:5"))
        #expect(try self.entry("ESCAPEMENT_LOG_LEVEL", loaded).origin == .environment("ESCAPEMENT_LOG_LEVEL"))
        #expect(try self.entry("ESCAPEMENT_CONFIG_FILE", loaded).origin == .environment("ESCAPEMENT_CONFIG_FILE"))
    }

    @Test func `every problem of a file is named with its line, next to those of the environment`() throws {
        let (_, problems) = self.load(
            """
            cluster: {shards: many}
            http:
              adminListn: ":9"
            kafka: {saslPassword: hunter2}
            log: {level: info}
            logLevel: debug
            server: https://example
            """, environment: ["ESCAPEMENT_ZON": "a"])
        let texts = problems.map { problem in
            let text = "\(problem)"
            return text.replacing(self.fixtures.directory.path + "/", with: "")
        }
        #expect(
            texts == [
                "cluster.shards (config.yaml:1) is 'many'; set it to a whole number from 1 to 4096",
                "KAFKA_SASL_PASSWORD would stand in clear in a configuration file; "
                    + "name a file that holds it in KAFKA_SASL_PASSWORD_FILE",
                "http.adminListn (config.yaml:3) is not a setting; did you mean http.adminListen?",
                "logLevel (config.yaml:6) is given twice, first in line 5; keep one of them",
                "server (config.yaml:7) is not a setting; take it out, or see docs/configuration-reference.md",
                "ESCAPEMENT_ZON is not a setting; did you mean ESCAPEMENT_ZONE?",
            ])
        #expect(!"\(problems)".contains("hunter2"))
    }

    @Test(arguments: [
        ("configVersion: 2", "is 2, and this build reads 1"), ("configVersion: new", "is 'new'"),
        ("- a\n- b", "is not a mapping of keys to values"), ("a: [b", "is not YAML"),
        ("a: 1\na: 2", "keys are given twice in the mapping"),
        ("zone: {deeper: {than: this}}", "is not a setting"), ("zone: [{a: b}]", "is a list of more than texts"),
    ])
    func `what a file is refused for`(text: String, message: String) {
        let problems = self.load(text).problems
        #expect(problems.count == 1)
        #expect(problems.first?.description.contains(message) == true)
    }

    @Test func `a file that is not there is a problem of its own`() {
        let sources = ConfigurationSources(
            flags: ["config": "/nowhere/config.yaml"], environment: self.fixtures.dispatcher
        ).withFile()
        #expect(
            DispatcherConfiguration.examine(sources).problems.map(\.description) == [
                "the configuration file /nowhere/config.yaml cannot be read: No such file or directory; "
                    + "name a file that this user can read"
            ])
    }

    @Test func `an empty file and a key without a value say nothing`() {
        #expect(self.load("").problems == [])
        let (loaded, problems) = self.load("zone:\nlog:\n  level: ~\n")
        #expect(problems == [])
        #expect(loaded.model.common.logLevel == .info)
    }

    @Test func `an old name is taken with a warning and counted, and the new one wins`() {
        let old = [DeprecatedSetting("ESCAPEMENT_ROOM", replacement: "ESCAPEMENT_ZONE", removal: "0.3.0")]
        let (fromFile, problems) = self.load("room: cellar", deprecated: old)
        #expect(problems == [])
        #expect(fromFile.model.common.zone == "cellar")
        #expect(
            fromFile.warnings.map(\.description) == [
                "ESCAPEMENT_ROOM is an old name, refused from version 0.3.0 on; set ESCAPEMENT_ZONE instead"
            ])
        #expect(fromFile.deprecatedKeyCount == 1)
        let both = self.load(
            "", environment: ["ESCAPEMENT_ROOM": "cellar", "ESCAPEMENT_ZONE": "attic"], deprecated: old)
        #expect(both.problems == [])
        #expect(both.loaded.model.common.zone == "attic")
        #expect(both.loaded.deprecatedKeyCount == 1)
        #expect(self.load("", environment: ["ESCAPEMENT_ROOM": "x"]).problems.map(\.name) == ["ESCAPEMENT_ROOM"])
    }

    @Test func `the fingerprint is equal for members that share their settings`() {
        let one = self.load("cluster: {name: a}", environment: ["ESCAPEMENT_INSTANCE_ID": "one"]).loaded
        let two = self.load("{}", environment: ["ESCAPEMENT_INSTANCE_ID": "two", "ESCAPEMENT_CLUSTER_NAME": "a"]).loaded
        let three = self.load("cluster: {name: b}").loaded
        #expect(one.fingerprint.utf8.count == 16)
        #expect(one.fingerprint == two.fingerprint)
        #expect(one.fingerprint != three.fingerprint)
    }

    @Test func `every variable of the file has a path that leads back to it`() {
        let file = ConfigurationFile(
            text: KnownNames.services.sorted().compactMap { ConfigurationPath.path(of: $0) }
                .map { "\"\($0)\": x" }.joined(separator: "\n"), path: "config.yaml")
        #expect(file.problems == [])
        let expected = KnownNames.services.filter { ConfigurationPath.path(of: $0) != nil }
        #expect(Set(file.values.keys) == expected)
    }
}
