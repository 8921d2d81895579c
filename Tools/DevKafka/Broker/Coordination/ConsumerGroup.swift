import NIOCore

/// One consumer group: who is in it, and how they agree on who reads what.
///
/// Normal path: members join (`preparingRebalance`) until all known ones are there or the longest rebalance time-out
/// is over; the leader gets everybody's metadata, sends assignments (`completingRebalance`), and each member takes
/// its own (`stable`). Heartbeats answer REBALANCE_IN_PROGRESS to call the members together again. Every answer that
/// waits is given exactly once. Time comes in as milliseconds of one monotonic clock.
final class ConsumerGroup {
    /// Members of a group; more are refused.
    static let membersMax = 1000

    enum State: String {
        case empty = "Empty"
        case preparingRebalance = "PreparingRebalance"
        case completingRebalance = "CompletingRebalance"
        case stable = "Stable"
    }

    let id: String
    private(set) var state = State.empty
    private(set) var generation: Int32 = 0
    private(set) var protocolType = ""
    private(set) var protocolName = ""
    private(set) var leader: String?
    private(set) var members: [String: GroupMember] = [:]
    /// Ids handed out to members that have not come back with them yet, with their deadlines.
    private var announced: [String: Int64] = [:]
    /// Members in the order of their joining: the first is the leader.
    private var order: [String] = []
    private var rebalanceDeadline: Int64 = 0
    private let newMemberID: (String) -> String

    /// - Parameter newMemberID: makes a unique id for a client.
    init(id: String, newMemberID: @escaping (String) -> String) {
        self.id = id
        self.newMemberID = newMemberID
    }

    // MARK: - Joining

    func join(
        _ request: JoinRequest, needsKnownID: Bool, now: Int64, answer: @escaping (JoinAnswer) -> Void
    ) {
        var request = request
        func refuse(_ code: ErrorCode, memberID: String = "") {
            answer(JoinAnswer(error: code, memberID: memberID.isEmpty ? request.memberID : memberID))
        }
        guard !request.protocols.isEmpty, !request.protocolType.isEmpty,
            self.members.isEmpty || self.isCompatible(request)
        else { return refuse(.inconsistentGroupProtocol) }
        if request.memberID.isEmpty {
            guard self.members.count + self.announced.count < Self.membersMax else { return refuse(.invalidRequest) }
            let id = self.newMemberID(request.clientID)
            if let instance = request.instanceID {
                if let old = self.members.values.first(where: { $0.request.instanceID == instance }) {
                    old.join?(JoinAnswer(error: .fencedInstanceID, memberID: old.id))
                    old.sync?(SyncAnswer(error: .fencedInstanceID))
                    self.forget(old.id)
                }
            } else if needsKnownID {
                self.announced[id] = now + request.sessionTimeout
                return refuse(.memberIDRequired, memberID: id)
            }
            request.memberID = id
        } else if self.members[request.memberID] == nil {
            guard self.announced.removeValue(forKey: request.memberID) != nil else { return refuse(.unknownMemberID) }
        } else if let instance = request.instanceID,
            self.members.values.contains(where: { $0.request.instanceID == instance && $0.id != request.memberID })
        {
            return refuse(.fencedInstanceID)
        }
        self.admit(request, now: now, answer: answer)
    }

    private func admit(_ request: JoinRequest, now: Int64, answer: @escaping (JoinAnswer) -> Void) {
        let id = request.memberID
        let old = self.members[id]
        let isUnchanged = old?.request.protocols == request.protocols
        if self.members.isEmpty { self.protocolType = request.protocolType }
        old?.join?(JoinAnswer(error: .unknownMemberID, memberID: id))
        var member = old ?? GroupMember(id: id, request: request, deadline: 0)
        member.request = request
        member.deadline = now + request.sessionTimeout
        member.join = nil
        if old == nil { self.order.append(id) }
        self.members[id] = member
        switch self.state {
        case .stable where isUnchanged && id != self.leader, .completingRebalance where isUnchanged:
            // The answer to an earlier join was lost.
            answer(self.joinAnswer(for: id))
        case .empty, .stable, .completingRebalance, .preparingRebalance:
            self.members[id]?.join = answer
            self.prepareRebalance(now: now)
            self.completeJoinIfAllCame(now: now)
        }
    }

    private func isCompatible(_ request: JoinRequest) -> Bool {
        guard request.protocolType == self.protocolType else { return false }
        let others = self.members.values.filter { $0.id != request.memberID }
        return others.isEmpty
            || request.protocols.contains { candidate in
                others.allSatisfy { $0.request.protocols.contains { $0.name == candidate.name } }
            }
    }

    private func prepareRebalance(now: Int64) {
        guard self.state != .preparingRebalance else { return }
        for id in self.order {
            self.members[id]?.sync?(SyncAnswer(error: .rebalanceInProgress))
            self.members[id]?.sync = nil
        }
        self.state = .preparingRebalance
        self.rebalanceDeadline = now + (self.members.values.map(\.request.rebalanceTimeout).max() ?? 0)
    }

    private func completeJoinIfAllCame(now: Int64) {
        guard self.state == .preparingRebalance, self.announced.isEmpty,
            self.members.values.allSatisfy({ $0.join != nil })
        else { return }
        self.completeJoin(now: now)
    }

