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
package struct ShardFiring<Payload: Sendable & Equatable>: ~Copyable, Sendable {
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

    private typealias Schedule = HeldSchedule<Payload>
    private typealias Timer = HeldTimer<Payload>

    /// Something due, in the order in which a shard settles.
    private struct Ready: Comparable {
        var key: Watermark
        var token: HeldToken
        var stamp: UInt32

        static func < (left: Ready, right: Ready) -> Bool { left.key < right.key }
        static func == (left: Ready, right: Ready) -> Bool { left.key == right.key }
    }

    /// Something that fell due before the shard knew of it.
    private struct Late {
        var token: HeldToken
        var stamp: UInt32
        var occurrence: Occurrence
        var revision: Revision
    }

    private struct InFlight {
        var to: Cursor
        var bytes: Int
        /// Numbers of the timers in it.
        var timers: [UInt32]
    }

    package static var occurrencesPerBatchMax: Int { 1000 }
    package static var bytesPerBatchTarget: Int { 512 * 1024 }
    private static var occurrenceOverheadBytes: Int { 64 }
    private static var cancellationsRemembered: Int { 4096 }

    package let shard: ShardID
    package private(set) var epoch: Epoch
    package private(set) var phase: Phase = .opening
    /// Where the last batch, or the lane's answer to `Open`, ended.
    package private(set) var issued: Cursor = .start
    /// What the lane has acknowledged.
    package private(set) var settled: Cursor = .start
    /// Changes up to here are in memory.
    package private(set) var applied: Revision = .none
    /// Timers due up to here are in memory.
    package private(set) var horizon: WallInstant = .distantPast
    /// A horizon asked for: deltas in it are kept from the moment of asking.
    package private(set) var requestedHorizon: WallInstant?

    private var wheel: TimerWheel
    private(set) var schedules = Slab<HeldSchedule<Payload>>()
    private(set) var timers = Slab<HeldTimer<Payload>>()
    private var ready = Heap<Ready>()
    private var late: Deque<Late> = []
    private var inFlight: Deque<InFlight> = []
    private var inFlightBytes = 0
    private var credit = Credit(batches: 0, bytes: 0)
    private var stampCounter: UInt32 = 0
    private var expired: [TimerWheel.Expired] = []
    private var cancellations: [UID: Bool] = [:]
    /// Cancelled since the horizon was asked for that is not here yet.
    private var cancelledMeanwhile: Set<UID> = []
    private var cancellationOrder: Deque<UID> = []
    /// Whether a snapshot is complete in memory.
    private var isLoaded = false
    /// Timers that are due but lie beyond the loaded horizon, which the watermark may not pass.
    private var held: [Ready] = []
    /// Versions without a further occurrence; dropped when nothing in flight could need them again.
    private var finished: [UInt32] = []

    package init(shard: ShardID, epoch: Epoch, now: WallInstant) {
        self.shard = shard
        self.epoch = epoch
        self.wheel = TimerWheel(now: now)
    }

    /// Versions of schedules and timers in memory.
    package var residentCount: Int { self.schedules.count + self.timers.count }
    package var isDrained: Bool { self.phase == .draining && self.inFlight.isEmpty }
    package var inFlightCount: Int { self.inFlight.count }
    package var overdueCount: Int { self.ready.count + self.late.count }
    package var oldestOverdue: WallInstant? {
        [self.late.first?.occurrence.due, self.ready.min?.key.instant].compactMap { $0 }.min()
    }

    /// What was loaded for a shard that another ticker owned is this one's now.
    package mutating func taken(under epoch: Epoch) {
        precondition(self.phase == .opening && epoch > self.epoch, "taken under \(epoch) in \(self.phase)")
        self.epoch = epoch
    }

    // MARK: - The lane

    /// The lane answered `Open`.
    package mutating func opened(cursor: Cursor, credit: Credit) {
        guard self.phase == .opening else { return }
        self.credit = credit
        self.issued = cursor
        self.settled = cursor
        self.phase = .loading
        self.inFlight.removeAll()
        self.inFlightBytes = 0
        self.becomeActiveIfLoaded()
    }

    /// The lane refused, or its link is gone: what is in flight may or may not count. The cursor of the
    /// next `opened` tells.
    package mutating func closed() {
        guard self.phase != .draining else {
            // A drain that loses its lane is over: the next owner reads the cursor.
            self.inFlight.removeAll()
            return
        }
        self.phase = .opening
    }

    /// Everything up to `cursor` is durable.
    package mutating func acknowledged(_ cursor: Cursor) {
        guard self.inFlight.contains(where: { $0.to == cursor }) else { return }
        while let batch = self.inFlight.popFirst() {
            self.inFlightBytes -= batch.bytes
            for number in batch.timers { self.timers.remove(number) }
            self.settled = batch.to
            if batch.to == cursor { break }
        }
        self.dropFinished()
    }

    /// Plan nothing more; `isDrained` tells when everything in flight is acknowledged. When the lane is closed nothing
    /// will be: the next owner reads the cursor.
    package mutating func drain() {
        if self.phase == .opening { self.inFlight.removeAll() }
        self.phase = .draining
    }

    // MARK: - Contents

    /// The snapshot is asked for: timers up to `horizon` will come.
    package mutating func snapshotRequested(horizon: WallInstant) {
        self.clearContents()
        self.requestedHorizon = horizon
    }

    /// Whether a schedule held here depends on one of these time zones. O(schedules).
    package func depends(on zones: Set<String>) -> Bool {
        self.schedules.numbers.contains { self.schedules[$0]?.plan.depends(on: zones) == true }
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
            self.horizon = through
            self.requestedHorizon = nil
            for item in self.held { self.ready.insert(item) }
            self.held.removeAll()
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
        if self.mayIssue, !self.ready.isEmpty || !self.late.isEmpty { return self.wheel.now }
        return self.wheel.nextDue
    }

    /// Moves time to `now` and plans at most one batch of what is due. Call again while it returns one.
    package mutating func plan(now: WallInstant) -> PlannedBatch<Payload>? {
        guard self.phase == .active else { return nil }
        self.advance(to: now)
        guard self.mayIssue, !self.ready.isEmpty || !self.late.isEmpty else { return nil }
        return self.formBatch()
    }

    private var mayIssue: Bool {
        self.inFlight.count < self.credit.batches && self.inFlightBytes < self.credit.bytes
    }

    private mutating func advance(to now: WallInstant) {
        guard now > self.wheel.now else { return }
        self.expired.removeAll(keepingCapacity: true)
        self.wheel.advance(to: now, expired: &self.expired)
        for item in self.expired {
            let token = HeldToken(rawValue: item.token)
            if token.isSchedule {
                guard let schedule = self.schedules[token.number] else { continue }
                self.schedules[token.number]?.handle = .none
                self.ready.insert(
                    Ready(key: Watermark(instant: item.due, tie: schedule.uid), token: token, stamp: schedule.stamp))
            } else {
                guard let timer = self.timers[token.number] else { continue }
                self.timers[token.number]?.handle = .none
                self.ready.insert(Ready(key: timer.watermark, token: token, stamp: timer.stamp))
            }
        }
    }

    // MARK: - Batches

    private mutating func formBatch() -> PlannedBatch<Payload>? {
        var draft = Draft(now: self.wheel.now)
        self.takeLate(into: &draft)
        var lastKey: Watermark?
        if self.late.isEmpty { lastKey = self.takeReady(into: &draft) }
        if draft.occurrences.isEmpty { return nil }

        var to = self.issued
        if self.late.isEmpty {
            let reached = self.ready.isEmpty ? Watermark(through: self.wheel.now) : lastKey ?? self.issued.cron
            self.trimRuns(of: &draft, at: reached)
            to.cron = max(self.issued.cron, reached)
            to.delay = max(self.issued.delay, min(reached, Watermark(through: self.horizon)))
            to.revision = max(self.issued.revision, self.applied)
        } else if let first = self.late.first {
            to.revision = max(self.issued.revision, Revision(first.revision.rawValue - 1))
        }
        precondition(to != self.issued || draft.occurrences.isEmpty, "a batch that settles must move the cursor")
        guard !draft.occurrences.isEmpty else { return nil }
        let batch = PlannedBatch(
            shard: self.shard, epoch: self.epoch, from: self.issued, to: to, occurrences: draft.occurrences)
        self.issued = to
        self.inFlight.append(InFlight(to: to, bytes: draft.bytes, timers: draft.timers))
        self.inFlightBytes += draft.bytes
        return batch
    }

    /// A batch in the making.
    private struct Draft {
        struct Run {
            var number: UInt32
            var first: Occurrence
            var last: Occurrence
            /// Index in `occurrences`.
            var index: Int
        }

        let now: WallInstant
        var occurrences: [PlannedOccurrence<Payload>] = []
        var timers: [UInt32] = []
        var bytes = 0
        var runs: [Run] = []

        var isFull: Bool {
            self.occurrences.count >= ShardFiring.occurrencesPerBatchMax
                || self.bytes >= ShardFiring.bytesPerBatchTarget
        }
    }

    /// Takes late admissions. All of one revision go together, since a cursor cannot stand inside one.
    private mutating func takeLate(into draft: inout Draft) {
        var lastRevision: Revision?
        while let item = self.late.first, !draft.isFull || item.revision == lastRevision {
            self.late.removeFirst()
            lastRevision = item.revision
            let number = item.token.number
            if item.token.isSchedule {
                guard let schedule = self.schedules[number], schedule.stamp == item.stamp,
                    item.occurrence.due <= schedule.until
                else { continue }
                self.append(schedule, item.occurrence, .dispatched, .dispatched, caughtUp: false, to: &draft)
            } else {
                guard let timer = self.timers[number], timer.stamp == item.stamp, !timer.isInFlight else { continue }
                self.appendTimer(number, timer, to: &draft)
            }
        }
    }

    /// Takes what is due in order; the key of the last one taken.
    private mutating func takeReady(into draft: inout Draft) -> Watermark? {
        var lastKey: Watermark?
        while !draft.isFull, let item = self.ready.popMin() {
            let number = item.token.number
            if item.token.isSchedule {
                // Another instant is left over from before a run was cut.
                guard let schedule = self.schedules[number], schedule.stamp == item.stamp,
                    let occurrence = schedule.waiting, occurrence.due == item.key.instant
                else { continue }
                self.takeSchedule(number, schedule, occurrence, into: &draft)
            } else {
                guard let timer = self.timers[number], timer.stamp == item.stamp, !timer.isInFlight else { continue }
                guard timer.due <= self.horizon else {
                    self.held.append(item)
                    continue
                }
                self.appendTimer(number, timer, to: &draft)
            }
            lastKey = item.key
        }
        return lastKey
    }

    private mutating func takeSchedule(
        _ number: UInt32, _ schedule: Schedule, _ occurrence: Occurrence, into draft: inout Draft
    ) {
        switch schedule.plan.decision(on: occurrence, now: draft.now) {
        case .fire(let caughtUp):
            self.append(schedule, occurrence, .dispatched, .dispatched, caughtUp: caughtUp, to: &draft)
            self.placeNext(number, after: occurrence.due)
        case .skip(var run, let reason):
            if run.last.due > schedule.until,
                let shorter = schedule.plan.run(from: occurrence, dueThrough: schedule.until)
            {
                run = shorter
            }
            draft.runs.append(
                Draft.Run(number: number, first: occurrence, last: run.last, index: draft.occurrences.count))
            self.append(schedule, occurrence, .skipped, reason, caughtUp: false, to: &draft)
            draft.occurrences[draft.occurrences.count - 1].count = run.count
            draft.occurrences[draft.occurrences.count - 1].through = run.last.scheduled
            self.placeNext(number, after: run.last.due)
        }
    }

    /// Cuts runs that reach past the end of the batch: what lies beyond is settled by a later one.
    private mutating func trimRuns(of draft: inout Draft, at reached: Watermark) {
        for run in draft.runs {
            guard let schedule = self.schedules[run.number],
                Watermark(instant: run.last.due, tie: schedule.uid) > reached
            else { continue }
            let bound =
                schedule.uid <= reached.tie
                ? reached.instant : reached.instant.advanced(by: .milliseconds(-1))
            guard let shorter = schedule.plan.run(from: run.first, dueThrough: bound) else { continue }
            draft.occurrences[run.index].count = shorter.count
            draft.occurrences[run.index].through = shorter.last.scheduled
            self.placeNext(run.number, after: shorter.last.due)
        }
    }

    private func append(
        _ schedule: Schedule, _ occurrence: Occurrence, _ outcome: Outcome, _ reason: Reason,
        caughtUp: Bool, to draft: inout Draft
    ) {
        draft.occurrences.append(
            PlannedOccurrence(
                kind: schedule.kind, uid: schedule.uid, generation: schedule.generation,
                scheduled: occurrence.scheduled,
                due: occurrence.due, outcome: outcome, reason: reason, count: 1, through: occurrence.scheduled,
                caughtUp: caughtUp, payload: schedule.payload))
        draft.bytes += Int(schedule.payloadBytes) + Self.occurrenceOverheadBytes
    }

    private mutating func appendTimer(_ number: UInt32, _ timer: Timer, to draft: inout Draft) {
        let isExpired = timer.isExpired(at: draft.now)
        draft.occurrences.append(
            PlannedOccurrence(
                kind: .delay, uid: timer.uid, generation: 1, scheduled: timer.due, due: timer.due,
                outcome: isExpired ? .skipped : .dispatched, reason: isExpired ? .expired : .dispatched, count: 1,
                through: timer.due, caughtUp: false, payload: timer.payload))
        draft.bytes += Int(timer.payloadBytes) + Self.occurrenceOverheadBytes
        draft.timers.append(number)
        self.timers[number]?.handle = .inFlight
    }
}

