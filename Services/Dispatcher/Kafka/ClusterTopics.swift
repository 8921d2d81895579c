import DispatcherService
package import KafkaClient

/// The topics that a cluster needs, and how they have to be.
package struct ClusterTopics: Sendable {
    /// How long the journal keeps records: an outage of Elasticsearch may last so long.
    package static let journalRetentionMilliseconds = 7 * 86_400_000
    /// How long what the canary fired is kept: nobody reads it.
    package static let canaryRetentionMilliseconds = 3_600_000
    /// Copies of each partition, where there are as many brokers.
    package static let replicasMax = 3

    package struct Topic: Equatable, Sendable {
        package var name: String
        /// What it is for, in a word or two.
        package var purpose: String
        package var partitionCount: Int
        /// Another count is an error, not a matter of taste.
        package var isExact: Bool
        /// The cluster works without it.
        package var isOptional = false
        package var settings: [KafkaClientSettings.Property]
    }

    package let all: [Topic]

    /// - Parameter replicaCount: copies of each partition; all but one of them have to have a record before it counts.
    package init(
        cluster: String, laneCount: Int, defaultTopic: String, deadLetterTopic: String, replicaCount: Int = 1
    ) {
        let inSync = KafkaClientSettings.Property("min.insync.replicas", "\(max(1, replicaCount - 1))")
        let safe = [inSync, KafkaClientSettings.Property("unclean.leader.election.enable", "false")]
        let kept: [KafkaClientSettings.Property] =
            safe + [
                .init("cleanup.policy", "delete"), .init("retention.ms", "\(Self.journalRetentionMilliseconds)"),
                // A broker's own bound would cut what nobody has read yet.
                .init("retention.bytes", "-1"),
            ]
        self.all = [
            Topic(
                name: PublishingRules.journalTopic(of: cluster), purpose: "journal", partitionCount: laneCount,
                isExact: true, settings: kept),
            Topic(
                name: PublishingRules.parkedTopic(of: cluster), purpose: "parked fires",
                partitionCount: laneCount * Int(ParkedQueue.count), isExact: true, settings: kept),
            Topic(
                name: defaultTopic, purpose: "fires", partitionCount: laneCount, isExact: false, settings: safe),
            Topic(
                name: deadLetterTopic, purpose: "dead letters", partitionCount: 1, isExact: false, settings: kept),
            Topic(
                name: PublishingRules.canaryTopic(of: cluster), purpose: "canary", partitionCount: 1, isExact: false,
                isOptional: true,
                settings: safe + [
                    .init("cleanup.policy", "delete"), .init("retention.ms", "\(Self.canaryRetentionMilliseconds)"),
                ]),
        ]
    }
}
