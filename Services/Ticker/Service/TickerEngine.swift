import EscapementModel
import Logging
import MemberLink
import NIOCore
import Observability
import Synchronization
import TickerDomain
import WireProtocol

/// What turns a ticker's engine.
package enum TickerDrive: Sendable {
    /// A thread of its own, which sleeps to the next due instant: what a process uses.
    case thread
    /// A task that waits by the clocks it was given: what a simulation uses.
    case task
}

/// Drives `TickerCore` on a thread of its own: takes the mail, performs the actions, sleeps to the next
/// due instant. Nothing here waits for a peer; sending only queues.
///
/// `@unchecked Sendable`: everything but `summary` and `inbox`, which guard themselves, is touched by
/// the clock thread only.
final class TickerEngine: @unchecked Sendable {
    /// What other tasks may know of the engine at any time.
    struct Summary: Sendable {
        var holdings: [WireProtocol.Heartbeat.Holding] = []
        var resident = 0
        var firesPerSecond: UInt32 = 0
    }

    /// What others may know is gathered so often, and at once when shards come and go: not at every tick,
    /// since it looks at all of them.
    private static let summaryEvery = Duration.milliseconds(200)
    /// How long a question about a cancelled timer may wait for the change to arrive.
    private static let settledAnswerMax = Duration.milliseconds(1500)

    /// Reading both clocks takes no longer, else they are read again.
    private static let readingMax = Duration.milliseconds(100)
    /// How much of the forecast is gathered with each summary: a quarter of a millisecond of work.
    private static let forecastAllowance = 16384

    private struct PendingQuery {
        var query: SettledQuery
        var correlation: UInt32
        var deadline: WallInstant
    }

    let inbox = TickerInbox()
    /// Turns five times a second when there is nothing to do.
    let beat: LoopBeat
    let summary = Mutex(Summary())

    private let laneCount: Int
    private let clocks: any Clocks
    private let metrics: TickerMetrics
    private let logger: Logger
    /// Called once, when all shards first assigned fire.
    private let onLoaded: @Sendable () -> Void
    private let session: LeaderSession
    private let leaderClock: LeaderClock
    private let links: DispatcherLinks

    private var clock: TickClock
    private var core: TickerCore<[UInt8]>
    private var fireForm = FireForm()
    private var now: WallInstant
    private var batch: [TickerEvent] = []
    private var view = LaneView(leaderEpoch: .none, version: 0, entries: [])
    private var owners: [LaneID: LaneView.Entry] = [:]
    private var dispatchers: [Incarnation: any MessageLink] = [:]
    private var reach = DispatcherReach()
    /// Of each shard held.
    private var rates: [ShardID: FireRate] = [:]
    private var queries: [PendingQuery] = []
    private var firesThisSecond: UInt32 = 0
    private var secondStart: WallInstant
    private var summaryAt: WallInstant
    /// A shard came, went or became active: the leader should hear of it before the next heartbeat.
    private var haveHoldingsChanged = false
    private var notes: TickerNoteLog
    private var isStopping = false
    private var isLoaded = false
    private var hasLeader = false
    private var emptied: AsyncStream<Void>.Continuation?

    init(
        configuration: TickerCore<[UInt8]>.Configuration, laneCount: Int, clocks: any Clocks,
        metrics: TickerMetrics, logger: Logger, onLoaded: @escaping @Sendable () -> Void,
        leaderClock: LeaderClock, makeSession: () -> LeaderSession, makeLinks: (TickerInbox) -> DispatcherLinks
    ) {
        self.laneCount = laneCount
        self.clocks = clocks
        self.beat = LoopBeat("tick loop", limit: .seconds(10), now: { clocks.monotonicNow() })
        self.metrics = metrics
        self.logger = logger
        self.notes = TickerNoteLog(clocks: clocks, metrics: metrics, logger: logger)
        self.clock = TickClock(wall: clocks.wallNow(), monotonic: clocks.monotonicNow())
        self.now = self.clock.now
        self.secondStart = self.now
        self.summaryAt = self.now
        self.core = TickerCore(configuration: configuration, laneCount: laneCount, now: self.now)
        self.links = makeLinks(self.inbox)
        self.leaderClock = leaderClock
        self.session = makeSession()
        self.onLoaded = onLoaded
    }

    var leaderSession: LeaderSession { self.session }
    var dispatcherLinks: DispatcherLinks { self.links }

    /// Starts what drives the engine; it ends after `.stop`. `ended` is called by it, last.
    func start(_ drive: TickerDrive, ended: @escaping @Sendable () -> Void) {
        switch drive {
        case .thread:
            ClockThread.start {
                self.run()
                ended()
            }
        case .task:
            // Ends after `.stop`, as the thread does; it throws nothing.
            Task {
                await self.runAsTask()
                ended()
            }
        }
    }

