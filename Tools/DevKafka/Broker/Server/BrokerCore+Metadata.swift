import NIOCore

extension BrokerCore {
    func metadata(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let names = try body.nullableArray("topics") { body throws(MalformedRequest) in try body.string("topic") }
        let mayCreate = request.version >= 4 ? try body.bool("allow auto topic creation") : true
        // In version 0 an empty list means all, later only a missing one.
        let isAll = names.map { request.version == 0 && $0.isEmpty } ?? true
        let wanted = isAll ? self.topics.keys.sorted() : names ?? []
        let found = wanted.compactMap { name -> (String, ErrorCode, Topic?)? in
            if let code = request.injected?.take(for: name) {
                // As in Kafka: an answer about all topics leaves out those that the user may not describe.
                return isAll && code == .topicAuthorizationFailed ? nil : (name, code, nil)
            }
            if let topic = self.topics[name] { return (name, .none, topic) }
            guard Topic.isValidName(name) else { return (name, .invalidTopicException, nil) }
            guard mayCreate, self.configuration.autoCreatesTopics else { return (name, .unknownTopicOrPartition, nil) }
            let created = self.create(topic: name, partitions: -1, replicas: -1)
            return (name, created.code, self.topics[name])
        }
        var writer = request.writer(reserving: 1024)
        if request.version >= 3 { writer.int32(0) }
        let up = self.brokers.filter(\.isUp)
        writer.array(up) { writer, broker in
            writer.int32(broker.id)
            writer.string(broker.host)
            writer.int32(Int32(broker.port))
            if request.version >= 1 { writer.nullableString(nil) }
        }
        if request.version >= 2 { writer.nullableString(self.clusterID) }
        if request.version >= 1 { writer.int32(up.first?.id ?? -1) }
        writer.array(found) { writer, found in
            writer.error(found.1)
            writer.string(found.0)
            if request.version >= 1 { writer.bool(false) }
            let partitions = (found.2?.partitions ?? []).enumerated().map { ($0.offset, $0.element) }
            writer.array(partitions) { writer, entry in self.write(entry.1, Int32(entry.0), to: &writer, request) }
            if request.version >= 8 { writer.int32(.min) }
        }
        if request.version >= 8 { writer.int32(.min) }
        answer(.body(writer))
    }

    private func write(_ partition: Partition, _ index: Int32, to writer: inout FieldWriter, _ request: Request) {
        let up = self.replicasUp(partition)
        writer.error(partition.leader == Partition.noLeader ? .leaderNotAvailable : .none)
        writer.int32(index)
        writer.int32(partition.leader)
        if request.version >= 7 { writer.int32(partition.leaderEpoch) }
        writer.array(partition.replicas) { $0.int32($1) }
        writer.array(up) { $0.int32($1) }
        if request.version >= 5 { writer.array(partition.replicas.filter { !up.contains($0) }) { $0.int32($1) } }
    }

    func createTopics(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let wanted = try body.array("topics") { body throws(MalformedRequest) in
            let name = try body.string("topic")
            let count = try body.int32("partition count")
            let replicas = try body.int16("replication factor")
            let assignments = try body.array("assignments") { body throws(MalformedRequest) in
                _ = try body.int32("partition")
                return try body.array("brokers") { body throws(MalformedRequest) in try body.int32("broker") }
            }
            let settings = try body.array("configs") { body throws(MalformedRequest) in
                (try body.string("config name"), try body.nullableString("config value"))
            }
            return (name, count, replicas, assignments, settings)
        }
        _ = try body.int32("timeout")
        let isTrial = request.version >= 1 ? try body.bool("validate only") : false
        let results = wanted.map { topic -> (String, ErrorCode, String?) in
            if let code = request.injected?.take(for: topic.0) { return (topic.0, code, nil) }
            if !topic.3.isEmpty { return (topic.0, .invalidReplicaAssignment, "manual assignments are not supported") }
            let result = self.create(
                topic: topic.0, partitions: topic.1, replicas: topic.2, settings: topic.4, isTrial: isTrial)
            return (topic.0, result.code, result.message)
        }
        var writer = request.writer()
        if request.version >= 2 { writer.int32(0) }
        writer.array(results) { writer, result in
            writer.string(result.0)
            writer.error(result.1)
            if request.version >= 1 { writer.nullableString(result.2) }
        }
        answer(.body(writer))
    }

    func deleteTopics(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let names = try body.array("topics") { body throws(MalformedRequest) in try body.string("topic") }
        var writer = request.writer()
        if request.version >= 1 { writer.int32(0) }
        writer.array(names) { writer, name in
            writer.string(name)
            writer.error(request.injected?.take(for: name) ?? self.delete(topic: name))
        }
        answer(.body(writer))
    }

