package import EscapementModel

/// All shards of one ticker: which are held, what each waits for, what is due.
///
/// The shell feeds links' news and answers in, performs the actions, and calls `tick` at the instant
/// that `nextWake` names. See `ShardFiring` for one shard.
///
/// **Invariant:** a shard is held under at most one epoch, and only ever under a higher one than before.
package struct TickerCore<Payload: Sendable & Hashable>: ~Copyable {
    /// How far ahead timers are kept in memory, and how many.
    package struct Configuration: Hashable, Sendable {
        /// One-shots due within it are loaded; asked for again when half of it is left.
        package var horizon: Duration
        /// Loading pauses while there are so many timers in memory, of all shards, and goes on at three quarters of it.
        /// What is due within twice the lead is loaded all the same.
        package var timersMax: Int
        /// The same for the bytes of payloads, of schedules and timers.
        package var payloadBytesMax: Int
        /// How far ahead timers are in memory at least.
        package var lead: Duration
        /// How long to wait before a refused shard is opened again.
        package var reopenAfter: Duration
        /// How long a shard that was loaded ahead is kept for.
        package var keepPrepared: Duration

        package init(
            horizon: Duration = .seconds(900), timersMax: Int = 10_000_000, payloadBytesMax: Int = 2 << 30,
            lead: Duration = .seconds(30), reopenAfter: Duration = .milliseconds(200),
            keepPrepared: Duration = .seconds(30)
        ) {
            precondition(timersMax > 0 && lead > .zero, "at most \(timersMax) timers, \(lead) ahead")
            precondition(payloadBytesMax > 0, "at most \(payloadBytesMax) bytes of payloads")
            self.horizon = horizon
            self.timersMax = timersMax
            self.payloadBytesMax = payloadBytesMax
            self.lead = lead
            self.reopenAfter = reopenAfter
            self.keepPrepared = keepPrepared
        }

        /// What is loaded at once and under any circumstances.
        var horizonMin: Duration { min(self.horizon, self.lead * 2) }
    }

    /// An object, so that looking at a shard copies nothing of what it holds; only this core knows it.
    final class Holding {
        private var contents: ShardFiring<Payload>
        /// The shard; whoever changes it makes `wake` stale.
        var firing: ShardFiring<Payload> {
            _read { yield self.contents }
            _modify {
                self.isWakeStale = true
                yield &self.contents
            }
        }
        /// When there is something to do here; good while `isWakeStale` is not set.
        ///
        /// Kept, because a ticker with hundreds of shards wakes for one of them many times a millisecond, and would
        /// otherwise ask all the others each time.
        var wake: WallInstant?
        var isWakeStale = true
        /// An `Open` is on its way.
        var isOpening = false
        /// Contents are asked for on the present link to the leader.
        var isRequested = false
        var reopenAt: WallInstant? { didSet { self.isWakeStale = true } }
        var wasActive = false
        /// Which of all batches its last one was.
        var lastBatch: UInt64 = 0
        /// The next one could not leave when its turn came.
        var foundNoRoom = false

        init(firing: consuming ShardFiring<Payload>) { self.contents = firing }

        func count(into survey: inout ForecastSurvey, now: WallInstant) -> Bool {
            self.contents.count(into: &survey, now: now)
        }
    }

    let configuration: Configuration
    private let laneCount: Int
    private var holdings: [ShardID: Holding] = [:]
    /// The same, by shard: the order in which everything is done, so that a run can be repeated.
    private(set) var inOrder: [Holding] = []
    /// Shards that are loaded and not owned: a move to this ticker is planned. Fire nothing.
    var prepared: [ShardID: (holding: Holding, until: WallInstant)] = [:]
    private var reachableLanes: Set<LaneID> = []
    private(set) var isFeedReachable = false
    /// Zones whose rules changed while there was no leader to load from.
    private var changedZones: Set<String> = []
    var now: WallInstant
    /// Memory is full: timers are loaded no further ahead than they must be.
    var isHoldingBack = false
    /// When the number of timers in memory was looked at.
    var judgedAt: WallInstant
    /// How many batches have left.
    var batchCount: UInt64 = 0
    /// A turn ended while more was due, or there is room again: the next one begins with the shards that have waited
    /// longest.
    var isBehind = false
    var pending: [Holding] = []
    var draft = FireDraft<Payload>()
    private var survey = ForecastSurvey()

    /// - Precondition: `laneCount > 0`.
    package init(configuration: Configuration, laneCount: Int, now: WallInstant) {
        precondition(laneCount > 0)
        self.configuration = configuration
        self.laneCount = laneCount
        self.now = now
        self.judgedAt = now
    }

    // MARK: - What the shell reports

    /// The shards held, in order, with epoch, how far timers are settled, and how much is in memory.
    package var holdingsInOrder:
        [(shard: ShardID, epoch: Epoch, settledThrough: WallInstant?, revision: Revision, resident: Int)]
    {
        self.inOrder.map { holding in
            let isOpen = holding.firing.phase == .active
            return (
                holding.firing.shard, holding.firing.epoch, isOpen ? holding.firing.settled.delay.instant : nil,
                isOpen ? holding.firing.settled.revision : .none, holding.firing.residentCount
            )
        }
    }

    package var residentCount: Int { self.inOrder.reduce(0) { $0 + $1.firing.residentCount } }
    package var overdueCount: Int { self.inOrder.reduce(0) { $0 + $1.firing.overdueCount } }
    package var oldestOverdue: WallInstant? { self.inOrder.compactMap { $0.firing.oldestOverdue }.min() }
    package var shardCount: Int { self.holdings.count }
    package var activeCount: Int { self.inOrder.count { $0.firing.phase == .active } }

    /// Looks at some more of what is held: `allowance` records, or a sixteenth of it that is due within an hour.
    ///
    /// - Returns: the forecast, when everything has been looked at since the last one.
    package mutating func forecast(allowance: Int) -> FireForecast? {
        self.survey.allowance = allowance
        while let holding = self.inOrder.first(where: { $0.firing.shard >= self.survey.shard }) {
            // A shard that came between begins with its first record.
            if holding.firing.shard != self.survey.shard { self.survey.number = 0 }
            self.survey.shard = holding.firing.shard
            guard holding.count(into: &self.survey, now: self.now) else { return nil }
            self.survey.number = 0
            // Shards are numbered up to 65534.
            self.survey.shard = ShardID(holding.firing.shard.rawValue + 1)
        }
        defer { self.survey = ForecastSurvey() }
        return self.survey.counted
    }

    package func phase(of shard: ShardID) -> ShardFiring<Payload>.Phase? { self.holdings[shard]?.firing.phase }

    /// See `ShardFiring.firedBeforeCancellation`.
    package func firedBeforeCancellation(_ uid: UID, shard: ShardID, revision: Revision) -> Bool? {
        self.holdings[shard]?.firing.firedBeforeCancellation(uid, revision: revision)
    }

    // MARK: - The leader

    /// The leader gives a shard.
    package mutating func assigned(_ shard: ShardID, epoch: Epoch) -> [TickerAction<Payload>] {
        if let held = self.holdings[shard], held.firing.epoch >= epoch { return [] }
        if let ahead = self.prepared.removeValue(forKey: shard)?.holding, ahead.firing.epoch < epoch,
            ahead.firing.hasContents
        {
            ahead.firing.taken(under: epoch)
            ahead.isRequested = false
            self.keep(ahead, of: shard)
            return [.note(.shardTakenLoaded(shard, epoch))] + self.advance(shard)
        }
        self.keep(Holding(firing: ShardFiring(shard: shard, epoch: epoch, now: self.now)), of: shard)
        return [.note(.shardTaken(shard, epoch))] + self.advance(shard)
    }

    /// The leader will give a shard, which another ticker owns under `epoch`: load what is not settled at `cursor`.
    package mutating func prepare(_ shard: ShardID, epoch: Epoch, cursor: Cursor) -> [TickerAction<Payload>] {
        guard self.holdings[shard] == nil, self.isFeedReachable else { return [] }
        if let ahead = self.prepared[shard], ahead.holding.firing.epoch >= epoch { return [] }
        let holding = Holding(firing: ShardFiring(shard: shard, epoch: epoch, now: self.now))
        let horizon = self.now.advanced(by: self.configuration.horizonMin)
        holding.firing.snapshotRequested(horizon: horizon)
        self.prepared[shard] = (holding, self.now.advanced(by: self.configuration.keepPrepared))
        return [.requestContents(shard, epoch, cursor: cursor, horizon: horizon, since: .none)]
    }

    /// The leader takes a shard back. Answered at once when it is not held under that epoch.
    package mutating func revoked(_ shard: ShardID, epoch: Epoch) -> [TickerAction<Payload>] {
        guard let held = self.holdings[shard] else { return [.release(shard, epoch)] }
        guard held.firing.epoch <= epoch else { return [] }
        self.holdings[shard]?.firing.drain()
        return self.releaseIfDrained(shard)
    }

    /// Wants to give everything back: the process stops.
    package mutating func drainAll() -> [TickerAction<Payload>] {
        self.shardsInOrder.flatMap { shard in
            self.holdings[shard]?.firing.drain()
            return self.releaseIfDrained(shard)
        }
    }

    /// The link to a leader is up.
    package mutating func feedReachable() -> [TickerAction<Payload>] {
        self.isFeedReachable = true
        self.forgetWakes()
        return self.reloadZones() + self.shardsInOrder.flatMap { self.advance($0) }
    }

    /// The link to the leader is gone. What is loaded goes on firing.
    package mutating func feedLost() {
        self.isFeedReachable = false
        self.forgetWakes()
        // Nobody follows their changes any more.
        self.prepared = [:]
        for shard in self.shardsInOrder {
            self.holdings[shard]?.isRequested = false
            self.holdings[shard]?.firing.horizonAbandoned()
        }
    }

    /// The rules of time zones changed: shards with schedules in them are loaded again, so that all their future
    /// occurrences are computed anew. Their cursors stay where the lanes have them, so nothing that was fired is
    /// fired again. Waits for a leader, who has the contents.
    package mutating func zonesChanged(_ zones: Set<String>) -> [TickerAction<Payload>] {
        self.changedZones.formUnion(zones)
        return self.reloadZones()
    }

    private mutating func reloadZones() -> [TickerAction<Payload>] {
        guard self.isFeedReachable, !self.changedZones.isEmpty else { return [] }
        let zones = self.changedZones
        self.changedZones = []
        return self.shardsInOrder.flatMap { shard -> [TickerAction<Payload>] in
            guard let holding = self.holdings[shard], holding.firing.phase != .draining,
                holding.firing.depends(on: zones)
            else { return [] }
            self.holdings[shard]?.firing.forget()
            self.holdings[shard]?.isOpening = false
            self.holdings[shard]?.isRequested = false
            self.holdings[shard]?.wasActive = false
            return self.advance(shard)
        }
    }

    /// A part of a snapshot.
    package mutating func page(
        _ shard: ShardID, epoch: Epoch, _ changes: [ShardChange<Payload>], revision: Revision, last: Bool
    ) -> [TickerAction<Payload>] {
        if let ahead = self.prepared[shard]?.holding, ahead.firing.epoch == epoch {
            ahead.firing.load(changes, revision: revision, last: last)
            return last ? [.prepared(shard, epoch)] : []
        }
        guard self.holdings[shard]?.firing.epoch == epoch else { return [] }
        self.holdings[shard]?.firing.load(changes, revision: revision, last: last)
        return self.noteActivity(shard)
    }

    /// Changes of a shard. A gap makes the shard ask again for what it misses.
    package mutating func delta(
        _ shard: ShardID, _ changes: [ShardChange<Payload>], from: Revision, through: Revision
    ) -> [TickerAction<Payload>] {
        if let ahead = self.prepared[shard]?.holding, ahead.firing.hasContents {
            // With a gap it is of no use; whoever owns it loads it.
            if !ahead.firing.apply(changes, from: from, through: through) { self.prepared[shard] = nil }
            return []
        }
        guard self.holdings[shard]?.firing.hasContents == true else { return [] }
        if self.holdings[shard]?.firing.apply(changes, from: from, through: through) == false {
            self.holdings[shard]?.isRequested = false
            return self.advance(shard)
        }
        return self.noteActivity(shard)
    }

    package mutating func horizonPage(
        _ shard: ShardID, epoch: Epoch, _ timers: [TimerEntry<Payload>], through: WallInstant, last: Bool
    ) -> [TickerAction<Payload>] {
        guard let holding = self.holdings[shard], holding.firing.epoch == epoch,
            holding.firing.requestedHorizon == through
        else { return [] }
        holding.firing.extendHorizon(timers, through: through, last: last)
        guard !last, let end = timers.last else { return [] }
        let notes = self.judgeMemory()
        if self.isHoldingBack, end.due > self.now.advanced(by: self.configuration.horizonMin) {
            holding.firing.stopLoading(before: end.due)
            return notes
        }
        return notes + [
            .requestHorizon(shard, epoch, after: Watermark(instant: end.due, tie: end.uid), through: through)
        ]
    }

    // MARK: - The lanes

    /// A dispatcher that owns the lane can be reached (again).
    package mutating func laneReachable(_ lane: LaneID) -> [TickerAction<Payload>] {
        self.reachableLanes.insert(lane)
        return self.shards(of: lane).flatMap { shard in
            self.holdings[shard]?.reopenAt = nil
            return self.advance(shard)
        }
    }

    /// The dispatcher is gone, or does not own the lane any more.
    package mutating func laneLost(_ lane: LaneID) -> [TickerAction<Payload>] {
        self.reachableLanes.remove(lane)
        return self.shards(of: lane).flatMap { shard in
            self.holdings[shard]?.isOpening = false
            self.holdings[shard]?.firing.closed()
            return self.releaseIfDrained(shard)
        }
    }

    /// A way to a dispatcher that was full has room again. Who waits for another one asks it once more.
    package mutating func roomAgain() {
        self.isBehind = true
        for holding in self.inOrder where holding.firing.awaitsRoom { holding.firing.awaitsRoom = false }
    }

    package mutating func opened(
        _ shard: ShardID, epoch: Epoch, cursor: Cursor, credit: Credit
    ) -> [TickerAction<Payload>] {
        guard self.holdings[shard]?.firing.epoch == epoch else { return [] }
        let hadContents = self.holdings[shard]?.firing.hasContents == true
        self.holdings[shard]?.isOpening = false
        self.holdings[shard]?.firing.opened(cursor: cursor, credit: credit)
        if hadContents, self.holdings[shard]?.firing.hasContents == false { self.holdings[shard]?.isRequested = false }
        return self.advance(shard) + self.noteActivity(shard)
    }

    package mutating func acknowledged(_ shard: ShardID, epoch: Epoch, cursor: Cursor) -> [TickerAction<Payload>] {
        guard self.holdings[shard]?.firing.epoch == epoch else { return [] }
        self.holdings[shard]?.firing.acknowledged(cursor)
        return self.releaseIfDrained(shard)
    }

    package mutating func refused(_ shard: ShardID, epoch: Epoch, _ refusal: LaneRefusal) -> [TickerAction<Payload>] {
        guard let holding = self.holdings[shard], holding.firing.epoch == epoch else { return [] }
        switch refusal {
        case .staleEpoch(let seen):
            self.keep(nil, of: shard)
            return [.note(.shardLost(shard, epoch, seen: seen)), .releaseStale(shard, epoch, seen: seen)]
        case .retry(let detail):
            self.holdings[shard]?.isOpening = false
            self.holdings[shard]?.firing.closed()
            self.holdings[shard]?.reopenAt = self.now.advanced(by: self.configuration.reopenAfter)
            return [.note(.laneRefused(shard, epoch, detail: detail))] + self.releaseIfDrained(shard)
        }
    }

    // MARK: - Steps

    private var shardsInOrder: [ShardID] { self.inOrder.map { $0.firing.shard } }

    /// Takes a shard, or with `nil` lets go of it.
    private mutating func keep(_ holding: Holding?, of shard: ShardID) {
        self.holdings[shard] = holding
        self.inOrder = self.holdings.values.sorted { $0.firing.shard < $1.firing.shard }
    }

    private func shards(of lane: LaneID) -> [ShardID] { self.shardsInOrder.filter { self.lane(of: $0) == lane } }

    func lane(of shard: ShardID) -> LaneID { shard.lane(of: self.laneCount) }

    /// Asks for whatever the shard misses next and can be asked for now.
    mutating func advance(_ shard: ShardID) -> [TickerAction<Payload>] {
        guard let holding = self.holdings[shard] else { return [] }
        var actions: [TickerAction<Payload>] = []
        self.beginAnewIfEmpty(holding)
        let lane = self.lane(of: shard)
        let epoch = holding.firing.epoch
        let phase = holding.firing.phase
        let hasContents = holding.firing.hasContents
        if phase == .opening, !holding.isOpening, holding.reopenAt == nil, self.reachableLanes.contains(lane) {
            holding.isOpening = true
            actions.append(.open(lane, shard, epoch))
        }
        // Contents are asked for once the cursor is known: it bounds what has to be loaded.
        if self.isFeedReachable, !holding.isRequested, phase != .opening || hasContents, phase != .draining {
            holding.isRequested = true
            // What is due soon comes first, and the shard fires; the rest of the horizon follows by pages.
            let horizon = self.now.advanced(by: self.configuration.horizonMin)
            let cursor = holding.firing.issued
            let since = hasContents ? holding.firing.applied : .none
            if !hasContents { holding.firing.snapshotRequested(horizon: horizon) }
            actions.append(.requestContents(shard, epoch, cursor: cursor, horizon: horizon, since: since))
        }
        return actions
    }

    /// What was loaded at no revision at all is nothing, and "all changes since nothing" is a snapshot, which only a shard
    /// that has not been loaded takes.
    private func beginAnewIfEmpty(_ holding: Holding) {
        guard self.isFeedReachable, !holding.isRequested, holding.firing.hasContents,
            holding.firing.applied == .none, holding.firing.phase != .draining
        else { return }
        holding.firing.forget()
        holding.isOpening = false
        holding.wasActive = false
    }

    private mutating func noteActivity(_ shard: ShardID) -> [TickerAction<Payload>] {
        guard let holding = self.holdings[shard], holding.firing.phase == .active, !holding.wasActive else { return [] }
        self.holdings[shard]?.wasActive = true
        return [.note(.shardActive(shard, holding.firing.epoch))]
    }

    private mutating func releaseIfDrained(_ shard: ShardID) -> [TickerAction<Payload>] {
        guard let holding = self.holdings[shard], holding.firing.isDrained else { return [] }
        self.keep(nil, of: shard)
        return [.release(shard, holding.firing.epoch), .note(.shardReleased(shard, holding.firing.epoch))]
    }
}
