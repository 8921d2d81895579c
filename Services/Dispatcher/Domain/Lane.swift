package import EscapementModel

/// One lane: decides which work counts.
///
/// **Problem.** Tickers may believe that they own a shard long after somebody else does, connections
/// break and old frames arrive late. **Idea.** Leases decide who should work; this compare-and-set decides
/// whose work counts. A batch names the cursor it starts from and is taken only if the shard stands exactly
/// there, and only from the session that opened the shard under the current epoch.
///
/// **Normal path.** `open` queues a fence; the next round makes it durable in the journal, with whatever was
/// taken before; then the ticker learns the cursor. `offer` takes a batch; a round takes all that was
/// offered; when its fires and its journal record are durable, `commitRound` answers the tickers.
///
/// **Failure paths.** An `open` drops batches of its shard that are offered and not yet in a round: they were
/// promised nothing, and the cursor in the answer says so. A round that fails is repeated by the shell until
/// it succeeds or the lane is lost; what it holds is never taken back in between.
///
/// **Invariants.** Per shard, epoch and cursor never decrease; consecutive rounds satisfy `from == to` of the
/// one before; no batch of a lower epoch is taken once a higher one has opened; rounds become durable in the order in
/// which they began.
package struct Lane<Payload: Sendable>: Sendable {
    /// Work that a ticker offers.
    package struct Offer: Sendable {
        package var session: SessionID
        package var shard: ShardID
        package var epoch: Epoch
        package var from: Cursor
        package var to: Cursor
        /// Encoded size, for credit.
        package var byteCount: Int
        package var occurrenceCount: Int
        /// When the earliest of its fires was due; of a batch that sends none, any later instant.
        package var oldestDue: WallInstant
        package var payload: Payload

        package init(
            session: SessionID, shard: ShardID, epoch: Epoch, from: Cursor, to: Cursor, byteCount: Int,
            occurrenceCount: Int, oldestDue: WallInstant, payload: Payload
        ) {
            self.session = session
            self.shard = shard
            self.epoch = epoch
            self.from = from
            self.to = to
            self.byteCount = byteCount
            self.occurrenceCount = occurrenceCount
            self.oldestDue = oldestDue
            self.payload = payload
        }
    }

    /// What one publish settles.
    package struct Round: Sendable {
        /// Grows by one with each journal entry of the lane.
        package var sequence: UInt64
        /// In the order in which they were offered.
        package var offers: [Offer]
        /// All shards of the lane as they stand when the round is durable, sorted.
        package var shards: [ShardState]
        /// Whether there is anything that the journal does not know yet.
        package var needsJournal: Bool
        /// Opens that are answered when the round is durable.
        fileprivate var opens: [ShardID: SessionID] = [:]
    }

    private struct Queued {
        var offer: Offer
        /// It catches up.
        var isLate: Bool
    }

    private struct Shard {
        var durable: ShardState
        /// The epoch that holds from now on; durable with the next round.
        var epoch: Epoch
        /// Who opened it, once the answer is out.
        var session: SessionID?
        /// Where the next batch must start.
        var next: Cursor
        var inFlightCount = 0
        var inFlightBytes = 0
        /// An open that waits for its round.
        var pendingOpen: SessionID?
        /// The last open that is in a round.
        var openInRound: SessionID?
        /// Rounds under way that have an open of the shard.
        var openRounds = 0

        init(_ state: ShardState) {
            self.durable = state
            self.epoch = state.epoch
            self.next = state.cursor
        }
    }

    package let id: LaneID
    /// Under which this process owns the lane.
    package let epoch: Epoch
    private let limits: LaneLimits
    private var isRecovered = false
    private var isClosed = false
    private var sequence: UInt64 = 0
    private var shards: [ShardID: Shard] = [:]
    private var queue: [Queued] = []
    /// Fires that may catch up now; negative after a batch that was larger than what was left.
    private var lateBudget: Double
    private var lastBudget: MonotonicInstant?
    /// Fires a second of late, and those taken since that was worked out.
    private var rate = 0.0
    private var takenCount = 0
    /// Rounds under way, in order.
    private var rounds: [Round] = []
    /// A restatement is due: after a takeover, and when nothing was written for long.
    private var wantsRestatement = false
    /// Opens that arrived before the journal was read; one for each shard, the highest epoch.
    private var early: [ShardID: (epoch: Epoch, session: SessionID)] = [:]

    package init(id: LaneID, epoch: Epoch, limits: LaneLimits = LaneLimits()) {
        self.id = id
        self.epoch = epoch
        self.limits = limits
        self.lateBudget = Double(limits.lateFiresPerSecondMin)
    }

    /// Batches that are offered and not in a round.
    package var queuedCount: Int { self.queue.count }
    /// Whether a round is being published.
    package var isPublishing: Bool { !self.rounds.isEmpty }
    /// Whether the journal was read.
    package var canWork: Bool { self.isRecovered && !self.isClosed }
    /// The lane epoch and sequence of the last journal entry that is durable; `nil` until the journal was read.
    private var durable: (epoch: Epoch, sequence: UInt64)?
    /// Where the lane stands, but for its parked fires; `nil` until the journal was read. O(shards).
    package var mark: LaneMark? {
        self.durable.map { LaneMark(laneEpoch: $0.epoch, sequence: $0.sequence, shards: self.states) }
    }
    /// What is durable, sorted by shard.
    package var states: [ShardState] { self.shards.values.map(\.durable).sorted { $0.shard < $1.shard } }

    /// The journal was read: the lane stands where it says.
    package mutating func recovered(_ mark: LaneMark) -> [LaneReply] {
        precondition(!self.isRecovered, "lane \(self.id) recovered twice")
        self.isRecovered = true
        self.sequence = mark.sequence
        self.durable = (mark.laneEpoch, mark.sequence)
        for state in mark.shards { self.shards[state.shard] = Shard(state) }
        // The own epoch and the state behind one record: the next takeover reads one step.
        self.wantsRestatement = true
        let early = self.early.sorted { $0.key < $1.key }
        self.early = [:]
        return early.compactMap { shard, open in self.open(shard, epoch: open.epoch, session: open.session) }
    }

    /// A ticker that the leader named wants to publish for `shard`.
    ///
    /// - Returns: a refusal; otherwise the answer comes with the round that makes the fence durable.
    package mutating func open(_ id: ShardID, epoch: Epoch, session: SessionID) -> LaneReply? {
        if self.isClosed { return .refused(session, id, epoch, .notLaneOwner, seen: .none) }
        guard self.isRecovered else {
            if let other = self.early[id], other.epoch > epoch {
                return .refused(session, id, epoch, .staleEpoch, seen: other.epoch)
            }
            self.early[id] = (epoch, session)
            return nil
        }
        var shard = self.shards[id] ?? Shard(ShardState(shard: id))
        guard epoch >= shard.epoch || Defence.shardEpoch.isRemoved else {
            return .refused(session, id, epoch, .staleEpoch, seen: shard.epoch)
        }
        shard.epoch = epoch
        shard.session = nil
        shard.pendingOpen = session
        self.drop(&shard, id)
        self.shards[id] = shard
        return nil
    }

    /// A batch arrived.
    ///
    /// - Parameter now: wall time of this process, against fires ahead of time.
    /// - Returns: why it is refused; `nil` when it will be published.
    package mutating func offer(_ offer: Offer, now: WallInstant) -> LaneReply? {
        func refuse(_ code: LaneRefusal, seen: Epoch = .none) -> LaneReply {
            .refused(offer.session, offer.shard, offer.epoch, code, seen: seen)
        }
        if self.isClosed { return refuse(.notLaneOwner) }
        guard self.isRecovered, var shard = self.shards[offer.shard] else { return refuse(.cursorMismatch) }
        if offer.epoch < shard.epoch, !Defence.shardEpoch.isRemoved { return refuse(.staleEpoch, seen: shard.epoch) }
        // Not opened, opened by another connection, or by another epoch: it has to open (again).
        let isInPlace =
            offer.epoch == shard.epoch && shard.session == offer.session && offer.from == shard.next
        guard isInPlace || Defence.cursorComparison.isRemoved, offer.to.isAtLeast(offer.from) else {
            return refuse(.cursorMismatch, seen: shard.epoch)
        }
        let latest = now.advanced(by: self.limits.aheadOfClockMax)
        guard offer.to.cron.instant <= latest, offer.to.delay.instant <= latest else { return refuse(.aheadOfClock) }
        // A ticker sends a batch, of whatever size, while fewer bytes than it may have are on their way, as it counts them.
        guard shard.inFlightCount < self.limits.batchesMax, shard.inFlightBytes < 2 * self.limits.bytesMax else {
            return refuse(.overCredit)
        }
        shard.inFlightCount += 1
        shard.inFlightBytes += offer.byteCount
        shard.next = offer.to
        self.shards[offer.shard] = shard
        self.queue.append(
            Queued(offer: offer, isLate: offer.oldestDue.advanced(by: self.limits.lateAfter) < now))
        return nil
    }

    /// Nothing was written for long: write the state once more, so that retention never takes the last one.
    package mutating func restate() { self.wantsRestatement = true }

    /// Takes what waits into a round; `nil` when nothing does, when all that does has to keep its pace, or when enough
    /// are being published.
    ///
    /// - Parameters:
    ///   - now: for the pace of what catches up; without it there is none.
    ///   - inFlightMax: rounds under way at a time; together they hold no more than one alone would, because what is out
    ///     without its journal entry when this process ends comes again.
    package mutating func beginRound(now: MonotonicInstant? = nil, inFlightMax: Int = 1) -> Round? {
        guard self.isRecovered, !self.isClosed, self.rounds.count < inFlightMax else { return nil }
        let opened = self.shards.filter { $0.value.pendingOpen != nil }.map(\.key)
        guard !self.queue.isEmpty || !opened.isEmpty || self.wantsRestatement else { return nil }
        let offers = self.takeOffers(now: now, occurrencesMax: self.limits.roundOccurrencesMax / max(1, inFlightMax))
        if offers.isEmpty, opened.isEmpty, !self.wantsRestatement { return nil }
        var needsJournal = !offers.isEmpty || self.wantsRestatement
        // What the rounds before it will have made durable.
        var states: [ShardID: ShardState] = [:]
        for state in self.rounds.last?.shards ?? [] { states[state.shard] = state }
        for (id, shard) in self.shards where states[id] == nil { states[id] = shard.durable }
        var opens: [ShardID: SessionID] = [:]
        for id in opened {
            guard var shard = self.shards[id], let session = shard.pendingOpen else { continue }
            opens[id] = session
            shard.openInRound = session
            shard.openRounds += 1
            shard.pendingOpen = nil
            self.shards[id] = shard
            if states[id]?.epoch != shard.epoch {
                states[id]?.epoch = shard.epoch
                needsJournal = true
            }
        }
        for offer in offers { states[offer.shard]?.cursor = offer.to }
        if needsJournal { self.sequence += 1 }
        self.wantsRestatement = false
        let round = Round(
            sequence: self.sequence, offers: offers, shards: states.values.sorted { $0.shard < $1.shard },
            needsJournal: needsJournal, opens: opens)
        self.rounds.append(round)
        return round
    }

    /// The first of the rounds under way is durable: answers to the tickers, in order.
    package mutating func commitRound() -> [LaneReply] {
        guard !self.rounds.isEmpty else { preconditionFailure("lane \(self.id) has no round to commit") }
        let round = self.rounds.removeFirst()
        if round.needsJournal { self.durable = (self.epoch, round.sequence) }
        for state in round.shards { self.shards[state.shard]?.durable = state }
        var replies: [LaneReply] = []
        for offer in round.offers {
            replies.append(.acknowledged(offer.session, offer.shard, offer.epoch, offer.to))
            self.shards[offer.shard]?.inFlightCount -= 1
            self.shards[offer.shard]?.inFlightBytes -= offer.byteCount
        }
        for state in round.shards {
            guard let session = round.opens[state.shard], var shard = self.shards[state.shard] else { continue }
            shard.openRounds -= 1
            // A later open of the same shard answers when it is durable itself.
            if shard.openRounds == 0 {
                shard.openInRound = nil
                if shard.pendingOpen == nil {
                    shard.session = session
                    shard.next = state.cursor
                    replies.append(.opened(session, state.shard, shard.epoch, state.cursor))
                }
            }
            self.shards[state.shard] = shard
        }
        return replies
    }

    /// The connection is gone. What it offered is still published: it was accepted, and it is right.
    package mutating func disconnected(_ session: SessionID) {
        for (id, shard) in self.shards {
            if shard.session == session { self.shards[id]?.session = nil }
            if shard.pendingOpen == session { self.shards[id]?.pendingOpen = nil }
        }
        self.early = self.early.filter { $0.value.session != session }
    }

    /// Takes no more work and forgets what is not in a round: the lane is released or lost. The round, if
    /// any, may still be committed.
    package mutating func close() -> [LaneReply] {
        if self.isClosed { return [] }
        self.isClosed = true
        var replies: [LaneReply] = self.early.sorted { $0.key < $1.key }
            .map { .refused($0.value.session, $0.key, $0.value.epoch, .notLaneOwner, seen: .none) }
        for (id, shard) in self.shards.sorted(by: { $0.key < $1.key }) {
            guard let session = shard.pendingOpen ?? shard.openInRound ?? shard.session else { continue }
            replies.append(.refused(session, id, shard.epoch, .notLaneOwner, seen: .none))
        }
        self.early = [:]
        self.queue = []
        return replies
    }

    /// Offers for one round: what is due now first, then what catches up, at its pace and in at most half of the
    /// round if there is both. Within a shard never out of order, and of all shards the first before the second of any:
    /// one with a herd holds up no other for longer than a round. At least one, unless the pace forbids it.
    private mutating func takeOffers(now: MonotonicInstant?, occurrencesMax roundMax: Int) -> [Offer] {
        self.refillLateBudget(now)
        let turns = self.turns
        var chosen: [Int] = []
        var occurrences = 0
        var bytes = 0
        func fits(_ offer: Offer, within occurrencesMax: Int) -> Bool {
            chosen.isEmpty
                || occurrences + offer.occurrenceCount <= occurrencesMax
                    && bytes + offer.byteCount <= self.limits.roundBytesMax
        }
        func take(_ index: Int) {
            chosen.append(index)
            occurrences += self.queue[index].offer.occurrenceCount
            bytes += self.queue[index].offer.byteCount
        }
        // Shards with an offer that is left: what comes behind it has to stay too.
        var blocked: Set<ShardID> = []
        for index in turns where !blocked.contains(self.queue[index].offer.shard) {
            let queued = self.queue[index]
            if !queued.isLate, fits(queued.offer, within: roundMax) {
                take(index)
            } else {
                blocked.insert(queued.offer.shard)
            }
        }
        let occurrencesMax =
            chosen.isEmpty
            ? roundMax
            : min(roundMax, max(2 * occurrences, roundMax / 2))
        blocked = []
        let current = Set(chosen)
        for index in turns where !current.contains(index) {
            let queued = self.queue[index]
            let isPaced = queued.isLate && self.lateBudget <= 0
            if isPaced || blocked.contains(queued.offer.shard) || !fits(queued.offer, within: occurrencesMax) {
                blocked.insert(queued.offer.shard)
                continue
            }
            take(index)
            if queued.isLate { self.lateBudget -= Double(queued.offer.occurrenceCount) }
        }
        chosen.sort()
        let taken = chosen.map { self.queue[$0].offer }
        self.takenCount += taken.reduce(0) { $0 + $1.occurrenceCount }
        for index in chosen.reversed() { self.queue.remove(at: index) }
        return taken
    }

    /// Places in the queue: the first offer of each shard, as they arrived, then the second of each, and so on.
    private var turns: [Int] {
        var counts: [ShardID: Int] = [:]
        var turns: [(turn: Int, index: Int)] = []
        turns.reserveCapacity(self.queue.count)
        for (index, queued) in self.queue.enumerated() {
            let turn = counts[queued.offer.shard, default: 0]
            counts[queued.offer.shard] = turn + 1
            turns.append((turn, index))
        }
        return turns.sorted { ($0.turn, $0.index) < ($1.turn, $1.index) }.map(\.index)
    }

    private mutating func refillLateBudget(_ now: MonotonicInstant?) {
        let least = Double(self.limits.lateFiresPerSecondMin)
        guard let now else {
            self.lateBudget = least
            return
        }
        let since = self.lastBudget.map { now.duration(since: $0) } ?? .zero
        if since > .zero {
            let seconds = since / .seconds(1)
            self.rate += (Double(self.takenCount) / seconds - self.rate) * min(1, since / self.limits.rateOver)
            self.takenCount = 0
            let pace = max(least, 2 * self.rate)
            self.lateBudget = min(pace, self.lateBudget + seconds * pace)
        }
        self.lastBudget = now
    }

    /// Forgets the offers of a shard that are not in a round.
    private mutating func drop(_ shard: inout Shard, _ id: ShardID) {
        for queued in self.queue where queued.offer.shard == id {
            shard.inFlightCount -= 1
            shard.inFlightBytes -= queued.offer.byteCount
        }
        self.queue.removeAll { $0.offer.shard == id }
    }

    /// Checks what must always hold; for tests and debug builds. O(shards + offers).
    package func checkInvariants() {
        for (id, shard) in self.shards {
            precondition(shard.epoch >= shard.durable.epoch, "shard \(id): epoch went back")
            let inRound = self.rounds.flatMap(\.offers).filter { $0.shard == id }
            let queued = self.queue.map(\.offer).filter { $0.shard == id }
            precondition(shard.inFlightCount == inRound.count + queued.count, "shard \(id): credit is wrong")
            if let session = shard.session {
                precondition(shard.pendingOpen == nil && shard.openInRound == nil, "shard \(id): open twice")
                var at = shard.durable.cursor
                for offer in (inRound + queued) where offer.session == session && offer.epoch == shard.epoch {
                    if offer.from == at { at = offer.to }
                }
                precondition(at == shard.next, "shard \(id): the chain of batches is broken")
            }
        }
    }
}
