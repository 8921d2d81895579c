import DequeModule
import EscapementModel
import HeapModule
import Scheduling

// What a shard holds, and where each of it waits.
extension ShardFiring {
    mutating func becomeActiveIfLoaded() {
        guard self.phase == .loading, self.isLoaded,
            self.applied >= self.issued.revision || Defence.revisionGuard.isRemoved
        else { return }
        self.phase = .active
        self.rebuild()
    }

    mutating func clearContents() {
        self.wheel = Self.makeWheel(self.shard, now: self.wheel.now)
        self.schedules.removeAll()
        self.timers.removeAll()
        self.plans.removeAll()
        self.payloads.removeAll()
        self.payloadBytes = 0
        self.rarities.removeAll()
        self.forgetPlans()
        for index in self.inFlight.indices { self.inFlight[index].timers = 0 }
        self.inFlightTimers.removeAll()
        self.horizon = .distantPast
        self.applied = .none
        self.isLoaded = false
    }

    private mutating func forgetPlans() {
        self.readySchedules = Heap()
        self.readyTimers = Heap()
        self.late.removeAll()
        self.held.removeAll()
        self.finished.removeAll()
    }

    /// Plans everything again from the cursor.
    mutating func rebuild() {
        self.wheel = Self.makeWheel(self.shard, now: self.wheel.now)
        self.forgetPlans()
        // Late admissions must be in order of revision: a cursor's revision covers all before the first. Others, by far
        // the most, need no order.
        let known = self.issued.revision
        var later: [(Revision, HeldToken)] = []
        for number in self.schedules.numbers {
            guard let revision = self.schedules[number]?.createdRevision else { continue }
            self.schedules.update(number) { $0.place = .none }
            if revision > known { later.append((revision, .schedule(number))) } else { self.admit(.schedule(number)) }
        }
        for number in self.timers.numbers {
            guard let revision = self.timers[number]?.revision else { continue }
            self.timers.update(number) { $0.place = .none }
            if revision > known { later.append((revision, .timer(number))) } else { self.admit(.timer(number)) }
        }
        later.sort { ($0.0, $0.1.rawValue) < ($1.0, $1.1.rawValue) }
        for (_, token) in later { self.admit(token) }
    }

    /// Keeps a change; what to admit, or `nil` when there is nothing to plan for it.
    @discardableResult mutating func store(_ change: ShardChange<Payload>) -> HeldToken? {
        switch change {
        case .schedule(let entry):
            if let known = self.number(of: entry.uid, generation: entry.generation) {
                if let until = entry.until, entry.endedRevision != nil { self.end(known, until: until) }
                return nil
            }
            return .schedule(self.keep(entry))
        case .scheduleEnded(let uid, let generation, _, let until):
            if let known = self.number(of: uid, generation: generation) { self.end(known, until: until) }
            return nil
        case .timer(let entry):
            guard self.timers.number(of: entry.uid) == nil,
                entry.due <= max(self.horizon, self.requestedHorizon ?? .distantPast)
            else { return nil }
            let payload = self.take(SizedPayload(payload: entry.payload, bytes: entry.payloadBytes))
            return .timer(self.timers.insert(HeldTimer(entry, payload: payload)))
        case .timerCancelled(let uid, let due):
            self.cancel(uid, due: due)
            return nil
        }
    }

    private mutating func keep(_ entry: ScheduleEntry<Payload>) -> UInt32 {
        let rarities = HeldSchedule.Rarities(entry)
        let isRare = rarities != HeldSchedule.Rarities()
        let number = self.schedules.insert(
            HeldSchedule(
                entry, plan: self.plans.take(SharedPlan(plan: entry.plan)),
                payload: self.take(SizedPayload(payload: entry.payload, bytes: entry.payloadBytes)),
                hasRarities: isRare))
        if isRare { self.rarities[number] = rarities }
        return number
    }

    private mutating func forgetSchedule(_ number: UInt32) {
        guard let schedule = self.schedules[number] else { return }
        self.plans.release(schedule.plan)
        self.release(payload: schedule.payload)
        if schedule.hasRarities { self.rarities[number] = nil }
        self.schedules.remove(number)
    }

    mutating func forgetTimer(_ number: UInt32) {
        guard let timer = self.timers[number] else { return }
        self.release(payload: timer.payload)
        self.timers.remove(number)
    }

    private mutating func take(_ payload: SizedPayload) -> UInt32 {
        let before = self.payloads.count
        let number = self.payloads.take(payload)
        if self.payloads.count > before { self.payloadBytes += payload.bytes }
        return number
    }

    private mutating func release(payload number: UInt32) {
        let bytes = self.payloads[number]?.bytes ?? 0
        let before = self.payloads.count
        self.payloads.release(number)
        if self.payloads.count < before { self.payloadBytes -= bytes }
    }

    func payload(_ number: UInt32) -> SizedPayload {
        guard let payload = self.payloads[number] else { preconditionFailure("payload \(number) is gone") }
        return payload
    }

    func plan(of schedule: HeldSchedule) -> any OccurrencePlan {
        guard let shared = self.plans[schedule.plan] else { preconditionFailure("plan \(schedule.plan) is gone") }
        return shared.plan
    }

    func rarities(of number: UInt32, _ schedule: HeldSchedule) -> HeldSchedule.Rarities {
        schedule.hasRarities ? self.rarities[number] ?? HeldSchedule.Rarities() : HeldSchedule.Rarities()
    }

