import CoordinatorDomain
import EscapementModel
import Logging
import NIOCore
import Observability
import Store
import WireProtocol

/// What the leader's machine has decided.
extension LeaderShell {
    func perform(_ action: LeaderTerm.Action) {
        switch action {
        case .persist(let kind, let claims):
            self.jobQueue.yield(
                .claim(
                    kind,
                    claims.map { claim in
                        OwnershipClaim(
                            number: claim.number, expected: claim.expected,
                            owner: self.term.membership.members[claim.owner]?.identity.node, incarnation: claim.owner,
                            reason: claim.reason)
                    }))
        case .reload(let kind): self.jobQueue.yield(.reload(kind))
        case .raise(let kind, let number, let epoch): self.jobQueue.yield(.raise(kind, number: number, to: epoch))
        case .assign(.shard, let number, let epoch, let member):
            self.link(member)?.send(ShardAssign(leaderEpoch: self.epoch, shard: ShardID(number), epoch: epoch))
        case .assign(.lane, let number, let epoch, let member):
            let checkpoint = self.checkpoints.lane(LaneID(number)).map {
                LaneAssign.Checkpoint(epoch: $0.epoch, sequence: $0.sequence, state: ByteBuffer(bytes: $0.state))
            }
            self.link(member)?.send(
                LaneAssign(leaderEpoch: self.epoch, lane: LaneID(number), epoch: epoch, checkpoint: checkpoint))
        case .prepare(.shard, let number, let epoch, let member):
            let shard = ShardID(number)
            // Both grow together at the owner, so an older revision with a newer instant would only load more.
            self.link(member)?.send(
                ShardPrepare(
                    leaderEpoch: self.epoch, shard: shard, epoch: epoch,
                    settledThrough: self.checkpoints.settled[shard],
                    revision: self.checkpoints.revision(of: shard)))
        case .prepare(.lane, _, _, _): break  // A dispatcher has nothing to load.
        case .revoke(.shard, let number, let epoch, let member):
            self.link(member)?.send(ShardRevoke(leaderEpoch: self.epoch, shard: ShardID(number), epoch: epoch))
        case .revoke(.lane, let number, let epoch, let member):
            self.link(member)?.send(LaneRevoke(leaderEpoch: self.epoch, lane: LaneID(number), epoch: epoch))
        case .publishView(let kind):
            self.viewVersion += 1
            for entry in self.links.values where entry.link.role == kind.audience { self.sendView(kind, entry.link) }
        case .welcome(let member):
            guard let link = self.links[member]?.link else { return }
            self.viewVersion += 1
            for kind in AssignedKind.allCases where kind.audience == link.role { self.sendView(kind, link) }
        case .memberChanged(let change, let identity): self.note(change, identity)
        case .dismiss: break  // It goes by itself; its link lives until then.
        case .handedOver(let kind, let reason):
            guard kind == .shard else { return }
            self.environment.metrics.handedOver(reason: reason)
            if reason == "unreachable" {
                self.environment.logger.info("shard given to a ticker that reaches its lane", event: "shard_rerouted")
            }
        }
    }

    private func link(_ member: Incarnation) -> (any MessageLink)? { self.links[member]?.link.link }

    private func sendView(_ kind: AssignedKind, _ member: AcceptedLink) {
        let entries = self.term.assignments(of: kind).entries
        switch kind {
        case .shard:
            member.link.send(
                ShardView(
                    leaderEpoch: self.epoch, version: self.viewVersion,
                    entries: entries.compactMap { entry in
                        entry.owner.map {
                            ShardView.Entry(shard: ShardID(entry.number), epoch: entry.epoch, incarnation: $0)
                        }
                    }))
        case .lane:
            guard self.term.isViewComplete(.lane) else { return }
            member.link.send(
                LaneView(
                    leaderEpoch: self.epoch, version: self.viewVersion,
                    entries: entries.compactMap { entry in
                        guard let owner = entry.owner, let identity = self.term.membership.members[owner]?.identity
                        else { return nil }
                        return LaneView.Entry(
                            lane: LaneID(entry.number), epoch: entry.epoch, node: identity.node, incarnation: owner,
                            address: identity.address)
                    }))
        }
    }

    private func note(_ change: Membership.Change, _ identity: MemberIdentity) {
        self.environment.logger.info(
            "member changed", event: "member_\(change.to.rawValue)",
            [
                LogKey.node: .string(identity.node.name), LogKey.peerRole: .string(identity.role.rawValue),
                LogKey.incarnation: .text(identity.incarnation),
                LogKey.reason: .string(change.from.map { "was \($0.rawValue)" } ?? "new"),
            ])
        // A process that was only silent has to introduce itself anew: what it held is somebody else's.
        if change.to == .dead, let entry = self.links.removeValue(forKey: change.incarnation) {
            entry.link.dismiss("given up after silence; join again")
        }
    }
}
