import DispatcherService
package import KafkaClient
package import Logging

/// Looks at a Kafka cluster with the eyes of somebody who wants nothing to be lost: topics, copies, broker settings.
package struct KafkaInspection: Sendable {
    /// One line of the answer.
    package struct Finding: Equatable, Sendable {
        package enum Level: String, Sendable {
            case ok
            /// It works, and may lose or hold up something.
            case warning
            /// It does not work, or breaks the promise.
            case problem
        }

        package var level: Level
        package var text: String

        package init(_ level: Level, _ text: String) {
            self.level = level
            self.text = text
        }
    }

    package static let requestMax = Duration.seconds(10)
    /// From here on brokers check on their own side that a record belongs to an open transaction.
    package static let versionPreferred = (major: 3, minor: 6)

    private let admin: KafkaAdmin

    package init(admin: KafkaAdmin) { self.admin = admin }

    /// - Parameters:
    ///   - topics: what is needed, for so many copies of a partition.
    ///   - creates: creates the topics that are missing.
    /// - Throws: `KafkaError` when no broker answers at all.
    package func run(
        topics: (_ replicaCount: Int) -> ClusterTopics, creates: Bool
    ) async throws(KafkaError) -> [Finding] {
        let cluster = try await self.admin.metadata(timeout: Self.requestMax)
        let replicaCount = min(ClusterTopics.replicasMax, max(1, cluster.brokerCount))
        var findings = [Finding(.ok, "\(cluster.brokerCount) brokers answer")]
        if replicaCount < ClusterTopics.replicasMax {
            findings.append(
                Finding(
                    .warning,
                    "with \(cluster.brokerCount) brokers a partition has \(replicaCount) copies; "
                        + "\(ClusterTopics.replicasMax) are needed to lose one without a pause"))
        }
        if let broker = cluster.brokerIDs.min() { findings += await self.inspect(broker: broker) }
        for topic in topics(replicaCount).all {
            findings += try await self.inspect(topic, replicaCount: replicaCount, creates: creates)
        }
        return findings
    }

    /// Tries whether this user may use the transactional ids of lanes, by asking for one that no lane has.
    package static func lanes(
        of cluster: String, settings: KafkaClientSettings, logger: Logger, health: KafkaHealthMonitor
    ) async -> Finding {
        let prefix = KafkaTransactionSessions.prefix(of: cluster)
        let ids = "transactional ids \(prefix)…"
        do throws(KafkaError) {
            let producer = try KafkaTransactionalProducer(
                settings: settings, transactionalID: prefix + "check", logger: logger, health: health)
            do throws(KafkaError) { try await producer.prepare(topics: [], timeout: Self.requestMax) } catch {}
            try await producer.initialize(timeout: Self.requestMax)
            return Finding(.ok, "\(ids) may be used")
        } catch {
            return error.code.isAuthorization
                ? Finding(
                    .problem,
                    "\(ids): this user may not use them, and no lane that fires exactly once can begin; allow Describe and "
                        + "Write for the prefix")
                : Finding(.problem, "\(ids): none could be initialized: \(error)")
        }
    }

    private func inspect(broker: Int32) async -> [Finding] {
        let settings: [String: String]
        do throws(KafkaError) {
            settings = try await self.admin.settings(of: .broker(broker), timeout: Self.requestMax)
        } catch {
            return [Finding(.warning, "the brokers' settings cannot be read: \(error)")]
        }
        return Self.judge(brokerSettings: settings)
    }

    /// What the settings of a broker mean for us.
    package static func judge(brokerSettings settings: [String: String]) -> [Finding] {
        var findings: [Finding] = []
        if let version = settings["inter.broker.protocol.version"] {
            let parts = version.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
            let isOld =
                parts.count == 2 && (parts[0], parts[1]) < (self.versionPreferred.major, self.versionPreferred.minor)
            findings.append(
                isOld
                    ? Finding(
                        .warning,
                        "brokers speak version \(version); from \(self.versionPreferred.major)."
                            + "\(self.versionPreferred.minor) on they check transactions on their own side")
                    : Finding(.ok, "brokers speak version \(version)"))
        }
        if let size = settings["message.max.bytes"].flatMap({ Int($0) }), size < JournalCodec.recordBytesMax + 4096 {
            findings.append(
                Finding(
                    .problem,
                    "message.max.bytes is \(size), but a journal record has up to \(JournalCodec.recordBytesMax) bytes")
            )
        }
        if let time = settings["transaction.max.timeout.ms"].flatMap({ Int($0) }), time < 20_000 {
            findings.append(
                Finding(.problem, "transaction.max.timeout.ms is \(time), but transactions ask for 20000"))
        }
        if let replicas = settings["transaction.state.log.replication.factor"].flatMap({ Int($0) }), replicas < 2 {
            findings.append(
                Finding(
                    .warning,
                    "transaction.state.log.replication.factor is \(replicas): a lost broker takes transactions with it")
            )
        }
        return findings
    }

    private func inspect(
        _ topic: ClusterTopics.Topic, replicaCount: Int, creates: Bool
    ) async throws(KafkaError) -> [Finding] {
        let found = try await self.admin.metadata(topic: topic.name, timeout: Self.requestMax).topics.first
        let name = "topic \(topic.name) (\(topic.purpose))"
        guard let found, found.code == .none, found.partitionCount > 0 else {
            if found?.code.isAuthorization == true {
                return [
                    Finding(
                        topic.isOptional ? .warning : .problem,
                        "\(name): this user may not describe it; allow Describe and Write")
                ]
            }
            return creates
                ? [await self.create(topic, replicaCount, name)]
                : [
                    Finding(
                        topic.isOptional ? .warning : .problem,
                        "\(name) does not exist; 'escapement kafka setup' creates it")
                ]
        }
        let settings: [String: String]
        do throws(KafkaError) {
            settings = try await self.admin.settings(of: .topic(topic.name), timeout: Self.requestMax)
        } catch {
            return [Finding(.warning, "\(name): its settings cannot be read: \(error)")]
        }
        return Self.judge(topic, found, replicaCount: replicaCount, settings: settings, name: name)
    }

    private func create(_ topic: ClusterTopics.Topic, _ replicaCount: Int, _ name: String) async -> Finding {
        do throws(KafkaError) {
            _ = try await self.admin.create(
                KafkaNewTopic(
                    name: topic.name, partitionCount: Int32(topic.partitionCount),
                    replicationFactor: Int32(replicaCount), settings: topic.settings), timeout: Self.requestMax)
            return Finding(.ok, "\(name): created, \(topic.partitionCount) partitions, \(replicaCount) copies")
        } catch {
            return Finding(.problem, "\(name) cannot be created: \(error)")
        }
    }

    /// What a topic's state and settings mean for us.
    ///
    /// - Parameter replicaCount: copies that each partition ought to have.
    package static func judge(
        _ topic: ClusterTopics.Topic, _ found: KafkaMetadata.Topic, replicaCount: Int, settings: [String: String],
        name: String
    ) -> [Finding] {
        var findings: [Finding] = []
        if topic.isExact, found.partitionCount != topic.partitionCount {
            findings.append(
                Finding(
                    .problem,
                    "\(name) has \(found.partitionCount) partitions, but the lanes of the cluster ask for \(topic.partitionCount)"
                )
            )
        }
        if found.leaderlessCount > 0 {
            findings.append(Finding(.problem, "\(name): \(found.leaderlessCount) partitions have no leader"))
        }
        if found.replicaCount < replicaCount {
            // The advice to raise min.insync.replicas is left out: followed first, it would stop the topic.
            findings.append(
                Finding(
                    .warning,
                    "\(name) has \(found.replicaCount) copies where \(replicaCount) are possible: "
                        + "add replicas (kafka-reassign-partitions) before raising min.insync.replicas"))
        } else if let wanted = topic.settings.first(where: { $0.name == "min.insync.replicas" })?.value,
            let inSync = settings["min.insync.replicas"], let least = Int(wanted), (Int(inSync) ?? 0) < least
        {
            findings.append(
                Finding(
                    .warning,
                    "\(name): min.insync.replicas is \(inSync), so what is acknowledged may stand on one broker; set \(wanted)"
                ))
        }
        if let inSync = settings["min.insync.replicas"].flatMap({ Int($0) }), inSync >= found.replicaCount, inSync > 1 {
            findings.append(
                Finding(
                    .warning,
                    "\(name): min.insync.replicas \(inSync) of \(found.replicaCount) copies: one lost broker stops it"))
        }
        if settings["unclean.leader.election.enable"] == "true" {
            findings.append(
                Finding(
                    .problem,
                    "\(name): unclean.leader.election.enable is on: acknowledged records may vanish; switch it off"))
        }
        if let policy = settings["cleanup.policy"], topic.isExact, policy != "delete" {
            findings.append(Finding(.problem, "\(name): cleanup.policy is \(policy), which drops records; set delete"))
        }
        if topic.isExact, let kept = settings["retention.ms"].flatMap({ Int($0) }), kept >= 0,
            let wanted = topic.retentionMilliseconds, kept < wanted
        {
            findings.append(
                topic.keepsFires
                    ? Finding(
                        .problem,
                        "\(name): retention.ms is \(kept): fires that wait longer vanish; set \(wanted)")
                    : Finding(
                        .warning,
                        "\(name): retention.ms is \(kept): an outage of Elasticsearch may last no longer; set \(wanted)"
                    ))
        }
        if topic.isExact, let bytes = settings["retention.bytes"].flatMap({ Int($0) }), bytes >= 0 {
            findings.append(
                Finding(
                    .problem,
                    "\(name): retention.bytes is \(bytes): beyond it outcomes and waiting fires vanish before they are read; "
                        + "set -1"))
        }
        if findings.isEmpty {
            findings.append(
                Finding(.ok, "\(name): \(found.partitionCount) partitions, \(found.replicaCount) copies"))
        }
        return findings
    }
}
