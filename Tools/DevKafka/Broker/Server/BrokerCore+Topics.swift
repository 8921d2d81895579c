import JSON
import Logging
import NIOCore

extension BrokerCore {
    /// Why a partition cannot be used through a broker.
    func find(_ partition: TopicPartition, broker: Int32) -> Result<(Topic, Partition), PartitionRefusal> {
        guard let topic = self.topics[partition.topic], topic.partitions.indices.contains(Int(partition.partition))
        else { return .failure(PartitionRefusal(code: .unknownTopicOrPartition)) }
        let found = topic.partitions[Int(partition.partition)]
        guard found.leader == broker else { return .failure(PartitionRefusal(code: .notLeaderOrFollower)) }
        return .success((topic, found))
    }

    /// The replicas of a partition whose brokers are up.
    func replicasUp(_ partition: Partition) -> [Int32] {
        partition.replicas.filter { self.brokers[Int($0) - 1].isUp }
    }

    /// Creates a topic. `count` and `replicas` of -1 stand for the defaults.
    func create(
        topic name: String, partitions count: Int32, replicas: Int16, settings: [(String, String?)] = [],
        isTrial: Bool = false
    ) -> (code: ErrorCode, message: String?) {
        guard Topic.isValidName(name) else {
            return (.invalidTopicException, "the name is empty, too long or has other characters than [a-zA-Z0-9._-]")
        }
        guard self.topics[name] == nil else { return (.topicAlreadyExists, "Topic '\(name)' already exists.") }
        let count = count == -1 ? self.configuration.defaultPartitions : count
        let known = self.topics.values.reduce(0) { $0 + $1.partitions.count }
        guard count > 0 else { return (.invalidPartitions, "Number of partitions must be larger than 0.") }
        guard Int(count) + known <= Self.partitionsMax else {
            return (.policyViolation, "more than \(Self.partitionsMax) partitions")
        }
        let standard = min(Int(self.configuration.defaultReplicas), self.brokers.count)
        let replicas = replicas == -1 ? standard : Int(replicas)
        guard (1...self.brokers.count).contains(replicas) else {
            return (
                .invalidReplicationFactor,
                "Replication factor: \(replicas) larger than available brokers: \(self.brokers.count)."
            )
        }
        var chosen = TopicSettings()
        do throws(InvalidSetting) {
            for (name, value) in settings { if let value { try chosen.set(name, to: value) } }
        } catch {
            return (.invalidConfig, error.reason)
        }
        if isTrial { return (.none, nil) }
        let topic = Topic(name: name, number: self.takeTopicNumber(), settings: chosen, partitions: [])
        do throws(StorageError) {
            try self.addPartitions(to: topic, count: Int(count), replicas: replicas)
        } catch {
            return (.kafkaStorageError, error.description)
        }
        self.topics[name] = topic
        self.record(topic.json)
        self.logger.info("topic created", metadata: ["topic": "\(name)", "count": "\(count)"])
        return (.none, nil)
    }

    /// Adds partitions up to `count`, leaders spread over the brokers.
    func addPartitions(to topic: Topic, count: Int, replicas: Int) throws(StorageError) {
        var fresh: [Partition] = []
        for index in topic.partitions.count..<count {
            let first = (Int(topic.number) + index) % self.brokers.count
            let ids = (0..<replicas).map { Int32((first + $0) % self.brokers.count + 1) }
            let log = try PartitionLog(path: self.path(of: topic.name, topic.number, index))
            let leader = ids.first { self.brokers[Int($0) - 1].isUp } ?? Partition.noLeader
            fresh.append(Partition(log: log, replicas: ids, leader: leader, leaderEpoch: 0))
        }
        topic.partitions += fresh
    }

    func delete(topic name: String) -> ErrorCode {
        guard let topic = self.topics.removeValue(forKey: name) else { return .unknownTopicOrPartition }
        self.record(["type": "topic-gone", "name": .string(name)])
        self.offsets.forget(topic: name)
        self.transactions.forget(topic: name)
        for (index, partition) in topic.partitions.enumerated() {
            for wait in partition.waits.values { wait.giveUp() }
            do throws(StorageError) {
                try LogFile.remove(self.path(of: name, topic.number, index))
            } catch {
                self.logger.warning("a deleted topic's file stays", metadata: ["error": "\(error)"])
            }
        }
        self.logger.info("topic deleted", metadata: ["topic": "\(name)"])
        return .none
    }

    // MARK: - Leaders

    /// Gives every partition a leader that is up, when one of its replicas is.
    ///
    /// - Parameter prefersFirst: gives leadership back to the first replica.
    func electLeaders(prefersFirst: Bool) {
        for topic in self.topics.values {
            var hasChanged = false
            for partition in topic.partitions {
                let up = self.replicasUp(partition)
                let keeps = up.contains(partition.leader) && !prefersFirst
                let leader = keeps ? partition.leader : up.first ?? Partition.noLeader
                if leader != partition.leader {
                    self.move(partition, to: leader)
                    hasChanged = true
                }
            }
            if hasChanged { self.record(topic.json) }
        }
    }

    /// Makes a broker the leader of a partition.
    func moveLeader(of place: TopicPartition, to broker: Int32) -> ErrorCode {
        guard let topic = self.topics[place.topic], topic.partitions.indices.contains(Int(place.partition)) else {
            return .unknownTopicOrPartition
        }
        let partition = topic.partitions[Int(place.partition)]
        guard self.replicasUp(partition).contains(broker) else { return .replicaNotAvailable }
        self.move(partition, to: broker)
        self.record(topic.json)
        return .none
    }

    private func move(_ partition: Partition, to leader: Int32) {
        partition.leader = leader
        if leader != Partition.noLeader { partition.leaderEpoch += 1 }
        self.wake(partition)
    }

    /// Loses the last records of a partition, as an unclean election does: whole batches, at least `count` records.
    ///
    /// - Returns: how many were lost.
    func loseTail(of place: TopicPartition, count: Int64) throws(StorageError) -> Int64? {
        guard let topic = self.topics[place.topic], topic.partitions.indices.contains(Int(place.partition)) else {
            return nil
        }
        let partition = topic.partitions[Int(place.partition)]
        let before = partition.log.nextOffset
        try partition.log.truncate(to: max(0, before - max(0, count)))
        partition.leaderEpoch += 1
        self.record(topic.json)
        self.wake(partition)
        return before - partition.log.nextOffset
    }

    /// Loses the records of a partition before `offset`, as retention does; whether the partition exists.
    func loseHead(of place: TopicPartition, before offset: Int64) -> Bool {
        guard let topic = self.topics[place.topic], topic.partitions.indices.contains(Int(place.partition)) else {
            return false
        }
        topic.partitions[Int(place.partition)].log.trim(before: offset)
        return true
    }

    /// Lets whoever waits for records of a partition look again.
    func wake(_ partition: Partition) {
        for wait in Array(partition.waits.values) { wait.look() }
    }
}

struct PartitionRefusal: Error {
    var code: ErrorCode
}
