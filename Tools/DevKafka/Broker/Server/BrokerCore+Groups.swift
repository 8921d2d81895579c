import EscapementModel
import NIOCore

extension BrokerCore {
    /// Kafka's `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    private static let sessionTimeouts: ClosedRange<Int64> = 6000...1_800_000
    /// Groups remembered; more are refused.
    private static let groupsMax = 10_000

    func findCoordinator(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let key = try body.string("key")
        let type = request.version >= 1 ? try body.int8("key type") : 0
        var code = request.injected?.take() ?? ([0, 1].contains(type) ? .none : .invalidRequest)
        let broker = code == .none ? self.coordinator(of: key) : nil
        if code == .none, broker == nil { code = .coordinatorNotAvailable }
        var writer = request.writer()
        if request.version >= 1 { writer.int32(0) }
        writer.error(code)
        if request.version >= 1 { writer.nullableString(code == .none ? "NONE" : code.name) }
        writer.int32(broker?.id ?? -1)
        writer.string(broker?.host ?? "")
        writer.int32(Int32(broker?.port ?? -1))
        answer(.body(writer))
    }

    func joinGroup(_ request: Request, _ answer: @escaping Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("group id")
        let sessionTimeout = Int64(try body.int32("session timeout"))
        let rebalanceTimeout = request.version >= 1 ? Int64(try body.int32("rebalance timeout")) : sessionTimeout
        let memberID = try body.string("member id")
        let instanceID = request.version >= 5 ? try body.nullableString("group instance id") : nil
        let protocolType = try body.string("protocol type")
        let protocols = try body.array("protocols") { body throws(MalformedRequest) in
            GroupProtocol(name: try body.string("protocol"), metadata: try body.bytes("metadata"))
        }
        let reply = { (joined: JoinAnswer) in
            var writer = request.writer()
            if request.version >= 2 { writer.int32(0) }
            writer.error(joined.error)
            writer.int32(joined.generation)
            writer.string(joined.protocolName)
            writer.string(joined.leader)
            writer.string(joined.memberID)
            writer.array(joined.members) { writer, member in
                writer.string(member.id)
                if request.version >= 5 { writer.nullableString(member.instanceID) }
                writer.bytes(member.metadata)
            }
            answer(.body(writer))
        }
        var refusal = self.coordinatorRefusal(id, request)
        if refusal == nil, id.isEmpty { refusal = .invalidGroupID }
        if refusal == nil, !Self.sessionTimeouts.contains(sessionTimeout) { refusal = .invalidSessionTimeout }
        if refusal == nil, self.groups[id] == nil, !memberID.isEmpty { refusal = .unknownMemberID }
        if refusal == nil, self.groups[id] == nil, self.groups.count >= Self.groupsMax { refusal = .policyViolation }
        if let refusal { return reply(JoinAnswer(error: refusal, memberID: memberID)) }
        let group =
            self.groups[id]
            ?? ConsumerGroup(id: id) { client in
                var random = SystemRandomNumberGenerator()
                return "\(client)-\(UID.random(using: &random))"
            }
        self.groups[id] = group
        group.join(
            JoinRequest(
                memberID: memberID, instanceID: instanceID, clientID: request.clientID ?? "",
                sessionTimeout: sessionTimeout, rebalanceTimeout: rebalanceTimeout, protocolType: protocolType,
                protocols: protocols),
            needsKnownID: request.version >= 4, now: self.now, answer: reply)
    }

    func syncGroup(_ request: Request, _ answer: @escaping Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("group id")
        let generation = try body.int32("generation")
        let memberID = try body.string("member id")
        if request.version >= 3 { _ = try body.nullableString("group instance id") }
        let assignments = try body.array("assignments") { body throws(MalformedRequest) in
            (id: try body.string("member id"), bytes: try body.bytes("assignment"))
        }
        let reply = { (synced: SyncAnswer) in
            var writer = request.writer()
            if request.version >= 1 { writer.int32(0) }
            writer.error(synced.error)
            writer.bytes(synced.assignment)
            answer(.body(writer))
        }
        if let refusal = self.coordinatorRefusal(id, request) { return reply(SyncAnswer(error: refusal)) }
        guard let group = self.groups[id] else { return reply(SyncAnswer(error: .unknownMemberID)) }
        group.sync(
            memberID: memberID, generation: generation, assignments: assignments, now: self.now, answer: reply)
    }

    func heartbeat(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("group id")
        let generation = try body.int32("generation")
        let memberID = try body.string("member id")
        let code =
            self.coordinatorRefusal(id, request)
            ?? self.groups[id]?.heartbeat(memberID: memberID, generation: generation, now: self.now)
            ?? .unknownMemberID
        var writer = request.writer()
        if request.version >= 1 { writer.int32(0) }
        writer.error(code)
        answer(.body(writer))
    }

    func leaveGroup(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("group id")
        var members: [(id: String, instanceID: String?)] = []
        if request.version >= 3 {
            members = try body.array("members") { body throws(MalformedRequest) in
                (id: try body.string("member id"), instanceID: try body.nullableString("group instance id"))
            }
        } else {
            members = [(try body.string("member id"), nil)]
        }
        let refusal = self.coordinatorRefusal(id, request)
        let codes = members.map { member in
            refusal ?? self.groups[id]?.leave(memberID: member.id, instanceID: member.instanceID, now: self.now)
                ?? .unknownMemberID
        }
        var writer = request.writer()
        if request.version >= 1 { writer.int32(0) }
        writer.error(request.version >= 3 ? refusal ?? .none : codes.first ?? .none)
        if request.version >= 3 {
            writer.array(Array(zip(members, codes))) { writer, entry in
                writer.string(entry.0.id)
                writer.nullableString(entry.0.instanceID)
                writer.error(entry.1)
            }
        }
        answer(.body(writer))
    }

