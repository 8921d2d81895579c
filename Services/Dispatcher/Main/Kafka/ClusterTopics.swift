import DispatcherService
import KafkaClient
import ServiceConfiguration

/// The topics that a cluster needs.
struct ClusterTopics {
    /// How long the journal keeps records: an outage of Elasticsearch may last so long.
    static let journalRetentionMilliseconds = 7 * 86_400_000
    /// Copies of each partition, where there are as many brokers.
    static let replicasMax = 3

    struct Topic: Equatable {
        var name: String
        var partitionCount: Int
        /// Another count is an error, not a matter of taste.
        var isExact: Bool
        var settings: [KafkaClientSettings.Property]
    }

    let all: [Topic]

    init(_ configuration: DispatcherConfiguration) {
        let cluster = configuration.common.cluster
        let forever: [KafkaClientSettings.Property] = [
            .init("cleanup.policy", "delete"), .init("retention.ms", "\(Self.journalRetentionMilliseconds)"),
        ]
        self.all = [
            Topic(
                name: PublishingRules.journalTopic(of: cluster.name), partitionCount: cluster.laneCount, isExact: true,
                settings: forever),
            Topic(name: configuration.defaultTopic, partitionCount: cluster.laneCount, isExact: false, settings: []),
            Topic(name: configuration.deadLetterTopic, partitionCount: 1, isExact: false, settings: forever),
            Topic(
                name: PublishingRules.parkedTopic(of: cluster.name), partitionCount: cluster.laneCount, isExact: true,
                settings: forever),
        ]
    }
}
