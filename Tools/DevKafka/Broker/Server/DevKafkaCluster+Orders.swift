package import JSON
import NIOCore

/// What tests and people may order: faults, leaders, lost tails, and looks at the contents.
extension DevKafkaCluster {
    /// Puts a fault on order.
    ///
    /// - Throws: `AdminError` when too many are.
    package func order(_ fault: Fault) async throws {
        guard try await self.onLoop({ self.core.faults.add(fault) }) else {
            throw AdminError("\(FaultTable.faultsMax) faults are on order already")
        }
    }

    /// How many requests the faults on order still wait for.
    package var pendingFaultCount: Int {
        get async throws { try await self.onLoop { self.core.faults.faults.reduce(0) { $0 + $1.fault.count } } }
    }

    package func clearFaults() async throws { try await self.onLoop { self.core.faults.removeAll() } }

    /// Holds back every answer of a broker for so long.
    package func setSlow(broker id: Int32, milliseconds: Int64) async throws {
        try await self.onLoop {
            guard self.core.brokers.contains(where: { $0.id == id }) else {
                throw AdminError("there is no broker \(id)")
            }
            self.core.brokers[Int(id) - 1].slowMilliseconds = max(0, milliseconds)
        }
    }

    /// Writes a transaction's markers so much later than its end is answered.
    package func setMarkerDelay(milliseconds: Int64) async throws {
        try await self.onLoop { self.core.markerDelayMilliseconds = max(0, milliseconds) }
    }

    /// Whether transactional records are refused in partitions that were not added to the transaction, as Kafka 3.6
    /// and later do and earlier ones do not.
    package func setTransactionVerification(_ isOn: Bool) async throws {
        try await self.onLoop { self.core.verifiesTransactions = isOn }
    }

    /// Who may log in from now on; connections that are logged in stay.
    package func setCredentials(_ credentials: Credentials) async throws {
        try await self.onLoop { self.core.credentials = credentials }
    }

    /// Closes every connection, of one broker or of all.
    package func disconnectAll(broker: Int32? = nil) async throws {
        try await self.onLoop {
            for connection in self.core.connections.values where broker.map({ $0 == connection.broker }) ?? true {
                connection.close()
            }
        }
    }

    /// - Throws: `AdminError` with Kafka's error.
    package func createTopic(
        _ name: String, partitions: Int32 = 1, replicas: Int16 = 1, settings: [String: String] = [:]
    ) async throws {
        try await self.onLoop {
            let result = self.core.create(
                topic: name, partitions: partitions, replicas: replicas,
                settings: settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
            if result.code != .none { throw AdminError("\(result.code.name): \(result.message ?? "")") }
        }
    }

    /// - Throws: `AdminError` with Kafka's error.
    package func deleteTopic(_ name: String) async throws {
        try await self.onLoop {
            let code = self.core.delete(topic: name)
            if code != .none { throw AdminError(code.name) }
        }
    }

    /// Makes a broker that has a replica the leader.
    ///
    /// - Throws: `AdminError` with Kafka's error.
    package func moveLeader(of partition: TopicPartition, to broker: Int32) async throws {
        try await self.onLoop {
            let code = self.core.moveLeader(of: partition, to: broker)
            if code != .none { throw AdminError(code.name) }
        }
    }

    /// The broker that leads a partition; `nil` without one.
    package func leader(of partition: TopicPartition) async throws -> Int32? {
        try await self.onLoop {
            let found = self.core.topics[partition.topic].flatMap { topic in
                topic.partitions.indices.contains(Int(partition.partition))
                    ? topic.partitions[Int(partition.partition)].leader : nil
            }
            return found == Partition.noLeader ? nil : found
        }
    }

    /// Loses the last `count` records of a partition, rounded up to whole batches; returns how many.
    ///
    /// - Throws: `AdminError` when there is no such partition, `StorageError`.
    @discardableResult
    package func loseTail(of partition: TopicPartition, count: Int64) async throws -> Int64 {
        try await self.onLoop {
            guard let lost = try self.core.loseTail(of: partition, count: count) else {
                throw AdminError(ErrorCode.unknownTopicOrPartition.name)
            }
            return lost
        }
    }

    /// Loses the records of a partition before `offset`, as retention does.
    ///
    /// - Throws: `AdminError` when there is no such partition.
    package func loseHead(of partition: TopicPartition, before offset: Int64) async throws {
        try await self.onLoop {
            guard self.core.loseHead(of: partition, before: offset) else {
                throw AdminError(ErrorCode.unknownTopicOrPartition.name)
            }
        }
    }

    /// Whether transactional ids have a transaction under way or decided, by id: `ongoing`, `completeCommit`, ….
    package func transactionStates() async throws -> [String: String] {
        try await self.onLoop { self.core.transactions.transactions.mapValues(\.state.rawValue) }
    }

    // MARK: - Looking

    /// All topics and their partitions, as JSON.
    package func describeTopics() async throws -> JSONValue {
        try await self.onLoop {
            .array(self.core.topics.values.sorted { $0.name < $1.name }.map(\.description))
        }
    }

    /// All brokers, as JSON.
    package func describeBrokers() async throws -> JSONValue {
        try await self.onLoop {
            .array(
                self.core.brokers.map { broker in
                    [
                        "id": .integer(broker.id), "address": .string("\(broker.host):\(broker.port)"),
                        "up": .bool(broker.isUp), "slowMilliseconds": .integer(broker.slowMilliseconds),
                        "connections": .integer(
                            self.core.connections.values.filter { $0.broker == broker.id }.count),
                    ]
                })
        }
    }

    /// All transactions known, as JSON.
    package func describeTransactions() async throws -> JSONValue {
        try await self.onLoop {
            .array(self.core.transactions.transactions.values.sorted { $0.id < $1.id }.map(\.json))
        }
    }

    /// The faults on order, as JSON.
    package func describeFaults() async throws -> JSONValue {
        try await self.onLoop { .array(self.core.faults.faults.map { $0.fault.json }) }
    }

    /// Records of a topic in the order of partitions and offsets, as a consumer of this isolation would get them.
    /// Of compressed batches nothing but their place is known: they are left out. O(log).
    ///
    /// - Parameter limit: the most that are returned.
    package func records(
        _ topic: String, partition: Int32? = nil, from: Int64 = 0, isCommittedOnly: Bool = true,
        limit: Int = .max
    ) async throws -> [ConsumedRecord] {
        try await self.onLoop {
            guard let topic = self.core.topics[topic] else { throw AdminError(ErrorCode.unknownTopicOrPartition.name) }
            var records: [ConsumedRecord] = []
            for (index, found) in topic.partitions.enumerated() where partition.map({ $0 == index }) ?? true {
                try found.log.collect(
                    into: &records, partition: Int32(index), from: from, isCommittedOnly: isCommittedOnly, limit: limit)
            }
            return records
        }
    }
}
