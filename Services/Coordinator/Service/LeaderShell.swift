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
    var links: [Incarnation: (link: AcceptedLink, heardAt: MonotonicInstant)] = [:]
    var checkpoints: LeaderCheckpoints
    var viewVersion: UInt64 = 0
    var questions = 0
    private var nextDispatcher = 0
    /// Unbounded by type; a claim, a reload and a raise for each event that asks for one, and a bounded number of questions.
    private nonisolated let jobs: AsyncStream<Job>
    nonisolated let jobQueue: AsyncStream<Job>.Continuation
    private nonisolated let hints: AsyncStream<ShardID>
    private nonisolated let hintQueue: AsyncStream<ShardID>.Continuation

    private init(epoch: Epoch, environment: LeaderEnvironment, ownership: Ownership, lanes: [LaneCheckpoint]) {
        self.epoch = epoch
        self.checkpoints = LeaderCheckpoints(lanes: lanes)
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
        await member.window.close()
        await self.feeds.close(member)
        guard self.links[member.incarnation]?.link === member else { return }
        self.links[member.incarnation] = nil
        self.receive(.closed(member.incarnation, goodbye: ending == .goodbye))
    }

    // MARK: - Decisions

    /// Passes one event to the machine and does what it says, in order.
    func receive(_ event: LeaderTerm.Event) {
        // Whoever leads now has read the rows; what we decided from here on would confuse its members.
        guard self.environment.leads() else { return }
        for action in self.term.receive(event, now: self.environment.clocks.monotonicNow()) { self.perform(action) }
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