    private func completeJoin(now: Int64) {
        for member in self.members.values where member.join == nil { self.forget(member.id) }
        self.announced = [:]
        self.generation += 1
        guard let first = self.order.first else {
            self.state = .empty
            self.leader = nil
            self.protocolName = ""
            return
        }
        if self.leader.map({ self.members[$0] == nil }) ?? true { self.leader = first }
        self.protocolName = self.chosenProtocol()
        self.state = .completingRebalance
        for id in self.order {
            guard let member = self.members[id], let answer = member.join else { continue }
            self.members[id]?.join = nil
            self.members[id]?.deadline = now + member.request.sessionTimeout
            answer(self.joinAnswer(for: id))
        }
    }

    /// The leader's most wanted protocol that all know.
    private func chosenProtocol() -> String {
        let wanted = self.leader.flatMap { self.members[$0] }?.request.protocols ?? []
        return wanted.first { candidate in
            self.members.values.allSatisfy { $0.request.protocols.contains { $0.name == candidate.name } }
        }?.name ?? ""
    }

    private func joinAnswer(for id: String) -> JoinAnswer {
        var members: [JoinAnswer.Member] = []
        if id == self.leader {
            members = self.order.compactMap { self.members[$0] }.map { member in
                JoinAnswer.Member(
                    id: member.id, instanceID: member.request.instanceID,
                    metadata: member.request.protocols.first { $0.name == self.protocolName }?.metadata
                        ?? ByteBuffer())
            }
        }
        return JoinAnswer(
            generation: self.generation, protocolName: self.protocolName, leader: self.leader ?? "", memberID: id,
            members: members)
    }

    // MARK: - After joining

    func sync(
        memberID: String, generation: Int32, assignments: [(id: String, bytes: ByteBuffer)], now: Int64,
        answer: @escaping (SyncAnswer) -> Void
    ) {
        if let refusal = self.refusal(memberID: memberID, generation: generation) {
            return answer(SyncAnswer(error: refusal))
        }
        self.hear(memberID, now: now)
        switch self.state {
        case .empty, .preparingRebalance:
            answer(SyncAnswer(error: self.state == .empty ? .unknownMemberID : .rebalanceInProgress))
        case .stable:
            answer(SyncAnswer(error: .none, assignment: self.members[memberID]?.assignment ?? ByteBuffer()))
        case .completingRebalance:
            self.members[memberID]?.sync?(SyncAnswer(error: .rebalanceInProgress))
            self.members[memberID]?.sync = answer
            guard memberID == self.leader else { return }
            self.state = .stable
            for (id, bytes) in assignments { self.members[id]?.assignment = bytes }
            for id in self.order {
                guard let member = self.members[id], let answer = member.sync else { continue }
                self.members[id]?.sync = nil
                self.hear(id, now: now)
                answer(SyncAnswer(error: .none, assignment: member.assignment))
            }
        }
    }

    func heartbeat(memberID: String, generation: Int32, now: Int64) -> ErrorCode {
        if let refusal = self.refusal(memberID: memberID, generation: generation) { return refusal }
        self.hear(memberID, now: now)
        return self.state == .preparingRebalance ? .rebalanceInProgress : .none
    }

    func leave(memberID: String, instanceID: String? = nil, now: Int64) -> ErrorCode {
        if self.announced.removeValue(forKey: memberID) != nil {
            self.completeJoinIfAllCame(now: now)
            return .none
        }
        let member =
            self.members[memberID]
            ?? instanceID.flatMap { instance in
                memberID.isEmpty ? self.members.values.first { $0.request.instanceID == instance } : nil
            }
        guard let member else { return .unknownMemberID }
        self.remove(member.id, now: now)
        return .none
    }

    /// Why a member may not commit offsets; `nil` when it may.
    func commitRefusal(memberID: String, generation: Int32, isTransactional: Bool = false) -> ErrorCode? {
        if generation < 0, memberID.isEmpty {
            // A client that is no member commits freely while there is none, and in transactions always (KIP-447).
            return self.members.isEmpty || isTransactional ? nil : .unknownMemberID
        }
        if let refusal = self.refusal(memberID: memberID, generation: generation) { return refusal }
        return self.state == .completingRebalance ? .rebalanceInProgress : nil
    }

    /// Does what is due: members that fell silent are removed, a rebalance that takes too long goes on without.
    func tick(now: Int64) {
        for (id, deadline) in self.announced where deadline <= now { self.announced[id] = nil }
        for member in self.members.values.sorted(by: { $0.id < $1.id })
        where member.deadline <= now && member.join == nil {
            self.remove(member.id, now: now)
        }
        if self.state == .preparingRebalance, self.rebalanceDeadline <= now {
            self.completeJoin(now: now)
        } else {
            self.completeJoinIfAllCame(now: now)
        }
    }

    private func refusal(memberID: String, generation: Int32) -> ErrorCode? {
        guard self.members[memberID] != nil else { return .unknownMemberID }
        return generation == self.generation ? nil : .illegalGeneration
    }

    private func hear(_ id: String, now: Int64) {
        guard let member = self.members[id] else { return }
        self.members[id]?.deadline = now + member.request.sessionTimeout
    }

    private func remove(_ id: String, now: Int64) {
        guard let member = self.members[id] else { return }
        self.forget(id)
        member.join?(JoinAnswer(error: .unknownMemberID, memberID: id))
        member.sync?(SyncAnswer(error: .unknownMemberID))
        if self.members.isEmpty, self.state != .preparingRebalance {
            self.state = .empty
            self.generation += 1
            self.leader = nil
        } else {
            self.prepareRebalance(now: now)
            self.completeJoinIfAllCame(now: now)
        }
    }

    private func forget(_ id: String) {
        self.members[id] = nil
        self.order.removeAll { $0 == id }
        if self.leader == id { self.leader = nil }
    }
}
