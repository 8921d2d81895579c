import EscapementModel
import HeapModule
import Scheduling

// How what is due becomes batches.
//
// What is due at one instant goes in order of uid, which begins with the priority (see `Priority`). Whose uids are drawn at
// random share an instant evenly, whatever their number.
//
// Each batch takes from late admissions first, then from what is due of schedules and of timers. Their
// watermarks are apart, and so is their order: while both have something due, each has half of a batch at
// least, so that a herd of timers holds up no schedule, nor the other way round.
extension ShardFiring {
    mutating func formBatch(in draft: inout FireDraft<Payload>) -> PlannedBatch<Payload>? {
        var inFlight = InFlightBatch(to: self.issued, bytes: 0, timers: 0)
        let timersBefore = self.inFlightTimers.count
        self.takeLate(into: &draft)
        var last = LastTaken()
        if self.late.isEmpty { last = self.takeReady(into: &draft) }
        guard !draft.occurrences.isEmpty else { return nil }

        if self.late.isEmpty {
            let now = Watermark(through: self.wheel.now)
            let cron = self.readySchedules.isEmpty ? now : last.schedule ?? self.issued.cron
            let delay = self.readyTimers.isEmpty ? now : last.timer ?? self.issued.delay
            self.trimRuns(of: &draft, at: cron)
            inFlight.to.cron = max(self.issued.cron, cron)
            inFlight.to.delay = max(self.issued.delay, min(delay, Watermark(through: self.horizon)))
            inFlight.to.revision = max(self.issued.revision, self.applied)
        } else if let first = self.late.first {
            inFlight.to.revision = max(self.issued.revision, Revision(first.revision.rawValue - 1))
        }
        precondition(inFlight.to != self.issued, "a batch that settles must move the cursor")
        let batch = PlannedBatch(
            shard: self.shard, epoch: self.epoch, from: self.issued, to: inFlight.to, occurrences: draft.occurrences)
        self.issued = inFlight.to
        inFlight.bytes = draft.bytes
        inFlight.timers = self.inFlightTimers.count - timersBefore
        self.inFlight.append(inFlight)
        self.inFlightBytes += draft.bytes
        return batch
    }

    /// Takes late admissions. All of one revision go together, since a cursor cannot stand inside one.
    private mutating func takeLate(into draft: inout FireDraft<Payload>) {
        var lastRevision: Revision?
        while let item = self.late.first, !draft.isFull || item.revision == lastRevision {
            self.late.removeFirst()
            lastRevision = item.revision
            let number = item.token.number
            if item.token.isSchedule {
                guard let schedule = self.schedules[number], schedule.uid == item.uid,
                    item.occurrence.due <= self.end(of: number, schedule)
                else { continue }
                self.append(number, schedule, item.occurrence, .dispatched, .dispatched, caughtUp: false, to: &draft)
            } else {
                guard let timer = self.timers[number], timer.uid == item.uid, !timer.isInFlight else { continue }
                self.append(number, timer, to: &draft)
            }
        }
    }

    /// Takes what is due in order, as far as each kind's share goes.
    private mutating func takeReady(into draft: inout FireDraft<Payload>) -> LastTaken {
        var last = LastTaken()
        while !draft.isFull {
            switch (self.readySchedules.min, self.readyTimers.min) {
            case (nil, nil): return last
            case (_?, nil): last.schedule = self.takeSchedule(into: &draft)
            case (nil, _?): last.timer = self.takeTimer(into: &draft)
            case (let schedule?, let timer?):
                if draft.isHalf(draft.timers)
                    || !draft.isHalf(draft.schedules) && Self.precedes(schedule.key, timer.key)
                {
                    last.schedule = self.takeSchedule(into: &draft)
                } else {
                    last.timer = self.takeTimer(into: &draft)
                }
            }
        }
        return last
    }

    /// Whether what is due first of the schedules goes before what is due first of the timers.
    private static func precedes(_ schedule: Watermark, _ timer: Watermark) -> Bool {
        guard schedule.instant == timer.instant else { return schedule.instant < timer.instant }
        return Priority.rank(ofSchedule: schedule.tie) < Priority.rank(ofTimer: timer.tie)
    }

