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
        findings += await self.inspect(brokers: cluster.brokerIDs, replicaCount: replicaCount)
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
                    "\(ids): this user may not use them, and no lane that fires exactly once can begin; "
                        + "allow Describe, Read and Write for the prefix")
                : Finding(.problem, "\(ids): none could be initialized: \(error)")
        }
    }

    private func inspect(brokers ids: [Int32], replicaCount: Int) async -> [Finding] {
        let answers = await self.admin.settings(of: ids.map(KafkaResource.broker), timeout: Self.requestMax)
        let brokers = Dictionary(zip(ids, answers)) { first, _ in first }
        return Self.judge(brokers: brokers, replicaCount: replicaCount)
    }

    /// What the settings of the brokers mean for us: what all share is said once, the rest with their ids.
    ///
    /// - Parameters:
    ///   - brokers: the settings of each, or why they cannot be read.
    ///   - replicaCount: copies that a partition can have.
    package static func judge(
        brokers: [Int32: Result<[String: String], KafkaError>], replicaCount: Int
    ) -> [Finding] {
        var said: [(finding: Finding, ids: [Int32])] = []
        for (id, answer) in brokers.sorted(by: { $0.key < $1.key }) {
            let findings =
                switch answer {
                case .success(let settings): Self.judge(brokerSettings: settings, replicaCount: replicaCount)
                case .failure(let error): [Self.unreadable(error, right: "DescribeConfigs on the cluster")]
                }
            for finding in findings {
                if let index = said.firstIndex(where: { $0.finding == finding }) {
                    said[index].ids.append(id)
                } else {
                    said.append((finding, [id]))
                }
            }
        }
        return said.map { finding, ids in
            let who =
                if ids.count == 1 {
                    "broker \(ids[0])"
                } else if ids.count == brokers.count {
                    "all brokers"
                } else {
                    "brokers \(ids.map { "\($0)" }.joined(separator: ", "))"
                }
            return Finding(finding.level, "\(who): \(finding.text)")
        }
    }

    private static func unreadable(_ error: KafkaError, right: String) -> Finding {
        error.code.isAuthorization
            ? Finding(.warning, "this user may not read the settings, so they are not judged; allow \(right)")
            : Finding(.warning, "the settings cannot be read: \(error)")
    }

    /// What the settings of one broker mean for us.
    private static func judge(brokerSettings settings: [String: String], replicaCount: Int) -> [Finding] {
        var findings: [Finding] = []
        if let version = settings["inter.broker.protocol.version"] {
            let parts = version.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
            let isOld =
                parts.count == 2 && (parts[0], parts[1]) < (self.versionPreferred.major, self.versionPreferred.minor)
            findings.append(
                isOld
                    ? Finding(
                        .warning,
                        "version \(version); from \(self.versionPreferred.major).\(self.versionPreferred.minor) on "
                            + "brokers check transactions on their own side")
                    : Finding(.ok, "version \(version)"))
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
        // With one broker there is one copy of everything, whatever is set, and that is said already.
        return replicaCount > 1 ? findings + self.judgeCopies(settings, replicaCount) : findings
    }

    /// What a broker's settings mean for the copies of what is acknowledged: of commits, and of records in topics that
    /// set nothing themselves. Ours do (`ClusterTopics`) and are judged one by one, so nothing here is a problem yet.
    private static func judgeCopies(_ settings: [String: String], _ replicaCount: Int) -> [Finding] {
        var findings: [Finding] = []
        let least = replicaCount - 1
        if let copies = settings["transaction.state.log.replication.factor"].flatMap({ Int($0) }), copies < replicaCount
        {
            findings.append(
                Finding(
                    .warning,
                    "transaction.state.log.replication.factor is \(copies) where \(replicaCount) are possible: lost "
                        + "brokers may take acknowledged commits with them; add replicas to __transaction_state"))
        } else if let inSync = settings["transaction.state.log.min.isr"].flatMap({ Int($0) }), inSync < least {
            findings.append(
                Finding(
                    .warning,
                    "transaction.state.log.min.isr is \(inSync), so an acknowledged commit may stand on one broker; "
                        + "set \(least), and min.insync.replicas of __transaction_state"))
        }
        if let inSync = settings["min.insync.replicas"].flatMap({ Int($0) }), inSync < least {
            findings.append(
                Finding(
                    .warning,
                    "min.insync.replicas is \(inSync) for topics that set none themselves, as others' may: what is "
                        + "acknowledged there may stand on one broker; set \(least) here or there"))
        }
        if settings["unclean.leader.election.enable"] == "true" {
            findings.append(
                Finding(
                    .warning,
                    "unclean.leader.election.enable is on for topics that do not switch it off themselves: "
                        + "acknowledged records may vanish from there; switch it off"))
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
                        "\(name): this user may not describe it; allow Describe, Read and Write")
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
            let finding = Self.unreadable(error, right: "DescribeConfigs")
            return [Finding(finding.level, "\(name): \(finding.text)")]
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
                    "\(name) has \(found.partitionCount) partitions, but the lanes of the cluster ask for "
                        + "\(topic.partitionCount)"))
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
                    "\(name): min.insync.replicas is \(inSync), so what is acknowledged may stand on one broker; "
                        + "set \(wanted)"))
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
                    "\(name): retention.bytes is \(bytes): beyond it outcomes and waiting fires vanish before they are "
                        + "read; set -1"))
        }
        if findings.isEmpty {
            findings.append(
                Finding(.ok, "\(name): \(found.partitionCount) partitions, \(found.replicaCount) copies"))
        }
        return findings
    }
}
