import CoordinatorDomain
import EscapementModel
import Logging
import Observability
import WireProtocol

/// What members and other coordinators say.
extension LeaderShell {
    /// Questions of other coordinators worked on at a time; one more is refused.
    private static let questionsMax = 256

    /// Takes one frame; `false` when the link is to be closed.
    func handle(_ frame: Frame, from member: AcceptedLink) async throws(WireError) -> Bool {
        let now = self.environment.clocks.monotonicNow()
        guard self.links[member.incarnation]?.link === member else { return false }
        self.links[member.incarnation]?.heardAt = now
        if frame.flags.contains(.answer) {
            member.correlator.resolve(frame)
            return true
        }
        switch (MessageKind(rawValue: frame.kind), member.role) {
        case (.heartbeat, .ticker), (.heartbeat, .dispatcher), (.heartbeat, .coordinator):
            self.beat(try frame.decode(WireProtocol.Heartbeat.self), from: member)
        case (.shardReleased, .ticker):
            let message = try frame.decode(ShardReleased.self)
            self.receive(
                .released(
                    .shard, from: member.incarnation, number: message.shard.rawValue, message.epoch,
                    seen: message.seenEpoch))
        case (.shardPrepared, .ticker):
            let message = try frame.decode(ShardPrepared.self)
            self.receive(.prepared(.shard, from: member.incarnation, number: message.shard.rawValue, message.epoch))
        case (.laneReleased, .dispatcher):
            let message = try frame.decode(LaneReleased.self)
            self.receive(
                .released(
                    .lane, from: member.incarnation, number: message.lane.rawValue, message.epoch,
                    seen: message.seenEpoch))
        case (.laneProgress, .dispatcher):
            let message = try frame.decode(LaneProgress.self)
            if self.term.lanes.isCurrent(message.lane.rawValue, message.epoch, owner: member.incarnation) {
                self.checkpoints.progress(message)
            }
        case (.snapshotRequest, .ticker):
            let request = try frame.decode(SnapshotRequest.self)
            if self.owns(request.shard, request.epoch, member) {
                await self.feeds.open(request, for: member)
            } else if self.term.shards.isNext(
                request.shard.rawValue, request.epoch, successor: member.incarnation)
            {
                await self.feeds.open(request, for: member, asNext: true)
            }
        case (.horizonRequest, .ticker):
            let request = try frame.decode(HorizonRequest.self)
            if self.owns(request.shard, request.epoch, member) { await self.feeds.extend(request, for: member) }
        case (.contentsAck, .ticker):
            await member.window.acknowledge(try frame.decode(ContentsAck.self).bytes)
        case (.lanesUnreachable, .ticker): self.note(try frame.decode(LanesUnreachable.self), from: member)
        case (.changeHint, .coordinator):
            self.hint(try frame.decode(ChangeHint.self).shard)
        case (.clusterStatusQuery, .coordinator), (.clusterStatusQuery, .tool), (.activationQuery, .coordinator),
            (.settledQuery, .coordinator), (.clusterCommand, .coordinator):
            if self.questions < Self.questionsMax {
                self.questions += 1
                self.jobQueue.yield(.answer(frame, member))
            } else {
                member.answer(frame, QueryFailed(code: "OVERLOADED", detail: "too many questions at a time"))
            }
        case (.unsupported, _): break
        case (nil, _): member.answer(frame, Unsupported(unknownKind: UInt32(frame.kind)))
        case (let kind?, let role):
            self.environment.logger.warning(
                "a message that the peer's role may not send", event: "role_refused",
                [
                    LogKey.peer: .string(member.node.name), LogKey.peerRole: .string(role.rawValue),
                    LogKey.kind: .string("\(kind)"),
                ])
            member.dismiss("a \(role.rawValue) may not send \(kind)")
            return false
        }
        return true
    }

    private func owns(_ shard: ShardID, _ epoch: Epoch, _ member: AcceptedLink) -> Bool {
        self.term.shards.isCurrent(shard.rawValue, epoch, owner: member.incarnation)
    }

    private func beat(_ message: WireProtocol.Heartbeat, from member: AcceptedLink) {
        guard self.environment.leads() else { return }
        let clock = self.environment.clocks.wallNow()
        defer {
            let isDrained = self.term.membership.members[member.incarnation]?.isDrained ?? false
            member.link.send(HeartbeatAck(leaderEpoch: self.epoch, clock: clock, drained: isDrained))
        }
        guard member.role != .coordinator else { return }
        for holding in message.holdings {
            let shard = ShardID(holding.number)
            guard member.role == .ticker, let through = holding.settledThrough,
                self.owns(shard, holding.epoch, member)
            else { continue }
            self.checkpoints.settled(shard, through: through, revision: holding.revision)
        }
        self.receive(
            .heartbeat(
                member.incarnation,
                Membership.Report(
                    leaving: message.leaving, complaint: message.complaint,
                    firesPerSecond: Int(message.firesPerSecond), resident: Int(clamping: message.resident),
                    clockOffsetMilliseconds: message.clock.duration(since: clock).wholeMilliseconds,
                    isDrained: message.drained),
                message.holdings.map { holding in
                    Assignments.Holding(
                        number: holding.number, epoch: holding.epoch,
                        load: holding.load.map {
                            ShardLoads.Measure(millifiresPerSecond: $0.millifiresPerSecond, resident: $0.resident)
                        }, isTroubled: holding.isTroubled)
                }))
    }

    private func note(_ message: LanesUnreachable, from ticker: AcceptedLink) {
        let names = self.names(of: message.owners)
        self.environment.logger.info(
            message.owners.isEmpty ? "a ticker reaches all lanes again" : "a ticker cannot reach lanes",
            event: message.owners.isEmpty ? "ticker_reaches_lanes" : "ticker_cut_off",
            [LogKey.node: .string(ticker.node.name), LogKey.peer: .string(names.joined(separator: ", "))])
        self.receive(.unreachable(from: ticker.incarnation, Set(message.owners)))
    }

    /// Of members that are there, in order.
    func names(of members: [Incarnation]) -> [String] {
        members.compactMap { self.term.membership.members[$0]?.identity.node.name }.sorted()
    }
}
