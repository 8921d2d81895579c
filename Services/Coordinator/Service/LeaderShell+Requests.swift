import CoordinatorDomain
import EscapementModel
import JSON
import Logging
import Observability
import WireProtocol

/// What operators ask of the leader.
extension LeaderShell {
    func answer(_ request: ClusterRequest?) throws(ClusterError) -> JSONValue {
        switch request {
        case .members: return ["items": .array(self.memberDocuments())]
        case .shards: return ["shards": self.ownerDocuments(.shard), "lanes": self.ownerDocuments(.lane)]
        case .drain(let name): return try self.drain(name, true)
        case .resume(let name): return try self.drain(name, false)
        case .rebalance:
            self.receive(.rebalance)
            self.environment.logger.info("rebalance asked for", event: "rebalance_requested")
            return [
                "shards": ["moving": .integer(self.term.shards.movesInFlight)],
                "lanes": ["moving": .integer(self.term.lanes.movesInFlight)],
            ]
        case nil:
            throw ClusterError(ClusterError.unsupported, "the leader runs an older version that cannot do this")
        }
    }

    private func drain(_ name: String, _ isDrained: Bool) throws(ClusterError) -> JSONValue {
        let members = AssignedKind.allCases.flatMap { self.term.membership.members(of: $0.owner) }
        guard let member = members.first(where: { $0.identity.node.name == name }) else {
            let names = members.map(\.identity.node.name).joined(separator: ", ")
            throw ClusterError(
                ClusterError.notFound,
                "no ticker or dispatcher is called '\(name)'; there are: \(names.isEmpty ? "none" : names)")
        }
        let others = members.filter { other in
            other.identity.role == member.identity.role && other.identity.incarnation != member.identity.incarnation
                && other.state == .up && !other.isDrained
        }
        if isDrained, others.isEmpty {
            throw ClusterError(
                ClusterError.notPossible,
                "no other \(member.identity.role.rawValue) is up that could take what '\(name)' owns")
        }
        self.receive(.drained(member.identity.incarnation, isDrained))
        self.environment.logger.info(
            isDrained ? "member to be emptied" : "member may work again",
            event: isDrained ? "member_drained" : "member_resumed", [LogKey.node: .string(name)])
        let kind: AssignedKind = member.identity.role == .ticker ? .shard : .lane
        return [
            "id": .string(name), "draining": .bool(isDrained),
            kind == .shard ? "shards" : "lanes": .integer(
                self.term.assignments(of: kind).count(of: member.identity.incarnation)),
        ]
    }

    /// Every shard or lane in order of number.
    private func ownerDocuments(_ kind: AssignedKind) -> JSONValue {
        let members = self.term.membership.members
        func name(_ incarnation: Incarnation) -> JSONValue {
            .string(members[incarnation]?.identity.node.name ?? incarnation.description)
        }
        return .array(
            self.term.assignments(of: kind).states.enumerated().map { number, state in
                let start = JSONMember(kind.rawValue, .integer(number))
                let rest: JSONValue =
                    switch state {
                    case .unowned(let last): ["state": "unowned", "epoch": .integer(last.rawValue)]
                    case .claiming(let owner, let expected):
                        ["state": "claiming", "epoch": .integer(expected.rawValue), "next": name(owner)]
                    case .assigned(let owner, let epoch, let isConfirmed):
                        [
                            "state": isConfirmed ? "owned" : "assigned", "owner": name(owner),
                            "epoch": .integer(epoch.rawValue),
                        ]
                    case .preparing(let owner, let epoch, let successor, _),
                        .revoking(let owner, let epoch, let successor, _):
                        [
                            "state": "moving", "owner": name(owner), "epoch": .integer(epoch.rawValue),
                            "next": name(successor),
                        ]
                    case .unknown: ["state": "unknown"]
                    }
                return .object([start] + (rest.objectValue ?? []) + self.loadMembers(kind, UInt16(number)))
            })
    }

    /// What placement weighs a shard by, and what its ticker has measured.
    private func loadMembers(_ kind: AssignedKind, _ number: UInt16) -> [JSONMember] {
        guard kind == .shard else { return [] }
        var members = [JSONMember("weight", Self.hundredths(self.term.loads.weight(of: number)))]
        if let measure = self.term.loads.measure(of: number) {
            members.append(
                JSONMember(
                    "load",
                    [
                        "firesPerSecond": Self.hundredths(Double(measure.millifiresPerSecond) / 1000),
                        "resident": .integer(measure.resident),
                    ]))
        }
        return members
    }

    private static func hundredths(_ value: Double) -> JSONValue { .decimal((value * 100).rounded() / 100) }
}

extension ClusterCommand {
    init(_ request: ClusterRequest) {
        switch request {
        case .members: self.init(verb: "members")
        case .shards: self.init(verb: "shards")
        case .drain(let member): self.init(verb: "drain", subject: member)
        case .resume(let member): self.init(verb: "resume", subject: member)
        case .rebalance: self.init(verb: "rebalance")
        }
    }

    /// `nil` for a verb of a newer version.
    var request: ClusterRequest? {
        switch self.verb {
        case "members": .members
        case "shards": .shards
        case "drain": .drain(member: self.subject)
        case "resume": .resume(member: self.subject)
        case "rebalance": .rebalance
        default: nil
        }
    }
}
