import Glibc
import Testing

/// How services refuse a configuration that cannot work: one line, exit code 78, no secrets.
@Suite struct RefusalTests {
    private static let common = [
        "PATH": "/usr/bin:/bin", "ESCAPEMENT_TLS_CERT_FILE": "/dev/null", "ESCAPEMENT_TLS_KEY_FILE": "/dev/null",
        "ESCAPEMENT_TLS_CA_FILE": "/dev/null", "ESCAPEMENT_COORDINATORS": "127.0.0.1:1",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "ELASTICSEARCH_URL": "http://127.0.0.1:1",
    ]

    @Test(arguments: [
        ["ESCAPEMENT_ACTIVATION_STORE": "couchdb"],
        ["CONFIG_whisk_spi_ArtifactStoreProvider": "org.apache.openwhisk.core.database.CouchDbStoreProvider"],
    ])
    func `a dispatcher with another activation store says that Elasticsearch is required`(
        more: [String: String]
    ) async throws {
        let result = try await Command(
            "escapement-dispatcher", [], environment: Self.common.merging(more) { $1 }
        ).run()
        #expect(result.code == 78)
        let lines = result.errors.split(separator: "\n").filter { $0.contains("Elasticsearch") }
        #expect(lines.count == 1, "\(result.errors)")
        #expect(lines.first?.contains(more.keys.first ?? "?") == true, "\(result.errors)")
    }

    @Test func `a SASL mechanism without credentials is refused before anything starts`() async throws {
        let more = ["KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512"]
        let result = try await Command(
            "escapement-dispatcher", [], environment: Self.common.merging(more) { $1 }
        ).run()
        #expect(result.code == 78)
        #expect(result.errors.contains("KAFKA_SASL_USERNAME"), "\(result.errors)")
    }

    @Test(arguments: ["escapement-coordinator", "escapement-ticker", "escapement-dispatcher"])
    func `an unknown variable is refused with the likely one`(service: String) async throws {
        let more = ["ESCAPEMENT_LOG_LEVLE": "debug", "ESCAPEMENT_PORT": "tcp://10.0.0.1:8080"]
        let result = try await Command(service, [], environment: Self.common.merging(more) { $1 }).run()
        #expect(result.code == 78)
        #expect(result.errors.contains("ESCAPEMENT_LOG_LEVEL"), "\(result.errors)")
        #expect(!result.errors.contains("ESCAPEMENT_PORT"), "what Kubernetes adds for a Service is ignored")
    }
}