// MARK: - What is held

extension ShardFiring {
    private mutating func becomeActiveIfLoaded() {
        guard self.phase == .loading, self.isLoaded,
            self.applied >= self.issued.revision || Defence.revisionGuard.isRemoved
        else { return }
        self.phase = .active
        self.rebuild()
    }

    private mutating func clearContents() {
        self.wheel = TimerWheel(now: self.wheel.now)
        self.schedules.removeAll()
        self.timers.removeAll()
        self.ready = Heap()
        self.late.removeAll()
        self.held.removeAll()
        self.finished.removeAll()
        for index in self.inFlight.indices { self.inFlight[index].timers.removeAll() }
        self.horizon = .distantPast
        self.applied = .none
        self.isLoaded = false
    }

    /// Plans everything again from the cursor.
    private mutating func rebuild() {
        self.wheel = TimerWheel(now: self.wheel.now)
        self.ready = Heap()
        self.late.removeAll()
        self.held.removeAll()
        self.finished.removeAll()
        var order: [(Revision, HeldToken)] = []
        order.reserveCapacity(self.residentCount)
        for number in self.schedules.numbers {
            guard let revision = self.schedules[number]?.createdRevision else { continue }
            self.schedules[number]?.handle = .none
            order.append((revision, .schedule(number)))
        }
        for number in self.timers.numbers {
            guard let revision = self.timers[number]?.revision else { continue }
            self.timers[number]?.handle = .none
            order.append((revision, .timer(number)))
        }
        // Late admissions must be in order of revision: a cursor's revision covers all before the first.
        order.sort { ($0.0, $0.1.rawValue) < ($1.0, $1.1.rawValue) }
        for (_, token) in order { self.admit(token) }
    }