    private func runAsTask() async {
        while !self.isStopping {
            await self.inbox.arrival(until: self.nextDeadline, clocks: self.clocks)
            self.turn()
        }
    }

    private func run() {
        while !self.isStopping {
            self.inbox.take(into: &self.batch, until: self.nextDeadline)
            self.handleBatch()
        }
    }

    private func turn() {
        self.inbox.takeNow(into: &self.batch)
        self.handleBatch()
    }

    private func handleBatch() {
        self.readClocks()
        for event in self.batch { self.handle(event) }
        self.tick()
        self.answerQueries()
        self.leaveIfAsked()
        self.reportReach()
        self.publishSummary()
        self.beat.beat()
    }

    /// By the wall clock, which may be ahead of the one by which fires leave.
    private var nextDeadline: WallInstant? {
        let query = self.queries.map(\.deadline).min()
        guard let wake = self.core.nextWake else { return query.map(self.clock.wall(at:)) }
        return self.clock.wall(at: query.map { min($0, wake) } ?? wake)
    }

    private func readClocks() {
        var monotonic = self.clocks.monotonicNow()
        var wall = self.clocks.wallNow()
        // A pause between the two readings would look like a step.
        while self.clocks.monotonicNow().duration(since: monotonic) > Self.readingMax {
            monotonic = self.clocks.monotonicNow()
            wall = self.clocks.wallNow()
        }
        if let heard = self.leaderClock.latest { self.clock.heard(heard.wall, at: heard.at) }
        let note = self.clock.read(wall: wall, monotonic: monotonic)
        self.now = self.clock.now
        switch note {
        case nil: return
        case .held(let step):
            self.logger.warning(
                "the wall clock jumped ahead: fires keep their pace until the leader's clock confirms it",
                event: "clock_held", Self.metadata(step))
        case .contradicted(let difference):
            self.logger.error(
                "the wall clock is wrong by the leader's: fires keep their pace; set the clock of this host",
                event: "clock_contradicted", Self.metadata(difference))
        case .released: self.logger.info("the wall clock is followed again", event: "clock_released")
        }
    }

    private static func metadata(_ duration: Duration) -> Logger.Metadata {
        [LogKey.durationMilliseconds: .number(duration.wholeMilliseconds)]
    }

    // MARK: - Events

    private func handle(_ event: TickerEvent) {
        switch event {
        case .leaderConnected:
            self.hasLeader = true
            self.reach.leaderChanged()
            self.perform(self.core.feedReachable())
        case .leaderLost:
            self.hasLeader = false
            self.core.feedLost()
        case .assign(let shard, let epoch):
            if self.emptied == nil { self.perform(self.core.assigned(shard, epoch: epoch)) }
        case .prepare(let shard, let epoch, let cursor):
            if self.emptied == nil { self.perform(self.core.prepare(shard, epoch: epoch, cursor: cursor)) }
        case .revoke(let shard, let epoch): self.perform(self.core.revoked(shard, epoch: epoch))
        case .page(let shard, let epoch, let changes, let revision, let last):
            self.perform(self.core.page(shard, epoch: epoch, changes, revision: revision, last: last))
        case .delta(let shard, let changes, let from, let through):
            self.perform(self.core.delta(shard, changes, from: from, through: through))
        case .horizon(let shard, let epoch, let timers, let through, let last):
            self.perform(self.core.horizonPage(shard, epoch: epoch, timers, through: through, last: last))
        case .laneView(let view): self.follow(view)
        case .zonesChanged(let zones): self.perform(self.core.zonesChanged(zones))
        case .settledQuery(let query, let correlation):
            self.queries.append(
                PendingQuery(
                    query: query, correlation: correlation, deadline: self.now.advanced(by: Self.settledAnswerMax)))
        case .dispatcherUp(let incarnation, let link):
            self.dispatchers[incarnation] = link
            self.reach.linked(incarnation)
            for (lane, owner) in self.ownersInOrder where owner.incarnation == incarnation {
                self.perform(self.core.laneReachable(lane))
            }
        case .dispatcherDown(let incarnation):
            self.dispatchers[incarnation] = nil
            self.reach.lost(incarnation, now: self.clocks.monotonicNow())
            for (lane, owner) in self.ownersInOrder where owner.incarnation == incarnation {
                self.perform(self.core.laneLost(lane))
            }
        case .roomAgain: self.core.roomAgain()
        case .opened(let opened):
            let credit = Credit(batches: Int(opened.creditBatches), bytes: Int(opened.creditBytes))
            self.perform(
                self.core.opened(opened.shard, epoch: opened.epoch, cursor: opened.cursor, credit: credit))
        case .acknowledged(let ack):
            self.perform(self.core.acknowledged(ack.shard, epoch: ack.epoch, cursor: ack.cursor))
        case .refused(let refusal):
            let meaning: LaneRefusal =
                refusal.code == .staleEpoch
                ? .staleEpoch(seen: refusal.seenEpoch) : .retry(detail: "\(refusal.code): \(refusal.detail)")
            self.perform(self.core.refused(refusal.shard, epoch: refusal.epoch, meaning))
        case .leave(let whenEmpty): self.emptied = whenEmpty
        case .stop: self.isStopping = true
        }
    }

