import DispatcherService
package import EscapementModel
package import KafkaClient
package import Logging
package import Observability
package import ServiceConfiguration
import Synchronization

/// How this process reaches Kafka: the settings of every client, and what all of them say about the brokers.
package final class KafkaConnection: Sendable {
    /// Name among the health checks.
    package static let check = "kafka"

    package let settings: KafkaClientSettings
    package let monitor: KafkaHealthMonitor
    package let logger: Logger
    private let state: TroubleState

    private final class TroubleState: Sendable {
        let since = Mutex<(reason: String, since: MonotonicInstant)?>(nil)
        let obstacle = Mutex<String?>("the topics are not looked at yet")
    }

    /// - Parameter tokens: where OAUTHBEARER gets its tokens from.
    package init(
        _ settings: KafkaSettings, tokens: KafkaClientSettings.TokenSource? = nil, clocks: any Clocks, health: Health,
        logger: Logger
    ) {
        var settings = KafkaClientSettings(settings)
        settings.tokens = tokens
        let state = TroubleState()
        self.settings = settings
        self.state = state
        self.logger = logger
        // A broker outage must not take every dispatcher out of service at once: it gates the start only.
        health.declare(Self.check, gates: [.startup], initially: .notReady("not asked yet"))
        self.monitor = KafkaHealthMonitor(settings: settings) { reason in
            state.since.withLock { trouble in
                trouble = reason.map { ($0, trouble?.since ?? clocks.monotonicNow()) }
            }
            health.set(Self.check, reason.map { .notReady($0) } ?? .ok)
        }
    }

    /// Why Kafka cannot be used, and since when; `nil` while it can, or nothing is known.
    package var trouble: (reason: String, since: MonotonicInstant)? { self.state.since.withLock { $0 } }

    /// Why lanes may not begin: the topics are not looked at, not there, or not as they have to be. `nil` from the moment
    /// on at which they were.
    package var obstacle: String? {
        get { self.state.obstacle.withLock { $0 } }
        set { self.state.obstacle.withLock { $0 = newValue } }
    }

    /// A client for questions about the brokers and topics.
    package func makeAdmin() throws(KafkaError) -> KafkaAdmin {
        try KafkaAdmin(settings: self.settings, logger: self.logger, health: self.monitor)
    }

    /// A client that reads records and keeps offsets for `group`.
    func makeConsumer(group: String) throws(KafkaError) -> KafkaConsumer {
        try KafkaConsumer(settings: self.settings, group: group, logger: self.logger, health: self.monitor)
    }

    /// Makes a lane's producer and the recorder's consumer for a moment, so that properties that do
    /// not exist or do not go together are found at the start. Waits for no broker.
    ///
    /// - Throws: `ConfigurationRefusal` naming the property.
    package func check(_ mode: DeliveryMode, cluster: String) throws(ConfigurationRefusal) {
        do throws(KafkaError) {
            // Each frees itself in the background. The names are such as this user has rights for.
            switch mode {
            case .exactlyOnce:
                _ = try KafkaTransactionalProducer(
                    settings: self.settings, transactionalID: KafkaTransactionSessions.prefix(of: cluster) + "check",
                    logger: self.logger, health: self.monitor)
            case .atLeastOnce:
                _ = try KafkaProducer(
                    settings: self.settings.withDefaults(SharedProducer.defaults), logger: self.logger,
                    health: self.monitor)
            }
            _ = try self.makeConsumer(group: PublishingRules.recorderGroup(of: cluster))
        } catch {
            throw ConfigurationRefusal([Self.problem(error)])
        }
    }

    private static func problem(_ error: KafkaError) -> ConfigurationProblem {
        if error.detail.contains("SASL mechanism") {
            return ConfigurationProblem(
                "KAFKA_SASL_MECHANISM", "is one that librdkafka is built without: \(error)",
                remedy: "install a librdkafka that has it, as Debian's librdkafka1, or set another mechanism")
        }
        // Timeouts are compared with it, and nobody but us may set it.
        let limit = KafkaTransactionalProducer.defaults.last { $0.name == "transaction.timeout.ms" }
        let isAboveLimit = limit.map { error.detail.contains("`\($0.name)`") } ?? false
        return ConfigurationProblem(
            "KAFKA_PROPERTY_…", "or another Kafka setting is refused by the client library: \(error)",
            remedy: isAboveLimit
                ? "lower or unset it: \(limit?.name ?? "") is fixed at \(limit?.value ?? "")"
                : "correct or unset it, see docs/configuration.md")
    }
}

extension KafkaClientSettings {
    /// The settings as a client takes them; secrets are read when it is made.
    package init(_ settings: KafkaSettings) {
        self.init(
            properties: settings.openProperties.map { .init($0.name, $0.value) },
            secrets: { try settings.secretProperties().map { .init($0.name, $0.value) } })
    }
}
