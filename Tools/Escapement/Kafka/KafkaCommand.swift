import ArgumentParser
import DispatcherKafka
import EscapementModel
import KafkaClient
import Logging
import ServiceConfiguration

/// `escapement kafka`: the topics of a cluster.
struct KafkaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kafka", abstract: "Create and check the cluster's topics in Kafka.",
        discussion: """
            Reads the dispatchers' settings from the environment: KAFKA_…, ESCAPEMENT_CLUSTER_NAME, \
            ESCAPEMENT_CLUSTER_LANES, ESCAPEMENT_DISPATCHER_DEFAULT_TOPIC, ESCAPEMENT_DISPATCHER_DEAD_LETTER_TOPIC.
            """,
        subcommands: [Setup.self, Check.self])

    /// Creates what is missing, then checks.
    struct Setup: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Create the topics that are missing, with safe settings, and check all.",
            discussion: "Topics that exist are never changed. Run again it does nothing.")

        func run() async throws { try await KafkaCommand.inspect(creates: true) }
    }

    /// Checks and changes nothing.
    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check topics, copies and broker settings, and say what is unsafe.",
            discussion: "Exits with 1 when something breaks the promise, with 0 when there are only warnings.")

        func run() async throws { try await KafkaCommand.inspect(creates: false) }
    }

    private static func inspect(creates: Bool) async throws {
        let configuration: KafkaToolConfiguration
        do {
            configuration = try KafkaToolConfiguration.load(from: .process(flags: [:])).model
        } catch {
            error.report()
            throw ExitCode(ConfigurationRefusal.exitCode)
        }
        var settings = KafkaClientSettings(configuration.kafka)
        settings.tokens = KafkaTokens.source(for: configuration.kafka, clocks: SystemClocks())
        let logger = Logger(label: "kafka", factory: { _ in SwiftLogNoOpLogHandler() })
        let monitor = KafkaHealthMonitor(settings: settings, change: { _ in })
        let admin = try KafkaAdmin(settings: settings, logger: logger, health: monitor)
        var findings: [KafkaInspection.Finding]
        do {
            findings = try await KafkaInspection(admin: admin).run(
                topics: { replicaCount in
                    ClusterTopics(
                        cluster: configuration.cluster.name, laneCount: configuration.cluster.laneCount,
                        defaultTopic: configuration.defaultTopic, deadLetterTopic: configuration.deadLetterTopic,
                        replicaCount: replicaCount)
                }, creates: creates)
        } catch {
            throw ValidationError("Kafka cannot be asked: \(monitor.reason ?? "\(error)")")
        }
        findings.append(
            await KafkaInspection.lanes(
                of: configuration.cluster.name, settings: settings, logger: logger, health: monitor))
        await admin.close()
        for finding in findings { print("\(finding.level.rawValue): \(finding.text)") }
        if findings.contains(where: { $0.level == .problem }) { throw ExitCode.failure }
    }
}
