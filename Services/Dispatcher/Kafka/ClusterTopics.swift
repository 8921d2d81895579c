import DispatcherService
import EscapementModel
package import KafkaClient

/// The topics that a cluster needs, and how they have to be.
package struct ClusterTopics: Sendable {
    /// How long the journal keeps records: an outage of Elasticsearch may last so long.
    package static let journalRetentionMilliseconds = 7 * 86_400_000
    /// How long fires that wait are kept: a day longer than they may wait.
    package static let parkedRetentionMilliseconds =
        Int((PublishingRules.parkedMax + .seconds(86_400)).wholeMilliseconds)
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
        /// Fires wait in it: what it drops is lost.
        package var keepsFires = false

        package var retentionMilliseconds: Int? {
            self.settings.first { $0.name == "retention.ms" }.flatMap { Int($0.value) }
        }
    }

    package let all: [Topic]

    /// - Parameter replicaCount: copies of each partition; all but one of them have to have a record before it counts.
    package init(
        cluster: String, laneCount: Int, defaultTopic: String, deadLetterTopic: String, replicaCount: Int = 1
    ) {
        let inSync = KafkaClientSettings.Property("min.insync.replicas", "\(max(1, replicaCount - 1))")
        let safe = [inSync, KafkaClientSettings.Property("unclean.leader.election.enable", "false")]
        func kept(_ milliseconds: Int) -> [KafkaClientSettings.Property] {
            safe + [
                .init("cleanup.policy", "delete"), .init("retention.ms", "\(milliseconds)"),
                // A broker's own bound would cut what nobody has read yet.
                .init("retention.bytes", "-1"),
            ]
        }
        self.all = [
            Topic(
                name: PublishingRules.journalTopic(of: cluster), purpose: "journal", partitionCount: laneCount,
                isExact: true, settings: kept(Self.journalRetentionMilliseconds)),
            Topic(
                name: PublishingRules.parkedTopic(of: cluster), purpose: "parked fires",
                partitionCount: laneCount * Int(ParkedQueue.count), isExact: true,
                settings: kept(Self.parkedRetentionMilliseconds), keepsFires: true),
            Topic(
                name: defaultTopic, purpose: "fires", partitionCount: laneCount, isExact: false, settings: safe),
            Topic(
                name: deadLetterTopic, purpose: "dead letters", partitionCount: 1, isExact: false,
                settings: kept(Self.journalRetentionMilliseconds)),
            Topic(
                name: PublishingRules.canaryTopic(of: cluster), purpose: "canary", partitionCount: 1, isExact: false,
                isOptional: true,
                settings: safe + [
                    .init("cleanup.policy", "delete"), .init("retention.ms", "\(Self.canaryRetentionMilliseconds)"),
                ]),
        ]
    }
}