    private var ownersInOrder: [(LaneID, LaneView.Entry)] { self.owners.sorted { $0.key < $1.key }.map { ($0, $1) } }

    /// Takes a newer view: lanes that changed hands are lost and, when the new owner is linked, reachable.
    private func follow(_ view: LaneView) {
        guard (view.leaderEpoch, view.version) > (self.view.leaderEpoch, self.view.version) else { return }
        self.view = view
        let old = self.owners
        self.owners = Dictionary(view.entries.map { ($0.lane, $0) }, uniquingKeysWith: { _, last in last })
        for lane in Set(old.keys).union(self.owners.keys).sorted() {
            let before = old[lane]
            let after = self.owners[lane]
            if before?.incarnation == after?.incarnation, before?.epoch == after?.epoch { continue }
            if before != nil { self.perform(self.core.laneLost(lane)) }
            if let after, self.dispatchers[after.incarnation] != nil { self.perform(self.core.laneReachable(lane)) }
        }
        self.reach.follow(
            Set(self.owners.values.map(\.incarnation)), linked: Set(self.dispatchers.keys),
            now: self.clocks.monotonicNow())
        let links = self.links
        // Ends with the call; `DispatcherLinks` logs what fails.
        Task { await links.follow(view) }
    }

    /// Tells the leader when the owners of lanes that cannot be reached have changed.
    private func reportReach() {
        guard !self.reach.isWhole, self.hasLeader, self.session.version >= ProtocolRange.reporting,
            let owners = self.reach.news(now: self.clocks.monotonicNow())
        else { return }
        self.session.send(LanesUnreachable(leaderEpoch: self.session.highestLeaderEpoch, owners: owners))
        if owners.isEmpty {
            self.logger.info("all lanes can be reached again", event: "lane_reachable")
        } else {
            let names = Set(self.owners.values.filter { owners.contains($0.incarnation) }.map(\.node.name))
            self.logger.warning(
                "lanes cannot be reached", event: "lane_unreachable",
                [
                    LogKey.node: .string(names.sorted().joined(separator: ", ")),
                    LogKey.count: .number(self.unreachableLaneCount),
                ])
        }
    }

    private var unreachableLaneCount: Int {
        let away = self.reach.outOfReach(now: self.clocks.monotonicNow())
        return self.owners.values.count { away.contains($0.incarnation) }
    }

    private func tick() {
        let start = self.clocks.monotonicNow()
        var hasWorked = false
        self.core.tick(now: self.now, hasRoom: { self.link(of: $0)?.hasRoom ?? true }) { action in
            hasWorked = true
            self.perform(action)
        }
        if hasWorked {
            self.metrics.tickDuration.observe(self.clocks.monotonicNow().duration(since: start))
        }
    }

    private func leaveIfAsked() {
        guard let emptied = self.emptied else { return }
        if !self.hasLeader { self.perform(self.core.drainAll()) }
        if self.core.shardCount == 0 { emptied.finish() }
    }

    private func answerQueries() {
        self.queries.removeAll { pending in
            let query = pending.query
            let fired = self.core.firedBeforeCancellation(query.uid, shard: query.shard, revision: query.revision)
            guard fired != nil || pending.deadline <= self.now else { return false }
            let state: SettledAnswer.State = fired.map { $0 ? .fired : .cancelled } ?? .unknown
            self.session.send(SettledAnswer(state: state), flags: .answer, correlation: pending.correlation)
            return true
        }
    }

    // MARK: - Actions

    private func perform(_ actions: [TickerAction<[UInt8]>]) {
        for action in actions { self.perform(action) }
    }

