package import EscapementModel
import KafkaClient
package import Logging
package import Observability
import ServiceLifecycle

/// Asks Kafka whether it is there, for the health checks, and sees at the start that the topics are.
package struct KafkaKeeper: Service {
    /// Name among the health checks: met once a broker has let us in and the topics exist, and from then on.
    package static let check = "producer"
    static let askEvery = Duration.seconds(10)
    static let retryEvery = Duration.seconds(1)
    static let requestMax = Duration.seconds(5)

    private let topics: @Sendable (_ replicaCount: Int) -> ClusterTopics
    private let connection: KafkaConnection
    private let health: Health
    private let clocks: any Clocks
    private let logger: Logger

    /// - Parameter topics: what the cluster needs, for so many copies of a partition as there can be.
    package init(
        topics: @escaping @Sendable (_ replicaCount: Int) -> ClusterTopics, connection: KafkaConnection,
        health: Health, clocks: any Clocks, logger: Logger
    ) {
        self.topics = topics
        self.connection = connection
        self.health = health
        self.clocks = clocks
        self.logger = logger
        health.declare(
            Self.check, kind: .condition, gates: [.startup, .readiness], initially: .notReady("Kafka not asked yet"))
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var admin: KafkaAdmin?
            var isPrepared = false
            while !Task.isCancelled {
                do throws(KafkaError) {
                    let current = if let admin { admin } else { try self.connection.makeAdmin() }
                    admin = current
                    let brokers = try await current.metadata(timeout: Self.requestMax)
                    if !isPrepared, let problem = try await self.prepare(current, brokers) {
                        self.connection.obstacle = problem
                        self.health.set(Self.check, .notReady(problem))
                    } else {
                        let isFirst = !isPrepared
                        isPrepared = true
                        self.connection.obstacle = nil
                        self.health.set(Self.check, .ok)
                        // Nobody waits for it: a broker that is silent takes its time.
                        if isFirst { await self.warnOfUnsafeSettings(current) }
                    }
                } catch {
                    if admin?.holdsOldCertificates == true { admin = nil }
                    if !isPrepared {
                        let reason = "Kafka: \(self.connection.trouble?.reason ?? "\(error)")"
                        self.connection.obstacle = reason
                        self.health.set(Self.check, .notReady(reason))
                    }
                }
                let pause = isPrepared && self.connection.trouble == nil ? Self.askEvery : Self.retryEvery
                do { try await self.clocks.sleep(for: pause) } catch { break }
            }
            await admin?.close()
        }
    }

    /// Everything about the brokers and topics that may lose or hold up something, in one line.
    private func warnOfUnsafeSettings(_ admin: KafkaAdmin) async {
        do throws(KafkaError) {
            let findings = try await KafkaInspection(admin: admin).run(topics: self.topics, creates: false)
            let unsafe = findings.filter { $0.level != .ok }.sorted { $0.level == .problem && $1.level != .problem }
            guard !unsafe.isEmpty else { return }
            self.logger.warning(
                "Kafka's settings may lose records or hold them up", event: "kafka_unsafe",
                [LogKey.reason: .string(unsafe.map(\.text).joined(separator: "; "))])
        } catch {
            self.logger.info(
                "Kafka's settings are not looked at", event: "kafka_not_inspected", [LogKey.error: .string("\(error)")])
        }
    }

    /// Creates what is missing; what stands in the way, in words for the operator.
    private func prepare(_ admin: KafkaAdmin, _ brokers: KafkaMetadata) async throws(KafkaError) -> String? {
        let replicaCount = min(ClusterTopics.replicasMax, max(1, brokers.brokerCount))
        // Other brokers learn of a new topic a moment later, and refuse records for it until then as if it did not exist.
        var news: [String] = []
        for topic in self.topics(replicaCount).all {
            let found = try await admin.metadata(topic: topic.name, timeout: Self.requestMax).topics.first
            switch found?.code {
            case .topicAuthorizationFailed:
                let problem = "the Kafka user may not use the topic \(topic.name)"
                if !topic.isOptional { return problem }
                self.warnOfOptional(problem)
            case KafkaErrorCode.none where found?.partitionCount ?? 0 > 0:
                if topic.isExact, found?.partitionCount != topic.partitionCount {
                    return "the topic \(topic.name) has \(found?.partitionCount ?? 0) partitions, "
                        + "but the lanes of the cluster ask for \(topic.partitionCount)"
                }
            default:
                guard let problem = try await self.create(topic, admin, replicaCount) else {
                    news.append(topic.name)
                    continue
                }
                if !topic.isOptional { return problem }
                self.warnOfOptional(problem)
            }
        }
        return news.isEmpty ? nil : "created a moment ago: \(news.joined(separator: ", "))"
    }

    private func warnOfOptional(_ problem: String) {
        self.logger.warning(
            "an optional topic cannot be used", event: "topic_missing", [LogKey.reason: .string(problem)])
    }

    private func create(
        _ topic: ClusterTopics.Topic, _ admin: KafkaAdmin, _ replicaCount: Int
    ) async throws(KafkaError) -> String? {
        let new = KafkaNewTopic(
            name: topic.name, partitionCount: Int32(topic.partitionCount),
            replicationFactor: Int32(replicaCount),
            settings: topic.settings)
        do throws(KafkaError) {
            if try await admin.create(new, timeout: Self.requestMax) {
                self.logger.info("topic created", event: "topic_created", [LogKey.topic: .string(topic.name)])
            }
            return nil
        } catch {
            if error.isRetriable, !error.code.isAuthorization { throw error }
            return "the topic \(topic.name) does not exist and could not be created (\(error)); "
                + "create it with 'escapement kafka setup'"
        }
    }
}