    func listGroups(_ request: Request, _ answer: Answer) {
        let own = self.groups.values.filter { self.coordinator(of: $0.id)?.id == request.broker }
        var writer = request.writer()
        if request.version >= 1 { writer.int32(0) }
        writer.error(request.injected?.take() ?? .none)
        writer.array(own.sorted { $0.id < $1.id }) { writer, group in
            writer.string(group.id)
            writer.string(group.protocolType)
        }
        answer(.body(writer))
    }

    func describeGroups(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let ids = try body.array("groups") { body throws(MalformedRequest) in try body.string("group id") }
        var writer = request.writer()
        if request.version >= 1 { writer.int32(0) }
        writer.array(ids) { writer, id in
            let code = self.coordinatorRefusal(id, request) ?? .none
            let group = code == .none ? self.groups[id] : nil
            writer.error(code)
            writer.string(id)
            writer.string(group?.state.rawValue ?? (code == .none ? "Dead" : ""))
            writer.string(group?.protocolType ?? "")
            writer.string(group?.protocolName ?? "")
            let members = (group?.members.values).map { $0.sorted { $0.id < $1.id } } ?? []
            writer.array(members) { writer, member in
                writer.string(member.id)
                if request.version >= 4 { writer.nullableString(member.request.instanceID) }
                writer.string(member.request.clientID)
                writer.string("")
                writer.bytes(
                    member.request.protocols.first { $0.name == group?.protocolName }?.metadata ?? ByteBuffer())
                writer.bytes(member.assignment)
            }
            if request.version >= 3 { writer.int32(.min) }
        }
        answer(.body(writer))
    }

    // MARK: - Offsets

    func offsetCommit(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("group id")
        let generation = request.version >= 1 ? try body.int32("generation") : -1
        let memberID = request.version >= 1 ? try body.string("member id") : ""
        if (2...4).contains(request.version) { _ = try body.int64("retention") }
        if request.version >= 7 { _ = try body.nullableString("group instance id") }
        let topics = try body.array("topics") { body throws(MalformedRequest) in
            (
                try body.string("topic"),
                try body.array("partitions") { body throws(MalformedRequest) in
                    let partition = try body.int32("partition")
                    var offset = OffsetTable.Offset(offset: try body.int64("offset"))
                    if request.version >= 6 { offset.leaderEpoch = try body.int32("leader epoch") }
                    if request.version == 1 { _ = try body.int64("timestamp") }
                    offset.metadata = try body.nullableString("metadata") ?? ""
                    return (partition, offset)
                }
            )
        }
        var refusal = self.coordinatorRefusal(id, request)
        if refusal == nil, id.isEmpty { refusal = .invalidGroupID }
        if refusal == nil {
            if let group = self.groups[id] {
                refusal = group.commitRefusal(memberID: memberID, generation: generation)
            } else if generation >= 0 {
                refusal = .illegalGeneration
            }
        }
        var writer = request.writer()
        if request.version >= 3 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, entry in
                let place = TopicPartition(topic.0, entry.0)
                var code = refusal ?? .none
                if code == .none, self.topics[topic.0] == nil { code = .unknownTopicOrPartition }
                if code == .none, entry.1.metadata.utf8.count > OffsetTable.metadataByteCountMax {
                    code = .offsetMetadataTooLarge
                }
                if code == .none {
                    self.offsets.commit(entry.1, of: place, group: id)
                    self.record(OffsetTable.json(entry.1, of: place, group: id))
                }
                writer.int32(entry.0)
                writer.error(code)
            }
        }
        answer(.body(writer))
    }

    func offsetFetch(_ request: Request, _ answer: Answer) throws(MalformedRequest) {
        var body = request.body
        let id = try body.string("group id")
        let asked = try body.nullableArray("topics") { body throws(MalformedRequest) in
            let topic = try body.string("topic")
            let partitions = try body.array("partitions") { body throws(MalformedRequest) in
                try body.int32("partition")
            }
            try body.tags()
            return (topic, partitions)
        }
        let needsStable = request.version >= 7 ? try body.bool("require stable") : false
        let refusal = self.coordinatorRefusal(id, request) ?? .none
        let known = self.offsets.committed[id] ?? [:]
        var topics = asked ?? []
        if asked == nil {
            let all = Dictionary(grouping: known.keys, by: \.topic)
            topics = all.keys.sorted().map { topic in (topic, (all[topic] ?? []).map(\.partition).sorted()) }
        }
        var writer = request.writer()
        if request.version >= 3 { writer.int32(0) }
        writer.array(topics) { writer, topic in
            writer.string(topic.0)
            writer.array(topic.1) { writer, partition in
                let place = TopicPartition(topic.0, partition)
                var code = refusal
                if code == .none, needsStable, self.offsets.isPending(place, group: id) { code = .unstableOffsetCommit }
                let offset = code == .none ? known[place] : nil
                writer.int32(partition)
                writer.int64(offset?.offset ?? -1)
                if request.version >= 5 { writer.int32(offset?.leaderEpoch ?? -1) }
                writer.nullableString(offset?.metadata ?? "")
                writer.error(code)
                writer.tags()
            }
            writer.tags()
        }
        if request.version >= 2 { writer.error(refusal) }
        writer.tags()
        answer(.body(writer))
    }
}
