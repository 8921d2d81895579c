package import EscapementModel
import DequeModule
import HeapModule
import Scheduling

/// One shard on its owner: what it holds, how far it is settled, what is in flight.
///
/// Normal path: `opening` (the lane is asked for the cursor) → `loading` (a snapshot, read after the
/// cursor was known) → `active` (the wheel runs; batches lead the cursor on; acknowledgements follow).
/// When the lane refuses or is lost, the shard opens again and rebuilds its wheel from the cursor that
/// the lane answers; what was in flight and did not count is thereby planned again.
///
/// What is settled is decided by the cursor (W, R) alone (docs/firing.md):
/// - a version known at R has its occurrences up to W settled;
/// - a true create, or a timer, that came after R is admitted late: from its beginning, W or not;
/// - a version that replaces an older one starts after W.
///
/// **Invariants**
/// - `issued` only grows while a lane stays open; a batch starts where the last one ended.
/// - The revision of a cursor never covers a late admission that is not in a batch yet.
/// - Nothing is planned before its due instant, and nothing while the loaded revision is below the
///   cursor's.
package struct ShardFiring<Payload: Sendable & Hashable>: ~Copyable, Sendable {
    package enum Phase: Hashable, Sendable {
        /// The lane has not answered `Open` yet. Next: `loading`.
        case opening
        /// The cursor is known, the contents are not complete. Next: `active`.
        case loading
        /// Fires.
        case active
        /// No new batches; waits for what is in flight. Ends with `isDrained`.
        case draining
    }

    private static var cancellationsRemembered: Int { 4096 }

    package let shard: ShardID
    package private(set) var epoch: Epoch
    package internal(set) var phase: Phase = .opening
    /// Where the last batch, or the lane's answer to `Open`, ended.
    package internal(set) var issued: Cursor = .start
    /// What the lane has acknowledged.
    package private(set) var settled: Cursor = .start
    /// Changes up to here are in memory.
    package internal(set) var applied: Revision = .none
    /// Timers due up to here are in memory.
    package internal(set) var horizon: WallInstant = .distantPast
    /// A horizon asked for: deltas in it are kept from the moment of asking.
    package internal(set) var requestedHorizon: WallInstant?

    var wheel: TimerWheel
    var schedules = Slab<HeldSchedule>()
    var timers = Slab<HeldTimer>()
    var plans = SharedValues<SharedPlan>()
    var payloads = SharedValues<SizedPayload>()
    /// Of all distinct payloads.
    package internal(set) var payloadBytes = 0
    var rarities: [UInt32: HeldSchedule.Rarities] = [:]
    // What is due. Apart, because each has a watermark of its own: a herd of one does not stand before the other.
    var readySchedules = Heap<ReadyRecord>()
    var readyTimers = Heap<ReadyRecord>()
    var late: Deque<LateRecord> = []
    var inFlight: Deque<InFlightBatch> = []
    /// Numbers of the timers in flight, batch after batch.
    var inFlightTimers: Deque<UInt32> = []
    var inFlightBytes = 0
    private var credit = Credit(batches: 0, bytes: 0)
    private var expired: [TimerWheel.Expired] = []
    private var cancellations: [UID: Bool] = [:]
    private var cancellationOrder: Deque<UID> = []
    /// Cancelled since the horizon was asked for that is not here yet.
    var cancelledMeanwhile: Set<UID> = []
    /// Whether a snapshot is complete in memory.
    var isLoaded = false
    /// Timers that are due but lie beyond the loaded horizon, which the watermark may not pass.
    var held: [ReadyRecord] = []
    /// The way to the lane is full: nothing leaves, until it is set back.
    package var awaitsRoom = false
    /// Versions without a further occurrence; dropped when nothing in flight could need them again.
    var finished: [UInt32] = []

    /// A payload and the bytes it counts for.
    struct SizedPayload: Hashable, Sendable {
        var payload: Payload
        var bytes: Int
    }

    package init(shard: ShardID, epoch: Epoch, now: WallInstant) {
        self.shard = shard
        self.epoch = epoch
        self.wheel = Self.makeWheel(shard, now: now)
    }

    /// The shards of a ticker share a thread. Their phases are spread over the slots of every level that loaded timers
    /// wait on, by the golden ratio.
    static func makeWheel(_ shard: ShardID, now: WallInstant) -> TimerWheel {
        TimerWheel(now: now, phase: Int64((UInt32(shard.rawValue) &* 0x9e37_79b1) >> 8))
    }

    /// Versions of schedules and timers in memory.
    package var residentCount: Int { self.schedules.count + self.timers.count }
    package var timerCount: Int { self.timers.count }
    package var isDrained: Bool { self.phase == .draining && self.inFlight.isEmpty }
    package var inFlightCount: Int { self.inFlight.count }
    package var overdueCount: Int { self.readySchedules.count + self.readyTimers.count + self.late.count }
    package var oldestOverdue: WallInstant? {
        [self.late.first?.occurrence.due, self.readySchedules.min?.key.instant, self.readyTimers.min?.key.instant]
            .compactMap { $0 }.min()
    }

    /// What was loaded for a shard that another ticker owned is this one's now.
    package mutating func taken(under epoch: Epoch) {
        precondition(self.phase == .opening && epoch > self.epoch, "taken under \(epoch) in \(self.phase)")
        self.epoch = epoch
    }

    // MARK: - The lane

    /// The lane answered `Open`. Afterwards `hasContents` tells whether what was loaded before is of use.
    package mutating func opened(cursor: Cursor, credit: Credit) {
        guard self.phase == .opening else { return }
        // Timers due before the cursor may have to be admitted late. Who has not loaded so far does not know them all.
        if self.isLoaded, cursor.delay.instant > self.horizon { self.clearContents() }
        self.credit = credit
        self.issued = cursor
        self.settled = cursor
        self.phase = .loading
        self.awaitsRoom = false
        self.forgetInFlight()
        self.becomeActiveIfLoaded()
    }

    /// The lane refused, or its link is gone: what is in flight may or may not count. The cursor of the
    /// next `opened` tells.
    package mutating func closed() {
        guard self.phase != .draining else {
            // A drain that loses its lane is over: the next owner reads the cursor.
            self.forgetInFlight()
            return
        }
        self.phase = .opening
    }

    /// Everything up to `cursor` is durable.
    package mutating func acknowledged(_ cursor: Cursor) {
        guard self.inFlight.contains(where: { $0.to == cursor }) else { return }
        while let batch = self.inFlight.popFirst() {
            self.inFlightBytes -= batch.bytes
            for _ in 0..<batch.timers {
                if let number = self.inFlightTimers.popFirst() { self.forgetTimer(number) }
            }
            self.settled = batch.to
            if batch.to == cursor { break }
        }
        self.dropFinished()
    }

    private mutating func forgetInFlight() {
        self.inFlight.removeAll()
        self.inFlightTimers.removeAll()
        self.inFlightBytes = 0
    }

    /// Plan nothing more; `isDrained` tells when everything in flight is acknowledged. When the lane is closed nothing
    /// will be: the next owner reads the cursor.
    package mutating func drain() {
        if self.phase == .opening { self.forgetInFlight() }
        self.phase = .draining
    }

    // MARK: - Contents

    /// The snapshot is asked for: timers up to `horizon` will come.
    package mutating func snapshotRequested(horizon: WallInstant) {
        self.clearContents()
        self.requestedHorizon = horizon
    }

    /// Whether a schedule held here depends on one of these time zones. O(distinct plans).
    package func depends(on zones: Set<String>) -> Bool {
        self.plans.numbers.contains { self.plans[$0]?.plan.depends(on: zones) == true }
    }

    /// Forgets what was loaded and what is in flight: the lane has to be opened and the snapshot asked for again.
    package mutating func forget() {
        guard self.phase != .draining else { return }
        self.closed()
        self.clearContents()
    }

    /// Whether the snapshot is complete, so that only changes are needed after a lost link.
    package var hasContents: Bool { self.isLoaded }

    /// A part of the snapshot; with `last`, it is complete at `revision`.
    package mutating func load(_ changes: [ShardChange<Payload>], revision: Revision, last: Bool) {
        guard !self.isLoaded, self.requestedHorizon != nil else { return }
        for change in changes { self.store(change) }
        if last {
            self.isLoaded = true
            self.applied = revision
            self.horizon = self.requestedHorizon ?? self.horizon
            self.requestedHorizon = nil
            self.becomeActiveIfLoaded()
        }
    }

    /// All changes after `from` up to `through`. `false` when it does not follow what is in memory: then
    /// ask again with `since: applied`.
    package mutating func apply(_ changes: [ShardChange<Payload>], from: Revision, through: Revision) -> Bool {
        guard self.isLoaded, from <= self.applied else { return false }
        guard through > self.applied else { return true }
        for change in changes {
            guard let token = self.store(change) else { continue }
            if self.phase == .active { self.admit(token) }
        }
        self.applied = through
        self.becomeActiveIfLoaded()
        return true
    }

    /// Timers of the requested horizon; with `last`, it is loaded.
    ///
    /// The page may have been read after a change that the deltas have not brought yet. Such a timer is left out: fired
    /// now, under a revision that does not cover it, it would be admitted late by the next owner, and fired again. The
    /// delta brings it, and finds it within the horizon. Or it may have been read before a cancellation that the deltas
    /// have brought already, and that found nothing to cancel.
    package mutating func extendHorizon(_ timers: [TimerEntry<Payload>], through: WallInstant, last: Bool) {
        guard self.requestedHorizon == through else { return }
        for timer in timers
        where timer.revision <= self.applied && !self.cancelledMeanwhile.contains(timer.uid) {
            guard let token = self.store(.timer(timer)), self.phase == .active else { continue }
            self.admit(token)
        }
        if last {
            self.reachHorizon(through)
        }
    }

    /// Reads no further than to the end of the pages that came: timers due before `end` are in memory.
    package mutating func stopLoading(before end: WallInstant) {
        guard self.requestedHorizon != nil else { return }
        self.reachHorizon(max(self.horizon, end.advanced(by: .milliseconds(-1))))
    }

    private mutating func reachHorizon(_ horizon: WallInstant) {
        self.horizon = horizon
        self.requestedHorizon = nil
        for item in self.held { self.readyTimers.insert(item) }
        self.held.removeAll()
    }

    /// Forgets timers due after `horizon`; they are loaded again when it is their time. O(timers).
    package mutating func unload(after horizon: WallInstant) {
        guard self.phase == .active, horizon < self.horizon else { return }
        self.requestedHorizon = nil
        self.horizon = horizon
        for number in self.timers.numbers {
            guard let timer = self.timers[number], timer.due > horizon, !timer.isInFlight,
                let id = timer.place.waitingID
            else { continue }
            self.wheel.remove(waiting: id)
            self.forgetTimer(number)
        }
    }

    /// The next horizon is asked for.
    package mutating func horizonRequested(through: WallInstant) {
        if self.requestedHorizon == nil { self.cancelledMeanwhile = [] }
        self.requestedHorizon = through
    }

    /// The link on which a horizon was asked for is gone.
    package mutating func horizonAbandoned() {
        if self.isLoaded { self.requestedHorizon = nil }
    }

    /// Whether a timer that was cancelled at `revision` had been handed on before; `nil` when that cannot
    /// be said (yet).
    package func firedBeforeCancellation(_ uid: UID, revision: Revision) -> Bool? {
        guard self.phase == .active, self.applied >= revision else { return nil }
        return self.cancellations[uid]
    }

    // MARK: - Time

    /// When `plan` has something to do: the next due instant, or at once.
    package var nextWake: WallInstant? {
        guard self.phase == .active else { return nil }
        return self.isReady ? self.wheel.now : self.wheel.nextDue
    }

    /// Moves time to `now` and plans at most one batch of what is due. Call again while it returns one.
    package mutating func plan(now: WallInstant) -> PlannedBatch<Payload>? {
        var draft = FireDraft<Payload>()
        return self.plan(now: now, in: &draft)
    }

    /// Moves time to `now`: how much is due that may leave.
    package mutating func due(now: WallInstant) -> Int {
        guard self.phase == .active else { return 0 }
        self.advance(to: now)
        return self.isReady ? self.overdueCount : 0
    }

    /// As `plan(now:)`, with the caller's memory.
    package mutating func plan(now: WallInstant, in draft: inout FireDraft<Payload>) -> PlannedBatch<Payload>? {
        guard self.phase == .active else { return nil }
        self.advance(to: now)
        guard self.isReady else { return nil }
        draft.begin(now: self.wheel.now, credit: self.credit.bytes)
        return self.formBatch(in: &draft)
    }

    /// Whether something is due that may leave.
    private var isReady: Bool {
        !self.awaitsRoom && self.inFlight.count < self.credit.batches && self.inFlightBytes < self.credit.bytes
            && !(self.readySchedules.isEmpty && self.readyTimers.isEmpty && self.late.isEmpty)
    }

    private mutating func advance(to now: WallInstant) {
        guard now > self.wheel.now else { return }
        self.expired.removeAll(keepingCapacity: true)
        self.wheel.advance(to: now, expired: &self.expired)
        for item in self.expired {
            let token = HeldToken(rawValue: item.token)
            let number = token.number
            if token.isSchedule {
                guard let schedule = self.schedules[number] else { continue }
                self.schedules.update(number) { $0.place = .none }
                self.readySchedules.insert(
                    ReadyRecord(
                        key: Watermark(instant: self.wheel.due(of: item), tie: schedule.uid), number: number))
            } else {
                guard let timer = self.timers[number] else { continue }
                self.timers.update(number) { $0.place = .none }
                self.readyTimers.insert(ReadyRecord(key: timer.watermark, number: number))
            }
        }
    }

    // MARK: - Cancellations

    /// Notes what became of a timer that was cancelled; the oldest notes make room.
    mutating func note(cancelled uid: UID, fired: Bool) {
        guard self.cancellations.updateValue(fired, forKey: uid) == nil else { return }
        self.cancellationOrder.append(uid)
        if self.cancellationOrder.count > Self.cancellationsRemembered,
            let oldest = self.cancellationOrder.popFirst()
        {
            self.cancellations[oldest] = nil
        }
    }
}