    /// - Precondition: there is one. A queue may hold what has become different since: that is passed over.
    private mutating func takeTimer(into draft: inout FireDraft<Payload>) -> Watermark {
        let item = self.readyTimers.removeMin()
        if let timer = self.timers[item.number], timer.watermark == item.key, !timer.isInFlight {
            if timer.due <= self.horizon {
                self.append(item.number, timer, to: &draft)
            } else {
                self.held.append(item)
            }
        }
        return item.key
    }

    /// - Precondition: there is one. A queue may hold what has become different since: that is passed over.
    private mutating func takeSchedule(into draft: inout FireDraft<Payload>) -> Watermark {
        let item = self.readySchedules.removeMin()
        guard let schedule = self.schedules[item.number], schedule.uid == item.key.tie,
            let occurrence = schedule.waiting, occurrence.due == item.key.instant
        else { return item.key }
        let plan = self.plan(of: schedule)
        switch plan.decision(on: occurrence, now: draft.now) {
        case .fire(let caughtUp):
            self.append(item.number, schedule, occurrence, .dispatched, .dispatched, caughtUp: caughtUp, to: &draft)
            self.placeNext(item.number, after: occurrence.due)
        case .skip(var run, let reason):
            let end = self.end(of: item.number, schedule)
            if run.last.due > end, let shorter = plan.run(from: occurrence, dueThrough: end) { run = shorter }
            draft.runs.append(
                .init(number: item.number, first: occurrence, last: run.last, index: draft.occurrences.count))
            self.append(item.number, schedule, occurrence, .skipped, reason, caughtUp: false, to: &draft)
            draft.occurrences[draft.occurrences.count - 1].count = run.count
            draft.occurrences[draft.occurrences.count - 1].through = run.last.scheduled
            self.placeNext(item.number, after: run.last.due)
        }
        return item.key
    }

    /// Cuts runs that reach past the end of the batch: what lies beyond is settled by a later one.
    private mutating func trimRuns(of draft: inout FireDraft<Payload>, at reached: Watermark) {
        for run in draft.runs {
            guard let schedule = self.schedules[run.number],
                Watermark(instant: run.last.due, tie: schedule.uid) > reached
            else { continue }
            let bound =
                schedule.uid <= reached.tie
                ? reached.instant : reached.instant.advanced(by: .milliseconds(-1))
            guard let shorter = self.plan(of: schedule).run(from: run.first, dueThrough: bound) else { continue }
            draft.occurrences[run.index].count = shorter.count
            draft.occurrences[run.index].through = shorter.last.scheduled
            self.placeNext(run.number, after: shorter.last.due)
        }
    }

    private func append(
        _ number: UInt32, _ schedule: HeldSchedule, _ occurrence: Occurrence, _ outcome: Outcome, _ reason: Reason,
        caughtUp: Bool, to draft: inout FireDraft<Payload>
    ) {
        let payload = self.payload(schedule.payload)
        draft.occurrences.append(
            PlannedOccurrence(
                kind: schedule.kind, uid: schedule.uid,
                generation: schedule.generation(self.rarities(of: number, schedule)),
                scheduled: occurrence.scheduled, due: occurrence.due, outcome: outcome, reason: reason, count: 1,
                through: occurrence.scheduled, caughtUp: caughtUp, payload: payload.payload,
                neighbours: self.plan(of: schedule).neighbours(of: occurrence)))
        draft.schedules.add(payload.bytes + PlannedBatch<Payload>.occurrenceOverheadBytes)
    }

    private mutating func append(_ number: UInt32, _ timer: HeldTimer, to draft: inout FireDraft<Payload>) {
        let isExpired = timer.isExpired(at: draft.now)
        let payload = self.payload(timer.payload)
        draft.occurrences.append(
            PlannedOccurrence(
                kind: .delay, uid: timer.uid, generation: 1, scheduled: timer.due, due: timer.due,
                outcome: isExpired ? .skipped : .dispatched, reason: isExpired ? .expired : .dispatched, count: 1,
                through: timer.due, caughtUp: false, payload: payload.payload))
        draft.timers.add(payload.bytes + PlannedBatch<Payload>.occurrenceOverheadBytes)
        self.inFlightTimers.append(number)
        self.timers.update(number) { $0.place = .inFlight }
    }
}

/// The keys of what a batch took last.
private struct LastTaken {
    var schedule: Watermark?
    var timer: Watermark?
}
