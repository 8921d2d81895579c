import DispatcherKafka
import EscapementModel
import Glibc
import HTTPClient
import JSON
import KafkaClient
import Logging
import ServiceConfiguration

/// The activation store of a running stack, and what it refuses.
extension BenchStack {
    /// Orders faults from the stand-in for Elasticsearch.
    func order(_ faults: String) async throws {
        guard let faultsURL = self.faultsURL else {
            throw DevError("this stack's Elasticsearch has no faults to order")
        }
        let answer = try await self.client.send(
            HTTPRequest(.put, "\(faultsURL)/admin/faults", body: Array(faults.utf8), timeout: .seconds(5)))
        guard answer.isSuccess else { throw DevError("the stand-in does not take the faults: \(answer.text)") }
    }

    /// The resident memory of all dispatchers, bytes.
    func dispatcherBytes(_ sample: Sample) -> UInt64 {
        self.processes.filter { $0.role == "dispatcher" }.reduce(0) { $0 + (sample.resident[$1.name] ?? 0) }
    }

    /// Ids of the activation documents that the dead-letter topic keeps, each with a reason.
    func parkedDocuments() async throws -> Set<String> {
        guard let kafka = self.report["kafka"] else { throw DevError("dev.json does not say where Kafka is") }
        func text(_ key: String) -> String { kafka[key]?.stringValue ?? "" }
        let sources = ConfigurationSources(environment: [
            "KAFKA_BOOTSTRAP_SERVERS": text("bootstrapServers"), "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": text("saslMechanism"), "KAFKA_SASL_USERNAME": text("username"),
            "KAFKA_SASL_PASSWORD_FILE": text("passwordFile"), "KAFKA_SSL_CA_FILE": text("caFile"),
        ])
        var settings = KafkaClientSettings(try KafkaToolConfiguration.load(from: sources).model.kafka)
        settings.properties.append(.init("isolation.level", "read_committed"))
        let consumer = try KafkaConsumer(
            settings: settings, group: "escapement-bench", noticesEnds: true,
            logger: Logger(label: "bench", factory: { _ in SwiftLogNoOpLogHandler() }),
            health: KafkaHealthMonitor(settings: settings) { _ in })
        let topic = getenv("ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC").map { String(cString: $0) }
        let partition = KafkaPartition(topic ?? DispatcherConfiguration.deadLetterTopicName, 0)
        try await consumer.assign([partition: .beginning])
        var ids: Set<String> = []
        let clocks = SystemClocks()
        let began = clocks.monotonicNow()
        while consumer.end(of: partition) == nil {
            for message in try await consumer.poll(max: 1000, timeout: .milliseconds(200)) {
                func header(_ name: String) -> String { String(decoding: message.header(name) ?? [], as: UTF8.self) }
                guard header("esc-reason") == "ACTIVATION_REFUSED", !header("esc-error").isEmpty else { continue }
                ids.insert(header("esc-activation-id"))
            }
            guard clocks.monotonicNow().duration(since: began) < .seconds(30) else {
                throw DevError("the dead-letter topic cannot be read")
            }
        }
        await consumer.close()
        return ids
    }
}
