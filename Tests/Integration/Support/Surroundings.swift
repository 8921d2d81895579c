import DispatcherKafka
import ElasticsearchSupport
import EscapementModel
import Glibc
import HTTPClient
import JSON
import KafkaClient
import Logging
import PostgresSupport
import ServiceConfiguration

/// What a stack stands on: the stand-ins that it starts itself, or the services that the environment names. On the latter
/// nothing of another stack may be in its way and nothing of it may stay, so all that it makes there has names of its own.
struct Surroundings: Sendable {
    /// Of this stack alone: its topics, indices and schema bear it.
    let name: String
    let firesTopic: String
    let deadLetterTopic: String
    /// Variables that a test wants besides.
    var more: [String: String] = [:]

    static let hasRealKafka = getenv("KAFKA_BOOTSTRAP_SERVERS") != nil
    static let hasRealElasticsearch = StoreUnderTest.isReal
    static let hasRealPostgres = getenv("PGHOST") != nil || getenv("DATABASE_URL") != nil

    init() {
        var random = SystemRandomNumberGenerator()
        self.name = "it-\(UID.random(using: &random).hex.prefix(12))"
        self.firesTopic = "\(self.name).fires"
        self.deadLetterTopic = "\(self.name).deadletters"
    }

    var schema: String { self.name.replacing("-", with: "_") }

    /// What the processes of the stack get besides the environment of the tests.
    var variables: [String: String] {
        [
            "ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC": self.firesTopic,
            "ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC": self.deadLetterTopic,
            "ESCAPEMENT_ACTIVATIONS_INDEX": self.name, "ESCAPEMENT_DATABASE_SCHEMA": self.schema,
        ].merging(self.more) { $1 }
    }

    /// The variables by which a client finds Kafka.
    ///
    /// - Parameter report: `dev.json` of the stack, which says where its stand-in is.
    func kafkaVariables(_ report: JSONValue) throws -> [String: String] {
        guard !Self.hasRealKafka else {
            return Command.inherited.filter { $0.key.hasPrefix("KAFKA_") || $0.key.hasPrefix("CONFIG_whisk_kafka") }
        }
        func text(_ key: String) throws -> String {
            if let value = report["kafka"]?[key]?.stringValue { return value }
            throw StackError("dev.json lacks kafka.\(key)")
        }
        return [
            "KAFKA_BOOTSTRAP_SERVERS": try text("bootstrapServers"), "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": try text("saslMechanism"), "KAFKA_SASL_USERNAME": try text("username"),
            "KAFKA_SASL_PASSWORD_FILE": try text("passwordFile"), "KAFKA_SSL_CA_FILE": try text("caFile"),
        ]
    }

    func kafkaSettings(_ report: JSONValue) throws -> KafkaClientSettings {
        let sources = ConfigurationSources(environment: try self.kafkaVariables(report))
        return KafkaClientSettings(try KafkaToolConfiguration.load(from: sources).model.kafka)
    }

    /// Removes what the stack has made on real services.
    func remove() async throws {
        if Self.hasRealKafka { try await self.removeTopics() }
        if Self.hasRealElasticsearch { try await self.removeIndices() }
        if Self.hasRealPostgres {
            try await PostgresDatabase.make(migrated: false).run("DROP SCHEMA IF EXISTS \(self.schema) CASCADE")
        }
    }

    var journalTopic: String { "escapement.\(self.name).journal" }

    /// Deletes a topic with all that is in it.
    func delete(topic: String, _ report: JSONValue) async throws {
        let settings = try self.kafkaSettings(report)
        let admin = try KafkaAdmin(
            settings: settings, logger: Logger(label: "integration", factory: { _ in SwiftLogNoOpLogHandler() }),
            health: KafkaHealthMonitor(settings: settings) { _ in })
        _ = try await admin.delete(topic: topic, timeout: Stack.patience)
        await admin.close()
    }

    private func removeTopics() async throws {
        let settings = try self.kafkaSettings(.null)
        let admin = try KafkaAdmin(
            settings: settings, logger: Logger(label: "integration", factory: { _ in SwiftLogNoOpLogHandler() }),
            health: KafkaHealthMonitor(settings: settings) { _ in })
        let topics = ClusterTopics(
            cluster: self.name, laneCount: 1, defaultTopic: self.firesTopic, deadLetterTopic: self.deadLetterTopic)
        for topic in topics.all { _ = try await admin.delete(topic: topic.name, timeout: Stack.patience) }
        await admin.close()
    }

    private func removeIndices() async throws {
        try await StoreUnderTest.with { store in
            let found = try await store.http.send(HTTPRequest(.get, "/\(self.name)*"))
            let indices = try JSONParser.parse(found.text).objectValue?.map(\.name) ?? []
            try await store.remove(indices: indices, setup: self.name)
        }
    }
}