    func createPartitions(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let wanted = try body.array("topics") { body throws(MalformedRequest) in
            let name = try body.string("topic")
            let count = try body.int32("count")
            let assignments = try body.nullableArray("assignments") { body throws(MalformedRequest) in
                try body.array("brokers") { body throws(MalformedRequest) in try body.int32("broker") }
            }
            return (name, count, assignments)
        }
        _ = try body.int32("timeout")
        let isTrial = try body.bool("validate only")
        var writer = request.writer()
        writer.int32(0)
        writer.array(wanted) { writer, wanted in
            let code = request.injected?.take(for: wanted.0) ?? self.grow(wanted.0, to: Int(wanted.1), isTrial: isTrial)
            writer.string(wanted.0)
            writer.error(code)
            writer.nullableString(nil)
        }
        answer(.body(writer))
    }

    private func grow(_ name: String, to count: Int, isTrial: Bool) -> ErrorCode {
        guard let topic = self.topics[name] else { return .unknownTopicOrPartition }
        let known = self.topics.values.reduce(0) { $0 + $1.partitions.count }
        guard count > topic.partitions.count, known + count - topic.partitions.count <= Self.partitionsMax else {
            return .invalidPartitions
        }
        if isTrial { return .none }
        do throws(StorageError) {
            try self.addPartitions(to: topic, count: count, replicas: topic.partitions.first?.replicas.count ?? 1)
        } catch {
            return .kafkaStorageError
        }
        self.record(topic.json)
        return .none
    }

    // MARK: - Settings

    private struct Described {
        var name: String
        var value: String
        var isDefault: Bool
        var isReadOnly: Bool
    }

    func describeConfigs(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let wanted = try body.array("resources") { body throws(MalformedRequest) in
            (
                try body.int8("resource type"), try body.string("resource name"),
                try body.nullableArray("config names") { body throws(MalformedRequest) in try body.string("config") }
            )
        }
        var writer = request.writer(reserving: 2048)
        writer.int32(0)
        writer.array(wanted) { writer, resource in
            let (type, name, keys) = resource
            let found =
                request.injected.flatMap { $0.take(for: name) }.map { (code: $0, settings: [Described]()) }
                ?? self.describe(type: type, name: name, broker: request.broker)
            writer.error(found.code)
            writer.nullableString(found.code == .none ? nil : found.code.name)
            writer.int8(type)
            writer.string(name)
            let settings = found.settings.filter { keys?.contains($0.name) ?? true }
            writer.array(settings) { writer, setting in
                writer.string(setting.name)
                writer.nullableString(setting.value)
                writer.bool(setting.isReadOnly)
                // 1 is a topic's own setting, 5 a default.
                if request.version == 0 {
                    writer.bool(setting.isDefault)
                } else {
                    writer.int8(setting.isDefault ? 5 : 1)
                }
                writer.bool(false)
                if request.version >= 1 { writer.array([Int]()) { _, _ in } }
            }
        }
        answer(.body(writer))
    }

    private func describe(type: Int8, name: String, broker: Int32) -> (code: ErrorCode, settings: [Described]) {
        let replicasMin = "\(self.configuration.replicasMin(of: broker))"
        switch type {
        case 2:
            guard let topic = self.topics[name] else { return (.unknownTopicOrPartition, []) }
            return (
                .none,
                topic.settings.all.map { setting in
                    let isBrokers = setting.isDefault && setting.name == "min.insync.replicas"
                    return Described(
                        name: setting.name, value: isBrokers ? replicasMin : setting.value,
                        isDefault: setting.isDefault, isReadOnly: false)
                }
            )
        case 4:
            // As in Kafka: a broker tells its own settings only.
            guard Int32(name) == broker else { return (.invalidRequest, []) }
            let settings = [
                ("auto.create.topics.enable", "\(self.configuration.autoCreatesTopics)"), ("broker.id", name),
                ("default.replication.factor", "\(self.configuration.defaultReplicas)"),
                ("inter.broker.protocol.version", "3.6-IV2"), ("message.max.bytes", "1048588"),
                ("min.insync.replicas", replicasMin), ("num.partitions", "\(self.configuration.defaultPartitions)"),
                ("offset.metadata.max.bytes", "\(OffsetTable.metadataByteCountMax)"),
                ("socket.request.max.bytes", "\(ConnectionHandler.frameByteCountMax)"),
                ("transaction.max.timeout.ms", "\(TransactionTable.timeoutMillisecondsMax)"),
                ("transaction.state.log.min.isr", "\(self.configuration.transactionReplicasMin)"),
                // One state for all: whichever broker is up goes on with it.
                ("transaction.state.log.replication.factor", "\(self.brokers.count)"),
                ("unclean.leader.election.enable", "false"),
            ]
            return (.none, settings.map { Described(name: $0.0, value: $0.1, isDefault: true, isReadOnly: true) })
        default: return (.invalidRequest, [])
        }
    }
}
