import CoordinatorDomain
import EscapementModel
import JSON
import Observability
import WireProtocol

/// The cluster as the leader sees it, as the document that the API serves.
extension LeaderShell {
    /// A clock that differs from the leader's by more deserves a warning: a fire may be early or late by it.
    static let clockOffsetWarning = Duration.milliseconds(500)

    func status() -> JSONValue {
        let settings = self.environment.settings
        return .record([
            "cluster": .string(settings.cluster),
            "version": .string(settings.build),
            "versions": .object(self.builds.map { JSONMember($0.key, .integer($0.value)) }),
            "leader": [
                "id": .string(settings.node.name), "epoch": .integer(self.epoch.rawValue),
                "since": .string(self.since.description), "address": .string(settings.address),
            ],
            "members": .array(self.memberDocuments()),
            "shards": Self.summary(self.term.shards),
            "lanes": Self.summary(self.term.lanes),
            "dependencies": .array(
                self.environment.dependencies().map { name, status in
                    switch status {
                    case .ok: ["name": .string(name), "ok": true]
                    case .notReady(let reason): ["name": .string(name), "ok": false, "reason": .string(reason)]
                    }
                }),
            "warnings": .array(self.warnings.map { .string($0) }),
        ])
    }

    /// Coordinators first, the leader at their head, then members by role and name.
    func memberDocuments() -> [JSONValue] {
        let settings = self.environment.settings
        let now = self.environment.clocks.monotonicNow()
        let wall = self.environment.clocks.wallNow()
        func seen(_ instant: MonotonicInstant) -> JSONValue {
            .string(wall.advanced(by: .zero - now.duration(since: instant)).description)
        }
        var documents: [JSONValue] = [
            .record([
                "id": .string(settings.node.name), "role": "coordinator", "state": "up", "leader": true,
                "zone": .string(settings.zone), "version": .string(settings.build),
                "address": .string(settings.address), "incarnation": .string(settings.incarnation.description),
                "joinedAt": .string(self.since.description), "lastSeenAt": .string(wall.description),
                "clockOffset": "0ms",
            ])
        ]
        let others = self.links.values.filter { $0.link.role == .coordinator }.sorted {
            $0.link.node < $1.link.node
        }
        for (link, heardAt) in others {
            documents.append(
                .record([
                    "id": .string(link.node.name), "role": "coordinator", "state": "up", "leader": false,
                    "zone": .string(link.hello.zone), "version": .string(link.hello.build),
                    "address": .string(link.hello.listenAddress),
                    "incarnation": .string(link.incarnation.description), "lastSeenAt": seen(heardAt),
                ]))
        }
        for kind in AssignedKind.allCases {
            for member in self.term.membership.members(of: kind.owner) {
                let identity = member.identity
                let unreachable = self.names(of: self.term.paths.unreachable(from: identity.incarnation))
                let count = self.term.assignments(of: kind).count(of: identity.incarnation)
                documents.append(
                    .record([
                        "id": .string(identity.node.name), "role": .string(identity.role.rawValue),
                        "state": .string(member.state.rawValue), "zone": .string(identity.zone),
                        "version": .string(identity.build), "address": .string(identity.address),
                        "incarnation": .string(identity.incarnation.description), "weight": .integer(identity.weight),
                        kind == .shard ? "shards" : "lanes": .integer(count),
                        "joinedAt": seen(member.joinedAt), "lastSeenAt": seen(member.heardAt),
                        "clockOffset": .string("\(member.clockOffsetMilliseconds)ms"),
                        "load": [
                            "firesPerSecond": .integer(member.firesPerSecond), "resident": .integer(member.resident),
                        ],
                        "draining": member.isDrained ? true : nil,
                        "unreachable": unreachable.isEmpty ? nil : .array(unreachable.map { .string($0) }),
                        "complaint": member.complaint.isEmpty ? nil : .string(member.complaint),
                    ]))
            }
        }
        return documents
    }

    private static func summary(_ assignments: Assignments) -> JSONValue {
        [
            "total": .integer(assignments.states.count),
            "owned": .integer(assignments.states.count - assignments.unownedCount),
            "unowned": .integer(assignments.unownedCount), "moving": .integer(assignments.movesInFlight),
        ]
    }

    /// How many processes run each build, in order of version.
    private var builds: [(key: String, value: Int)] {
        var counts = [self.environment.settings.build: 1]
        for entry in self.links.values where entry.link.role != .tool {
            counts[entry.link.hello.build, default: 0] += 1
        }
        return counts.sorted { $0.key < $1.key }
    }

    private var laneWarnings: [String] {
        self.term.lanes.entries.compactMap { entry in
            guard let owner = entry.owner, self.term.troubles.barred(from: entry.number).contains(owner) else {
                return nil
            }
            return "lane \(entry.number) cannot be published by \(self.names(of: [owner]).joined()), see its log"
        }
    }

    private var warnings: [String] {
        var warnings: [String] = []
        for kind in AssignedKind.allCases {
            let members = self.term.membership.members(of: kind.owner)
            if !members.contains(where: { $0.state == .up }) { warnings.append("no \(kind.owner.rawValue) is up") }
            let unowned = self.term.assignments(of: kind).unownedCount
            if unowned > 0 { warnings.append("\(unowned) \(kind.rawValue)s have no owner") }
            if kind == .lane { warnings += self.laneWarnings }
            for member in members {
                let node = member.identity.node
                let unreachable = self.names(of: self.term.paths.unreachable(from: member.identity.incarnation))
                if !unreachable.isEmpty {
                    warnings.append("\(node) cannot reach \(unreachable.joined(separator: ", "))")
                }
                if !member.complaint.isEmpty { warnings.append("\(node): \(member.complaint)") }
                let offset = Duration.milliseconds(member.clockOffsetMilliseconds)
                if offset >= Self.clockOffsetWarning || .zero - offset >= Self.clockOffsetWarning {
                    warnings.append(
                        "\(node): its clock differs by \(member.clockOffsetMilliseconds)ms from the leader's")
                }
            }
        }
        return warnings
    }
}
