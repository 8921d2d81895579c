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

    private struct Schedule {
        var entry: ScheduleEntry<Payload>
        /// Guards against what is left in a queue from before a change.
        var stamp: UInt32
        var handle: TimerWheel.Handle?
        /// The occurrence that waits in the wheel or in `ready`.
        var waiting: Occurrence?
    }

    private struct Timer {
        var entry: TimerEntry<Payload>
        var stamp: UInt32
        var handle: TimerWheel.Handle?
        var inFlight: Bool
    }

    private enum Slot {
        case free(next: UInt32)
        case schedule(Schedule)
        case timer(Timer)
    }

    /// Something due, in the order in which a shard settles.
    private struct Ready: Comparable {
        var key: Watermark
        var slot: UInt32
        var stamp: UInt32

        static func < (left: Ready, right: Ready) -> Bool { left.key < right.key }
        static func == (left: Ready, right: Ready) -> Bool { left.key == right.key }
    }

    /// Something that fell due before the shard knew of it.
    private struct Late {
        var slot: UInt32
        var stamp: UInt32
        var occurrence: Occurrence
        var revision: Revision
    }

    private struct InFlight {
        var to: Cursor
        var bytes: Int
        var timers: [UInt32]
    }

    package static var occurrencesPerBatchMax: Int { 1000 }
    package static var bytesPerBatchTarget: Int { 512 * 1024 }
    private static var occurrenceOverheadBytes: Int { 64 }
    private static var noSlot: UInt32 { .max }
    private static var cancellationsRemembered: Int { 4096 }

    package let shard: ShardID
    package let epoch: Epoch
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
    package private(set) var residentCount = 0

    private var wheel: TimerWheel
    private var slots: [Slot] = []
    private var firstFree: UInt32
    private var scheduleSlots: [UID: [UInt32]] = [:]
    private var timerSlots: [UID: UInt32] = [:]
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
        self.firstFree = Self.noSlot
    }

    package var isDrained: Bool { self.phase == .draining && self.inFlight.isEmpty }
    package var inFlightCount: Int { self.inFlight.count }
    package var overdueCount: Int { self.ready.count + self.late.count }
    package var oldestOverdue: WallInstant? {
        [self.late.first?.occurrence.due, self.ready.min?.key.instant].compactMap { $0 }.min()
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
            for slot in batch.timers { self.releaseTimer(slot) }
            self.settled = batch.to
            if batch.to == cursor { break }
        }
        self.dropFinished()
    }

    /// Plan nothing more; `isDrained` tells when everything in flight is acknowledged.
    package mutating func drain() { self.phase = .draining }

    // MARK: - Contents

    /// The snapshot is asked for: timers up to `horizon` will come.
    package mutating func snapshotRequested(horizon: WallInstant) {
        self.clearContents()
        self.requestedHorizon = horizon
    }

    /// Whether a schedule held here depends on one of these time zones. O(schedules).
    package func depends(on zones: Set<String>) -> Bool {
        self.slots.contains { slot in
            if case .schedule(let schedule) = slot { schedule.entry.plan.depends(on: zones) } else { false }
        }
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
            guard let slot = self.store(change) else { continue }
            if self.phase == .active { self.admit(slot) }
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
            guard let slot = self.store(.timer(timer)), self.phase == .active else { continue }
            self.admit(slot)
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
            switch self.slots[Int(item.token)] {
            case .free: continue
            case .schedule(var schedule):
                schedule.handle = nil
                self.slots[Int(item.token)] = .schedule(schedule)
                self.ready.insert(
                    Ready(
                        key: Watermark(instant: item.due, tie: schedule.entry.uid), slot: item.token,
                        stamp: schedule.stamp))
            case .timer(var timer):
                timer.handle = nil
                self.slots[Int(item.token)] = .timer(timer)
                self.ready.insert(Ready(key: timer.entry.watermark, slot: item.token, stamp: timer.stamp))
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
            var slot: UInt32
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
            switch self.slots[Int(item.slot)] {
            case .free: continue
            case .schedule(let schedule):
                guard schedule.stamp == item.stamp,
                    schedule.entry.until.map({ item.occurrence.due <= $0 }) ?? true
                else { continue }
                self.append(schedule.entry, item.occurrence, .dispatched, .dispatched, caughtUp: false, to: &draft)
            case .timer(let timer):
                guard timer.stamp == item.stamp, !timer.inFlight else { continue }
                self.appendTimer(item.slot, timer, to: &draft)
            }
        }
    }

    /// Takes what is due in order; the key of the last one taken.
    private mutating func takeReady(into draft: inout Draft) -> Watermark? {
        var lastKey: Watermark?
        while !draft.isFull, let item = self.ready.popMin() {
            switch self.slots[Int(item.slot)] {
            case .free: continue
            case .timer(let timer):
                guard timer.stamp == item.stamp, !timer.inFlight else { continue }
                guard timer.entry.due <= self.horizon else {
                    self.held.append(item)
                    continue
                }
                self.appendTimer(item.slot, timer, to: &draft)
            case .schedule(let schedule):
                // Another instant is left over from before a run was cut.
                guard schedule.stamp == item.stamp, let occurrence = schedule.waiting,
                    occurrence.due == item.key.instant
                else { continue }
                self.takeSchedule(item.slot, schedule, occurrence, into: &draft)
            }
            lastKey = item.key
        }
        return lastKey
    }

    private mutating func takeSchedule(
        _ slot: UInt32, _ schedule: Schedule, _ occurrence: Occurrence, into draft: inout Draft
    ) {
        let entry = schedule.entry
        switch entry.plan.decision(on: occurrence, now: draft.now) {
        case .fire(let caughtUp):
            self.append(entry, occurrence, .dispatched, .dispatched, caughtUp: caughtUp, to: &draft)
            self.placeNext(slot, after: occurrence.due)
        case .skip(var run, let reason):
            if let until = entry.until, run.last.due > until,
                let shorter = entry.plan.run(from: occurrence, dueThrough: until)
            {
                run = shorter
            }
            draft.runs.append(
                Draft.Run(slot: slot, first: occurrence, last: run.last, index: draft.occurrences.count))
            self.append(entry, occurrence, .skipped, reason, caughtUp: false, to: &draft)
            draft.occurrences[draft.occurrences.count - 1].count = run.count
            draft.occurrences[draft.occurrences.count - 1].through = run.last.scheduled
            self.placeNext(slot, after: run.last.due)
        }
    }

    /// Cuts runs that reach past the end of the batch: what lies beyond is settled by a later one.
    private mutating func trimRuns(of draft: inout Draft, at reached: Watermark) {
        for run in draft.runs {
            guard case .schedule(let schedule) = self.slots[Int(run.slot)],
                Watermark(instant: run.last.due, tie: schedule.entry.uid) > reached
            else { continue }
            let bound =
                schedule.entry.uid <= reached.tie
                ? reached.instant : reached.instant.advanced(by: .milliseconds(-1))
            guard let shorter = schedule.entry.plan.run(from: run.first, dueThrough: bound) else { continue }
            draft.occurrences[run.index].count = shorter.count
            draft.occurrences[run.index].through = shorter.last.scheduled
            self.placeNext(run.slot, after: shorter.last.due)
        }
    }

    private func append(
        _ entry: ScheduleEntry<Payload>, _ occurrence: Occurrence, _ outcome: Outcome, _ reason: Reason,
        caughtUp: Bool, to draft: inout Draft
    ) {
        draft.occurrences.append(
            PlannedOccurrence(
                kind: entry.kind, uid: entry.uid, generation: entry.generation, scheduled: occurrence.scheduled,
                due: occurrence.due, outcome: outcome, reason: reason, count: 1, through: occurrence.scheduled,
                caughtUp: caughtUp, payload: entry.payload))
        draft.bytes += entry.payloadBytes + Self.occurrenceOverheadBytes
    }

    private mutating func appendTimer(_ slot: UInt32, _ timer: Timer, to draft: inout Draft) {
        var timer = timer
        let entry = timer.entry
        let isExpired = entry.isExpired(at: draft.now)
        draft.occurrences.append(
            PlannedOccurrence(
                kind: .delay, uid: entry.uid, generation: 1, scheduled: entry.due, due: entry.due,
                outcome: isExpired ? .skipped : .dispatched, reason: isExpired ? .expired : .dispatched, count: 1,
                through: entry.due, caughtUp: false, payload: entry.payload))
        draft.bytes += entry.payloadBytes + Self.occurrenceOverheadBytes
        draft.timers.append(slot)
        timer.inFlight = true
        self.slots[Int(slot)] = .timer(timer)
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
        self.slots.removeAll()
        self.firstFree = Self.noSlot
        self.scheduleSlots.removeAll()
        self.timerSlots.removeAll()
        self.ready = Heap()
        self.late.removeAll()
        self.held.removeAll()
        self.finished.removeAll()
        for index in self.inFlight.indices { self.inFlight[index].timers.removeAll() }
        self.residentCount = 0
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
        var order: [(Revision, UInt32)] = []
        for index in self.slots.indices {
            switch self.slots[index] {
            case .free: continue
            case .schedule(var schedule):
                schedule.handle = nil
                self.slots[index] = .schedule(schedule)
                order.append((schedule.entry.createdRevision, UInt32(index)))
            case .timer(var timer):
                timer.handle = nil
                timer.inFlight = false
                self.slots[index] = .timer(timer)
                order.append((timer.entry.revision, UInt32(index)))
            }
        }
        // Late admissions must be in order of revision: a cursor's revision covers all before the first.
        order.sort { $0 < $1 }
        for (_, slot) in order { self.admit(slot) }
    }

    /// Keeps a change; the slot to admit, or `nil` when there is nothing to plan for it.
    @discardableResult private mutating func store(_ change: ShardChange<Payload>) -> UInt32? {
        switch change {
        case .schedule(let entry):
            if let known = self.slot(of: entry.uid, generation: entry.generation) {
                if let until = entry.until, let revision = entry.endedRevision {
                    self.end(known, revision: revision, until: until)
                }
                return nil
            }
            let slot = self.allocate(
                .schedule(Schedule(entry: entry, stamp: self.nextStamp(), handle: nil, waiting: nil)))
            self.scheduleSlots[entry.uid, default: []].append(slot)
            return slot
        case .scheduleEnded(let uid, let generation, let revision, let until):
            if let known = self.slot(of: uid, generation: generation) {
                self.end(known, revision: revision, until: until)
            }
            return nil
        case .timer(let entry):
            guard self.timerSlots[entry.uid] == nil,
                entry.due <= max(self.horizon, self.requestedHorizon ?? .distantPast)
            else { return nil }
            let slot = self.allocate(
                .timer(Timer(entry: entry, stamp: self.nextStamp(), handle: nil, inFlight: false)))
            self.timerSlots[entry.uid] = slot
            return slot
        case .timerCancelled(let uid, let due):
            self.cancel(uid, due: due)
            return nil
        }
    }

    private func slot(of uid: UID, generation: UInt64) -> UInt32? {
        self.scheduleSlots[uid]?.first { slot in
            if case .schedule(let schedule) = self.slots[Int(slot)] {
                return schedule.entry.generation == generation
            }
            return false
        }
    }

    /// Ends a version: occurrences after `until` are not its any more.
    private mutating func end(_ slot: UInt32, revision: Revision, until: WallInstant) {
        guard case .schedule(var schedule) = self.slots[Int(slot)], schedule.entry.endedRevision == nil else { return }
        schedule.entry.endedRevision = revision
        schedule.entry.until = until
        self.slots[Int(slot)] = .schedule(schedule)
        guard let waiting = schedule.waiting, waiting.due > until else { return }
        if let handle = schedule.handle { self.wheel.remove(handle) }
        schedule.handle = nil
        schedule.waiting = nil
        self.slots[Int(slot)] = .schedule(schedule)
        // Kept while a batch in flight may have to be planned again.
        self.finished.append(slot)
        self.dropFinished()
    }

    private mutating func dropFinished() {
        guard self.phase == .active, self.inFlight.isEmpty, self.late.isEmpty, !self.finished.isEmpty else { return }
        for slot in self.finished {
            if case .schedule(let schedule) = self.slots[Int(slot)], schedule.waiting == nil {
                self.releaseSchedule(slot)
            }
        }
        self.finished.removeAll()
    }

    private mutating func cancel(_ uid: UID, due: WallInstant) {
        if self.isLoaded, self.requestedHorizon != nil { self.cancelledMeanwhile.insert(uid) }
        var fired = Watermark(instant: due, tie: uid) <= self.issued.delay
        if let slot = self.timerSlots[uid], case .timer(let timer) = self.slots[Int(slot)] {
            fired = timer.inFlight
            if !timer.inFlight {
                if let handle = timer.handle { self.wheel.remove(handle) }
                self.releaseTimer(slot)
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

    /// Plans what is stored in `slot` by the rule of the cursor.
    private mutating func admit(_ slot: UInt32) {
        switch self.slots[Int(slot)] {
        case .free: return
        case .timer(let timer):
            let key = timer.entry.watermark
            if key > self.issued.delay {
                self.place(slot, due: timer.entry.due)
            } else if timer.entry.revision > self.issued.revision, !Defence.lateAdmission.isRemoved {
                self.late.append(
                    Late(
                        slot: slot, stamp: timer.stamp,
                        occurrence: Occurrence(scheduled: timer.entry.due, due: timer.entry.due),
                        revision: timer.entry.revision))
            } else {
                self.releaseTimer(slot)
            }
        case .schedule(let schedule): self.admitSchedule(slot, schedule)
        }
    }

    private mutating func admitSchedule(_ slot: UInt32, _ schedule: Schedule) {
        let entry = schedule.entry
        let watermark = self.issued.cron
        // The last due instant that is settled for this uid.
        let settledThrough =
            watermark.instant == .distantPast || entry.uid <= watermark.tie
            ? watermark.instant : watermark.instant.advanced(by: .milliseconds(-1))
        if entry.createdRevision > self.issued.revision, !entry.replaces, !Defence.lateAdmission.isRemoved {
            var position = entry.from
            while let occurrence = entry.plan.next(after: position), occurrence.due <= settledThrough,
                entry.until.map({ occurrence.due <= $0 }) ?? true
            {
                self.late.append(
                    Late(
                        slot: slot, stamp: schedule.stamp, occurrence: occurrence, revision: entry.createdRevision))
                position = occurrence.due
            }
            self.placeNext(slot, after: max(position, entry.from))
        } else {
            self.placeNext(slot, after: max(settledThrough, entry.from))
        }
    }

    /// Plans the schedule's first occurrence due after `due`; without one the version is finished.
    private mutating func placeNext(_ slot: UInt32, after due: WallInstant) {
        guard case .schedule(var schedule) = self.slots[Int(slot)] else { return }
        if let handle = schedule.handle { self.wheel.remove(handle) }
        schedule.handle = nil
        let next = schedule.entry.plan.next(after: due)
        guard let next, schedule.entry.until.map({ next.due <= $0 }) ?? true else {
            schedule.waiting = nil
            self.slots[Int(slot)] = .schedule(schedule)
            self.finished.append(slot)
            return
        }
        schedule.waiting = next
        self.slots[Int(slot)] = .schedule(schedule)
        self.place(slot, due: next.due)
    }

    private mutating func place(_ slot: UInt32, due: WallInstant) {
        let isDue = due <= self.wheel.now
        let handle = isDue ? nil : self.wheel.insert(due: due, token: slot)
        switch self.slots[Int(slot)] {
        case .free: return
        case .schedule(var schedule):
            schedule.handle = handle
            self.slots[Int(slot)] = .schedule(schedule)
            if isDue {
                self.ready.insert(
                    Ready(key: Watermark(instant: due, tie: schedule.entry.uid), slot: slot, stamp: schedule.stamp))
            }
        case .timer(var timer):
            timer.handle = handle
            self.slots[Int(slot)] = .timer(timer)
            if isDue { self.ready.insert(Ready(key: timer.entry.watermark, slot: slot, stamp: timer.stamp)) }
        }
    }

    private mutating func nextStamp() -> UInt32 {
        self.stampCounter &+= 1
        return self.stampCounter
    }

    private mutating func allocate(_ content: Slot) -> UInt32 {
        self.residentCount += 1
        if self.firstFree != Self.noSlot, case .free(let next) = self.slots[Int(self.firstFree)] {
            let slot = self.firstFree
            self.firstFree = next
            self.slots[Int(slot)] = content
            return slot
        }
        self.slots.append(content)
        return UInt32(self.slots.count - 1)
    }

    private mutating func free(_ slot: UInt32) {
        self.slots[Int(slot)] = .free(next: self.firstFree)
        self.firstFree = slot
        self.residentCount -= 1
    }

    private mutating func releaseTimer(_ slot: UInt32) {
        guard case .timer(let timer) = self.slots[Int(slot)] else { return }
        self.timerSlots[timer.entry.uid] = nil
        self.free(slot)
    }

    private mutating func releaseSchedule(_ slot: UInt32) {
        guard case .schedule(let schedule) = self.slots[Int(slot)] else { return }
        self.scheduleSlots[schedule.entry.uid]?.removeAll { $0 == slot }
        if self.scheduleSlots[schedule.entry.uid]?.isEmpty == true { self.scheduleSlots[schedule.entry.uid] = nil }
        self.free(slot)
    }
}