    /// Keeps a change; what to admit, or `nil` when there is nothing to plan for it.
    @discardableResult private mutating func store(_ change: ShardChange<Payload>) -> HeldToken? {
        switch change {
        case .schedule(let entry):
            if let known = self.number(of: entry.uid, generation: entry.generation) {
                if let until = entry.until, entry.endedRevision != nil { self.end(known, until: until) }
                return nil
            }
            return .schedule(self.schedules.insert(Schedule(entry, stamp: self.nextStamp())))
        case .scheduleEnded(let uid, let generation, _, let until):
            if let known = self.number(of: uid, generation: generation) { self.end(known, until: until) }
            return nil
        case .timer(let entry):
            guard self.timers.number(of: entry.uid) == nil,
                entry.due <= max(self.horizon, self.requestedHorizon ?? .distantPast)
            else { return nil }
            return .timer(self.timers.insert(Timer(entry, stamp: self.nextStamp())))
        case .timerCancelled(let uid, let due):
            self.cancel(uid, due: due)
            return nil
        }
    }

    private func number(of uid: UID, generation: UInt64) -> UInt32? {
        self.schedules.number(of: uid) { $0.generation == generation }
    }

    /// Ends a version: occurrences after `until` are not its any more.
    private mutating func end(_ number: UInt32, until: WallInstant) {
        guard let schedule = self.schedules[number], !schedule.hasEnded else { return }
        self.schedules[number]?.hasEnded = true
        self.schedules[number]?.until = until
        guard let waiting = schedule.waiting, waiting.due > until else { return }
        self.wheel.remove(schedule.handle)
        self.schedules[number]?.handle = .none
        self.schedules[number]?.waiting = nil
        // Kept while a batch in flight may have to be planned again.
        self.finished.append(number)
        self.dropFinished()
    }