    private func perform(_ action: TickerAction<[UInt8]>) {
        switch action {
        case .open(let lane, let shard, let epoch):
            self.link(of: lane)?.send(Open(shard: shard, epoch: epoch))
        case .requestContents(let shard, let epoch, let cursor, let horizon, let since):
            self.session.send(
                SnapshotRequest(shard: shard, epoch: epoch, cursor: cursor, horizon: horizon, since: since))
        case .requestHorizon(let shard, let epoch, let after, let through):
            self.session.send(HorizonRequest(shard: shard, epoch: epoch, after: after, through: through))
        case .fire(let lane, let batch): self.send(batch, to: lane)
        case .prepared(let shard, let epoch):
            self.session.send(
                ShardPrepared(leaderEpoch: self.session.highestLeaderEpoch, shard: shard, epoch: epoch))
        case .release(let shard, let epoch):
            self.session.send(
                ShardReleased(leaderEpoch: self.session.highestLeaderEpoch, shard: shard, epoch: epoch))
        case .releaseStale(let shard, let epoch, let seen):
            self.session.send(
                ShardReleased(
                    leaderEpoch: self.session.highestLeaderEpoch, shard: shard, epoch: epoch, seenEpoch: seen))
        case .note(let note):
            self.haveHoldingsChanged = true
            self.notes.log(note)
        }
    }

    private func link(of lane: LaneID) -> (any MessageLink)? {
        self.owners[lane].flatMap { self.dispatchers[$0.incarnation] }
    }

    private func send(_ batch: PlannedBatch<[UInt8]>, to lane: LaneID) {
        // A link that refuses is closed; its `dispatcherDown` is on its way and the batch is planned again.
        self.link(of: lane)?.send(self.fireForm.message(of: batch))
        self.fireForm.clear()
        self.metrics.batches.increment()
        self.metrics.fires.increment(by: batch.occurrences.count)
        self.firesThisSecond &+= UInt32(batch.occurrences.count)
        self.rates[batch.shard]?.count(batch.occurrences.count)
        self.observeLateness(of: batch)
    }

    /// Fires of one instant, which follow each other, are observed together. By the clock as it is now: a turn that sends
    /// many batches began a while ago.
    private func observeLateness(of batch: PlannedBatch<[UInt8]>) {
        let now = self.clocks.wallNow()
        var due: WallInstant?
        var count = 0
        func observe() {
            guard let due else { return }
            self.metrics.tickLateness.observe(now.duration(since: due).seconds, count: count)
        }
        for occurrence in batch.occurrences where occurrence.outcome == .dispatched {
            if occurrence.due != due {
                observe()
                due = occurrence.due
                count = 0
            }
            count += 1
        }
        observe()
    }

    // MARK: - Summary

    private func publishSummary() {
        let isStale = self.now >= self.summaryAt.advanced(by: Self.summaryEvery)
        guard self.haveHoldingsChanged || isStale else { return }
        self.haveHoldingsChanged = false
        self.summaryAt = self.now
        if isStale { self.lookAhead() }
        let isNewSecond = self.now >= self.secondStart.advanced(by: .seconds(1))
        let holdings = self.measuredHoldings()
        let resident = self.core.residentCount
        if !self.isLoaded, self.core.shardCount > 0, self.core.shardCount == self.core.activeCount {
            self.isLoaded = true
            self.onLoaded()
        }
        let rate = isNewSecond ? self.firesThisSecond : nil
        let membershipChanged = self.summary.withLock { summary in
            let changed =
                summary.holdings.map(\.number) != holdings.map(\.number)
                || summary.holdings.map(\.epoch) != holdings.map(\.epoch)
            summary.holdings = holdings
            summary.resident = resident
            if let rate { summary.firesPerSecond = rate }
            return changed
        }
        if isNewSecond {
            self.secondStart = self.now
            self.firesThisSecond = 0
            self.metrics.lanesUnreachable.set(self.unreachableLaneCount)
            self.metrics.overdue.set(self.core.overdueCount)
            self.metrics.oldestOverdue.set(self.core.oldestOverdue.map { self.now.duration(since: $0) } ?? .zero)
        }
        self.metrics.shardsOwned.set(holdings.count)
        self.metrics.resident.set(resident)
        if membershipChanged { self.session.beatNow() }
    }

    private func lookAhead() {
        guard let forecast = self.core.forecast(allowance: Self.forecastAllowance) else { return }
        for horizon in FireForecast.Horizon.allCases { self.metrics.upcoming[horizon].set(forecast[horizon]) }
    }

    /// What the heartbeat says of each shard; folds what was fired since the last time.
    private func measuredHoldings() -> [WireProtocol.Heartbeat.Holding] {
        let now = self.clocks.monotonicNow()
        var rates: [ShardID: FireRate] = [:]
        let holdings = self.core.holdingsInOrder.map { holding in
            var rate = self.rates[holding.shard] ?? FireRate(now: now)
            rate.fold(now: now)
            rates[holding.shard] = rate
            return WireProtocol.Heartbeat.Holding(
                number: holding.shard.rawValue, epoch: holding.epoch, settledThrough: holding.settledThrough,
                revision: holding.revision,
                load: rate.milliPerSecond(now: now).map {
                    WireProtocol.Heartbeat.Load(millifiresPerSecond: $0, resident: UInt64(holding.resident))
                })
        }
        self.rates = rates
        return holdings
    }
}