    /// Occurrences due after this instant are not the version's; `.distantFuture` while it is in force.
    func end(of number: UInt32, _ schedule: HeldSchedule) -> WallInstant {
        self.rarities(of: number, schedule).until ?? .distantFuture
    }

    private func number(of uid: UID, generation: UInt64) -> UInt32? {
        let rarities = self.rarities
        return self.schedules.number(of: uid) { number, schedule in
            schedule.generation(schedule.hasRarities ? rarities[number] ?? .init() : .init()) == generation
        }
    }

    /// Ends a version: occurrences after `until` are not its any more.
    private mutating func end(_ number: UInt32, until: WallInstant) {
        guard let schedule = self.schedules[number] else { return }
        var rarities = self.rarities(of: number, schedule)
        guard rarities.until == nil else { return }
        rarities.until = until
        self.rarities[number] = rarities
        self.schedules.update(number) { $0.hasRarities = true }
        guard let waiting = schedule.waiting, waiting.due > until else { return }
        if let id = schedule.place.waitingID { self.wheel.remove(waiting: id) }
        self.schedules.update(number) { schedule in
            schedule.place = .none
            schedule.waiting = nil
        }
        // Kept while a batch in flight may have to be planned again.
        self.finished.append(number)
        self.dropFinished()
    }

    mutating func dropFinished() {
        guard self.phase == .active, self.inFlight.isEmpty, self.late.isEmpty, !self.finished.isEmpty else { return }
        for number in self.finished {
            if let schedule = self.schedules[number], schedule.waiting == nil { self.forgetSchedule(number) }
        }
        self.finished.removeAll()
    }

    mutating func cancel(_ uid: UID, due: WallInstant) {
        if self.isLoaded, self.requestedHorizon != nil { self.cancelledMeanwhile.insert(uid) }
        var fired = Watermark(instant: due, tie: uid) <= self.issued.delay
        if let number = self.timers.number(of: uid), let timer = self.timers[number] {
            fired = timer.isInFlight
            if !timer.isInFlight {
                if let id = timer.place.waitingID { self.wheel.remove(waiting: id) }
                self.forgetTimer(number)
            }
        }
        self.note(cancelled: uid, fired: fired)
    }

    /// Plans what is stored by the rule of the cursor.
    mutating func admit(_ token: HeldToken) {
        if token.isSchedule {
            if let schedule = self.schedules[token.number] { self.admit(token.number, schedule) }
            return
        }
        guard let timer = self.timers[token.number] else { return }
        if timer.watermark > self.issued.delay {
            self.placeTimer(token.number, timer)
        } else if timer.revision > self.issued.revision, !Defence.lateAdmission.isRemoved {
            self.late.append(
                LateRecord(
                    token: token, uid: timer.uid, occurrence: Occurrence(scheduled: timer.due, due: timer.due),
                    revision: timer.revision))
        } else {
            self.forgetTimer(token.number)
        }
    }

    private mutating func admit(_ number: UInt32, _ schedule: HeldSchedule) {
        let watermark = self.issued.cron
        // The last due instant that is settled for this uid.
        let settledThrough =
            watermark.instant == .distantPast || schedule.uid <= watermark.tie
            ? watermark.instant : watermark.instant.advanced(by: .milliseconds(-1))
        if schedule.createdRevision > self.issued.revision, !schedule.replaces, !Defence.lateAdmission.isRemoved {
            let plan = self.plan(of: schedule)
            let end = min(settledThrough, self.end(of: number, schedule))
            var position = schedule.from
            while let occurrence = plan.next(after: position), occurrence.due <= end {
                self.late.append(
                    LateRecord(
                        token: .schedule(number), uid: schedule.uid, occurrence: occurrence,
                        revision: schedule.createdRevision))
                position = occurrence.due
            }
            self.placeNext(number, after: max(position, schedule.from))
        } else {
            self.placeNext(number, after: max(settledThrough, schedule.from))
        }
    }

    /// Plans the schedule's first occurrence due after `due`; without one the version is finished.
    mutating func placeNext(_ number: UInt32, after due: WallInstant) {
        guard var schedule = self.schedules[number] else { return }
        if let id = schedule.place.waitingID { self.wheel.remove(waiting: id) }
        schedule.place = .none
        schedule.waiting = self.plan(of: schedule).next(after: due)
        if let next = schedule.waiting, next.due <= self.end(of: number, schedule) {
            if next.due > self.wheel.now {
                schedule.place = WheelPlace(
                    self.wheel.insert(due: next.due, token: HeldToken.schedule(number).rawValue))
            } else {
                self.readySchedules.insert(
                    ReadyRecord(key: Watermark(instant: next.due, tie: schedule.uid), number: number))
            }
        } else {
            schedule.waiting = nil
            self.finished.append(number)
        }
        self.schedules.update(number) { $0 = schedule }
    }

    private mutating func placeTimer(_ number: UInt32, _ timer: HeldTimer) {
        if timer.due > self.wheel.now {
            let handle = self.wheel.insert(due: timer.due, token: HeldToken.timer(number).rawValue)
            self.timers.update(number) { $0.place = WheelPlace(handle) }
        } else {
            self.readyTimers.insert(ReadyRecord(key: timer.watermark, number: number))
        }
    }
}