    private mutating func dropFinished() {
        guard self.phase == .active, self.inFlight.isEmpty, self.late.isEmpty, !self.finished.isEmpty else { return }
        for number in self.finished {
            if let schedule = self.schedules[number], schedule.waiting == nil { self.schedules.remove(number) }
        }
        self.finished.removeAll()
    }

    private mutating func cancel(_ uid: UID, due: WallInstant) {
        if self.isLoaded, self.requestedHorizon != nil { self.cancelledMeanwhile.insert(uid) }
        var fired = Watermark(instant: due, tie: uid) <= self.issued.delay
        if let number = self.timers.number(of: uid), let timer = self.timers[number] {
            fired = timer.isInFlight
            if !timer.isInFlight {
                self.wheel.remove(timer.handle)
                self.timers.remove(number)
            }
        }
        if self.cancellations.updateValue(fired, forKey: uid) == nil {
            self.cancellationOrder.append(uid)
            if self.cancellationOrder.count > Self.cancellationsRemembered,
                let oldest = self.cancellationOrder.popFirst()
            {
                self.cancellations[oldest] = nil
            }
        }
    }

    /// Plans what is stored by the rule of the cursor.
    private mutating func admit(_ token: HeldToken) {
        if token.isSchedule {
            if let schedule = self.schedules[token.number] { self.admit(token.number, schedule) }
            return
        }
        guard let timer = self.timers[token.number] else { return }
        if timer.watermark > self.issued.delay {
            self.placeTimer(token.number, timer)
        } else if timer.revision > self.issued.revision, !Defence.lateAdmission.isRemoved {
            self.late.append(
                Late(
                    token: token, stamp: timer.stamp, occurrence: Occurrence(scheduled: timer.due, due: timer.due),
                    revision: timer.revision))
        } else {
            self.timers.remove(token.number)
        }
    }

