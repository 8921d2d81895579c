import CoordinatorDomain
import EscapementModel
import Logging
import NIOCore
import Observability
import Store
import WireProtocol

/// What a leader works with.
struct LeaderEnvironment: Sendable {
    var locks: any LockStore
    var schedules: any ScheduleStore
    var clocks: any Clocks
    var settings: CoordinatorSettings
    var metrics: CoordinatorMetrics
    var logger: Logger
    /// Whether this process leads under the term's epoch now.
    var leads: @Sendable () -> Bool
    /// A fenced write has found somebody else's epoch.
    var deposed: @Sendable () -> Void
    /// What the process depends on and how that is, for the status.
    var dependencies: @Sendable () -> [(name: String, status: HealthStatus)]
}

/// One term of a leader: drives `LeaderTerm`, owns the links of members, writes claims, feeds tickers.
///
/// All decisions and all sending happen on the actor, one event at a time, so what is told keeps its order; what
/// may be slow (the store, questions to members) runs beside it and comes back as an event. Nothing is told once
/// the lease is not trusted any more.
actor LeaderShell {
    /// How a member's link ended.
    enum LinkEnding: Sendable {
        case goodbye
        case broken
    }

    /// Questions of other coordinators worked on at a time; one more is refused.
    static let questionsMax = 256
    /// Hints that wait; one more replaces the oldest, whose change is found by the poll.
    static let hintsMax = 4096

    enum Job: Sendable {
        case claim(AssignedKind, [OwnershipClaim])
        case reload(AssignedKind)
        case raise(AssignedKind, number: UInt16, to: Epoch)
        case answer(Frame, AcceptedLink)
    }

    nonisolated let epoch: Epoch
    nonisolated let environment: LeaderEnvironment
    nonisolated let feeds: ScheduleFeeds
    /// When the term began, for people.
    nonisolated let since: WallInstant
    var term: LeaderTerm
    /// The link of each member and each other coordinator, and when it was last heard.
    private(set) var links: [Incarnation: (link: AcceptedLink, heardAt: MonotonicInstant)] = [:]
    /// How far each shard is settled, as its owner says; written at each checkpoint.
    private var settled: [ShardID: WallInstant] = [:]
    /// The revision that belongs to it.
    private var revisions: [ShardID: Revision] = [:]
    /// Where each lane's journal stands, as the store and the lane's owner say, and which of it is not written yet.
    private var lanes: [LaneID: LaneCheckpoint]
    private var unwrittenLanes: Set<LaneID> = []
    private var viewVersion: UInt64 = 0
    private var questions = 0
    private var nextDispatcher = 0
    /// Unbounded by type; a claim, a reload and a raise for each event that asks for one, and `questionsMax`.
    private nonisolated let jobs: AsyncStream<Job>
    private nonisolated let jobQueue: AsyncStream<Job>.Continuation
    private nonisolated let hints: AsyncStream<ShardID>
    private nonisolated let hintQueue: AsyncStream<ShardID>.Continuation

    private init(epoch: Epoch, environment: LeaderEnvironment, ownership: Ownership, lanes: [LaneCheckpoint]) {
        self.epoch = epoch
        self.lanes = Dictionary(uniqueKeysWithValues: lanes.map { ($0.lane, $0) })
        self.environment = environment
        self.since = environment.clocks.wallNow()
        self.feeds = ScheduleFeeds(
            store: environment.schedules, clocks: environment.clocks, settings: environment.settings,
            logger: environment.logger)
        self.term = LeaderTerm(
            shards: ownership.shards.map { Assignments.Row($0) }, lanes: ownership.lanes.map { Assignments.Row($0) },
            names: Self.names(in: ownership), timing: environment.settings.membership,
            limits: environment.settings.limits,
            revokeWithin: environment.settings.revokeWithin, now: environment.clocks.monotonicNow())
        (self.jobs, self.jobQueue) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
        (self.hints, self.hintQueue) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(Self.hintsMax))
    }

    private static func names(in ownership: Ownership) -> [Incarnation: Membership.Owner] {
        var names: [Incarnation: Membership.Owner] = [:]
        for (role, records) in [(Role.ticker, ownership.shards), (.dispatcher, ownership.lanes)] {
            for record in records {
                guard let incarnation = record.incarnation, let node = record.owner else { continue }
                names[incarnation] = Membership.Owner(role, node)
            }
        }
        return names
    }

    /// Reads who owns what, as often as it takes; `nil` when the lease is over first.
    static func begin(epoch: Epoch, environment: LeaderEnvironment) async -> LeaderShell? {
        while environment.leads(), !Task.isCancelled {
            do {
                let ownership = try await environment.locks.loadOwnership()
                let lanes = try await environment.locks.loadLaneCheckpoints()
                return LeaderShell(epoch: epoch, environment: environment, ownership: ownership, lanes: lanes)
            } catch {
                environment.logger.warning(
                    "owners not read", event: "ownership_not_read", [LogKey.error: .text(error)])
            }
            do { try await environment.clocks.sleep(for: environment.settings.retryEvery) } catch { return nil }
        }
        return nil
    }

    /// Works until `stop`, or until the task is cancelled; then tells every member to look for another leader.
    func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await self.feeds.run() }
            group.addTask { await self.keepTime() }
            group.addTask { await self.keepCheckpoints() }
            group.addTask { await self.keepClean() }
            group.addTask { await self.keepCount() }
            group.addTask { for await shard in self.hints { await self.feeds.hint(shard) } }
            for await job in self.jobs {
                group.addTask { await self.work(on: job) }
            }
            group.cancelAll()
        }
        for entry in self.links.values { entry.link.dismiss("leads no longer") }
        self.links = [:]
        self.environment.metrics.show(nil, epoch: .none)
    }

    nonisolated func stop() {
        self.jobQueue.finish()
        self.hintQueue.finish()
    }

    /// A change of the shard has been committed.
    nonisolated func hint(_ shard: ShardID) { self.hintQueue.yield(shard) }

    // MARK: - Links

    /// Takes a link whose greeting was fine; `false` when the term is over.
    func accept(_ member: AcceptedLink, version: UInt32) -> Bool {
        let clocks = self.environment.clocks
        guard self.environment.leads() else {
            member.link.send(HelloRefused(code: .notReady, detail: "the term of this leader has just ended"))
            member.link.close()
            return false
        }
        if let difference = self.modeDifference(member) {
            self.environment.logger.warning(
                "link refused", event: "link_refused",
                [LogKey.peer: .string(member.node.name), LogKey.reason: .string(difference)])
            member.link.send(HelloRefused(code: .settingsMismatch, detail: difference))
            member.link.close()
            return false
        }
        let former = self.links.updateValue((member, clocks.monotonicNow()), forKey: member.incarnation)
        former?.link.dismiss("the same process has connected again")
        member.link.send(
            HelloAck(
                version: version, incarnation: self.environment.settings.incarnation, leaderEpoch: self.epoch,
                build: self.environment.settings.build, clock: clocks.wallNow()))
        switch member.role {
        case .ticker, .dispatcher:
            self.receive(
                .joined(
                    MemberIdentity(
                        role: member.role, node: member.node, incarnation: member.incarnation,
                        address: member.hello.listenAddress, weight: Int(member.hello.weight), zone: member.hello.zone,
                        build: member.hello.build, canPrepare: version >= ProtocolRange.preparing)))
        case .coordinator, .tool: break
        }
        return true
    }

    /// Why a dispatcher may not publish beside those that are here: one cluster gives one guarantee.
    private func modeDifference(_ member: AcceptedLink) -> String? {
        guard member.role == .dispatcher, !member.hello.deliveryMode.isEmpty else { return nil }
        let others = self.links.values.map(\.link).filter {
            $0.role == .dispatcher && $0.node != member.node && !$0.hello.deliveryMode.isEmpty
                && $0.hello.deliveryMode != member.hello.deliveryMode
        }
        guard let other = others.min(by: { $0.node < $1.node }) else { return nil }
        return "ESCAPEMENT_DELIVERY_MODE is \(member.hello.deliveryMode) there and \(other.hello.deliveryMode) on "
            + "\(other.node.name): set the same on every dispatcher, and stop all of them to change it"
    }

    /// The link has ended.
    func closed(_ member: AcceptedLink, _ ending: LinkEnding) async {
        member.correlator.close()
        await self.feeds.close(member)
        guard self.links[member.incarnation]?.link === member else { return }
        self.links[member.incarnation] = nil
        self.receive(.closed(member.incarnation, goodbye: ending == .goodbye))
    }

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
                self.progress(message)
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

    private func progress(_ message: LaneProgress) {
        let known = self.lanes[message.lane]
        let isNewer = known.map { ($0.epoch, $0.sequence) < (message.epoch, message.sequence) } ?? true
        guard isNewer else { return }
        self.lanes[message.lane] = LaneCheckpoint(
            lane: message.lane, epoch: message.epoch, sequence: message.sequence,
            state: Array(message.state.readableBytesView))
        self.unwrittenLanes.insert(message.lane)
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
            self.settled[shard] = max(self.settled[shard] ?? through, through)
            self.revisions[shard] = max(self.revisions[shard] ?? .none, holding.revision)
        }
        self.receive(
            .heartbeat(
                member.incarnation,
                Membership.Report(
                    leaving: message.leaving, complaint: message.complaint,
                    firesPerSecond: Int(message.firesPerSecond), resident: Int(clamping: message.resident),
                    clockOffsetMilliseconds: message.clock.duration(since: clock).wholeMilliseconds,
                    isDrained: message.drained),
                message.holdings.map { Assignments.Holding(number: $0.number, epoch: $0.epoch) }))
    }

    // MARK: - Decisions

    /// Passes one event to the machine and does what it says, in order.
    func receive(_ event: LeaderTerm.Event) {
        // Whoever leads now has read the rows; what we decided from here on would confuse its members.
        guard self.environment.leads() else { return }
        for action in self.term.receive(event, now: self.environment.clocks.monotonicNow()) { self.perform(action) }
    }

    private func perform(_ action: LeaderTerm.Action) {
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
            let checkpoint = self.lanes[LaneID(number)].map {
                LaneAssign.Checkpoint(epoch: $0.epoch, sequence: $0.sequence, state: ByteBuffer(bytes: $0.state))
            }
            self.link(member)?.send(
                LaneAssign(leaderEpoch: self.epoch, lane: LaneID(number), epoch: epoch, checkpoint: checkpoint))
        case .prepare(.shard, let number, let epoch, let member):
            let shard = ShardID(number)
            // Both grow together at the owner, so an older revision with a newer instant would only load more.
            self.link(member)?.send(
                ShardPrepare(
                    leaderEpoch: self.epoch, shard: shard, epoch: epoch, settledThrough: self.settled[shard],
                    revision: self.revisions[shard] ?? .none))
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
            if kind == .shard { self.environment.metrics.handedOver(reason: reason) }
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

    // MARK: - Beside the actor's turn

    private func work(on job: Job) async {
        switch job {
        case .claim(let kind, let claims): await self.claim(kind, claims)
        case .reload(let kind): await self.reload(kind)
        case .raise(let kind, let number, let epoch):
            await self.insist("epoch not raised") { () async throws(StoreError) in
                try await self.environment.locks.raiseEpoch(
                    OwnedKind(kind), number: number, to: epoch, leaderEpoch: self.epoch)
            }
            await self.reload(kind)
        case .answer(let frame, let asker):
            await self.answer(frame, to: asker)
            self.questions -= 1
        }
    }

    private func claim(_ kind: AssignedKind, _ claims: [OwnershipClaim]) async {
        do {
            switch try await self.environment.locks.claim(OwnedKind(kind), claims, leaderEpoch: self.epoch) {
            case .claimed(let epochs): self.receive(.claimed(kind, epochs))
            case .deposed:
                self.environment.deposed()
                self.stop()
            }
        } catch {
            self.environment.logger.warning(
                "claims not written", event: "claim_failed",
                [LogKey.count: .number(claims.count), LogKey.error: .text(error)])
            self.receive(.claimsFailed(kind))
        }
    }

    private func reload(_ kind: AssignedKind) async {
        let ownership = await self.insist("owners not read") { () async throws(StoreError) in
            try await self.environment.locks.loadOwnership()
        }
        guard let ownership else { return }
        let rows = kind == .shard ? ownership.shards : ownership.lanes
        self.receive(.loaded(kind, rows.map { Assignments.Row($0) }))
    }

    /// Repeats a call of the store until it succeeds; `nil` when the term is over first.
    @discardableResult
    private func insist<Answer: Sendable>(
        _ complaint: StaticString, _ call: @Sendable () async throws(StoreError) -> Answer
    ) async -> Answer? {
        while self.environment.leads(), !Task.isCancelled {
            do {
                return try await call()
            } catch {
                self.environment.logger.warning(complaint, event: "store_retry", [LogKey.error: .text(error)])
            }
            do { try await self.environment.clocks.sleep(for: self.environment.settings.retryEvery) } catch {
                return nil
            }
        }
        return nil
    }

    private func keepTime() async {
        while true {
            self.receive(.tick)
            self.closeSilentAskers()
            self.environment.metrics.show(self.term, epoch: self.epoch)
            await self.feeds.retire(below: self.shardEpochs)
            do { try await self.environment.clocks.sleep(for: self.environment.settings.tickEvery) } catch { return }
        }
    }

    private var shardEpochs: [ShardID: Epoch] {
        Dictionary(
            self.term.shards.entries.map { (ShardID($0.number), $0.epoch) }, uniquingKeysWith: { first, _ in first })
    }

    /// Coordinators and tools own nothing: nobody declares them dead, their links only end.
    private func closeSilentAskers() {
        let now = self.environment.clocks.monotonicNow()
        for (incarnation, entry) in self.links where entry.link.role == .coordinator {
            guard now.duration(since: entry.heardAt) >= self.environment.settings.membership.deadAfter else { continue }
            self.links[incarnation] = nil
            entry.link.dismiss("silent")
        }
    }

    private func keepCheckpoints() async {
        while true {
            do { try await self.environment.clocks.sleep(for: self.environment.settings.checkpointEvery) } catch {
                return
            }
            let settled = self.settled
            let lanes = self.unwrittenLanes.sorted().compactMap { self.lanes[$0] }
            self.unwrittenLanes = []
            do {
                if !settled.isEmpty { try await self.environment.locks.checkpoint(settled, leaderEpoch: self.epoch) }
                if !lanes.isEmpty {
                    try await self.environment.locks.checkpoint(lanes: lanes, leaderEpoch: self.epoch)
                }
            } catch {
                self.unwrittenLanes.formUnion(lanes.map(\.lane))
                // The next one says the same and more.
                self.environment.logger.info(
                    "checkpoint not written", event: "checkpoint_failed", [LogKey.error: .text(error)])
            }
        }
    }

    private func keepClean() async {
        while true {
            do { try await self.environment.clocks.sleep(for: self.environment.settings.cleanEvery) } catch { return }
            do {
                let limit = self.environment.settings.cleanRowsMax
                var removed = limit
                while removed == limit, self.environment.leads(), !Task.isCancelled {
                    removed = try await self.environment.schedules.removeSettled(limit: limit)
                }
                try await self.settleNamespaces()
            } catch {
                self.environment.logger.info(
                    "settled rows not removed", event: "cleaning_failed", [LogKey.error: .text(error)])
            }
        }
    }

    /// A dispatcher to ask, another one each time.
    func nextDispatcherLink() -> AcceptedLink? {
        let candidates = self.term.membership.members(of: .dispatcher).filter { $0.state == .up }.compactMap {
            self.links[$0.identity.incarnation]?.link
        }
        guard !candidates.isEmpty else { return nil }
        self.nextDispatcher = (self.nextDispatcher + 1) % candidates.count
        return candidates[self.nextDispatcher]
    }

    /// The ticker that may fire the shard now.
    func ownerLink(of shard: ShardID) -> AcceptedLink? {
        self.term.shards.owner(of: shard.rawValue).flatMap { self.links[$0]?.link }
    }
}

extension Assignments.Row {
    init(_ record: OwnershipRecord) {
        self.init(number: record.number, epoch: record.epoch, owner: record.incarnation)
    }
}

extension OwnedKind {
    init(_ kind: AssignedKind) {
        switch kind {
        case .shard: self = .shard
        case .lane: self = .lane
        }
    }
}
