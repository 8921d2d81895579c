import ServiceConfiguration
import TestSupport

/// Environments that load without a problem; a test changes what it is about.
struct Fixtures {
    let directory = TemporaryFolder()
    let member: [String: String]
    let coordinator: [String: String]
    let dispatcher: [String: String]

    init() {
        let pem = self.directory.write("-----BEGIN X-----\n", to: "any.pem")
        self.member = [
            "ESCAPEMENT_TLS_CERT_FILE": pem, "ESCAPEMENT_TLS_KEY_FILE": pem, "ESCAPEMENT_TLS_CA_FILE": pem,
            "ESCAPEMENT_COORDINATORS": "coordinator-0:7400, coordinator-1",
        ]
        self.coordinator = self.member.merging(["ESCAPEMENT_AUTH_TOKENS_FILE": pem]) { $1 }
        self.dispatcher = self.member.merging([
            "KAFKA_BOOTSTRAP_SERVERS": "kafka-0:9092,kafka-1:9092", "ELASTICSEARCH_URL": "https://es:9200/",
        ]) { $1 }
    }

    /// Loads a service with `changes` over its sound environment; an empty value unsets.
    func load<Service: ReadableConfiguration>(
        _ service: Service.Type, _ changes: [String: String] = [:], flags: [String: String] = [:]
    ) throws(ConfigurationRefusal) -> LoadedConfiguration<Service> {
        let base =
            service == CoordinatorConfiguration.self
            ? self.coordinator : service == DispatcherConfiguration.self ? self.dispatcher : self.member
        return try Service.load(
            from: ConfigurationSources(
                flags: flags, environment: base.merging(changes) { $1 }, hostName: "host-1"))
    }

    /// The problems of a load that must fail; empty when it did not.
    func problems<Service: ReadableConfiguration>(
        _ service: Service.Type, _ changes: [String: String], flags: [String: String] = [:]
    ) -> [ConfigurationProblem] {
        do {
            _ = try self.load(service, changes, flags: flags)
            return []
        } catch {
            return error.problems
        }
    }
}