    private mutating func admit(_ number: UInt32, _ schedule: Schedule) {
        let watermark = self.issued.cron
        // The last due instant that is settled for this uid.
        let settledThrough =
            watermark.instant == .distantPast || schedule.uid <= watermark.tie
            ? watermark.instant : watermark.instant.advanced(by: .milliseconds(-1))
        if schedule.createdRevision > self.issued.revision, !schedule.replaces, !Defence.lateAdmission.isRemoved {
            var position = schedule.from
            while let occurrence = schedule.plan.next(after: position), occurrence.due <= settledThrough,
                occurrence.due <= schedule.until
            {
                self.late.append(
                    Late(
                        token: .schedule(number), stamp: schedule.stamp, occurrence: occurrence,
                        revision: schedule.createdRevision))
                position = occurrence.due
            }
            self.placeNext(number, after: max(position, schedule.from))
        } else {
            self.placeNext(number, after: max(settledThrough, schedule.from))
        }
    }

    /// Plans the schedule's first occurrence due after `due`; without one the version is finished.
    private mutating func placeNext(_ number: UInt32, after due: WallInstant) {
        guard let schedule = self.schedules[number] else { return }
        self.wheel.remove(schedule.handle)
        let next = schedule.plan.next(after: due)
        guard let next, next.due <= schedule.until else {
            self.schedules[number]?.handle = .none
            self.schedules[number]?.waiting = nil
            self.finished.append(number)
            return
        }
        self.schedules[number]?.waiting = next
        let handle = self.place(
            .schedule(number), key: Watermark(instant: next.due, tie: schedule.uid), stamp: schedule.stamp)
        self.schedules[number]?.handle = handle
    }

    private mutating func placeTimer(_ number: UInt32, _ timer: Timer) {
        let handle = self.place(.timer(number), key: timer.watermark, stamp: timer.stamp)
        self.timers[number]?.handle = handle
    }

    /// Into the wheel, or with what is due.
    private mutating func place(_ token: HeldToken, key: Watermark, stamp: UInt32) -> TimerWheel.Handle {
        if key.instant > self.wheel.now { return self.wheel.insert(due: key.instant, token: token.rawValue) }
        self.ready.insert(Ready(key: key, token: token, stamp: stamp))
        return .none
    }

    private mutating func nextStamp() -> UInt32 {
        self.stampCounter &+= 1
        return self.stampCounter
    }
}
