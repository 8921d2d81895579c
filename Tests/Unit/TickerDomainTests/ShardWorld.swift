import EscapementModel
import Scheduling
import Testing
import TestSupport
import TickerDomain

/// A shard beside a store that commits changes and answers by pages, a lane that compares and sets, and a world that
/// crashes owners, has others loaded ahead, loses answers and links, refuses batches and takes memory away.
struct ShardWorld: ~Copyable {
    static let endOfTime: Int64 = 6000
    var now: Int64 = 100
    var revision: UInt64 = 0
    var versions: [Version] = []
    var timers: [StoredTimer] = []
    var laneCursor = Cursor.start
    var settled: [String: Int] = [:]
    var toLane: [PlannedBatch<Int>] = []
    var toOwner: [Cursor] = []
    var owner: ShardFiring<Int>?
    /// Loaded, and not the owner.
    var prepared: ShardFiring<Int>?
    var epoch: UInt64 = 1
    var page: Page?
    /// Every request is for another instant.
    var horizonsAsked: Set<WallInstant> = []
    /// Timers that a cursor says are cancelled.
    var cancelledForGood: Set<UID> = []
    var pagesTaken = 0
    var unloads = 0
    var preparedTaken = 0
    var random: SeededRandom
    var crashes = 0
    var refusals = 0
    var pausedCount = 0
    var resumedCount = 0
    var nextUID: UInt64 = 1

    mutating func draw(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self.random) }
    mutating func drawPriority() -> Priority { Priority.allCases[self.draw(3)] }

    mutating func step() {
        switch self.draw(22) {
        case 16: self.requestHorizon()
        case 17, 19: self.pageStep()
        case 18: self.unload()
        case 20: self.prepare()
        case 21: self.loseFeed()
        case 14: if self.draw(3) == 0 { self.pause() }
        case 15: self.resume()
        case 0: self.createSchedule()
        case 1: self.updateOrDelete()
        case 2, 3: self.createTimer()
        case 4: self.cancelTimer()
        case 5: self.startOwner()
        case 6: self.feed()
        case 7:
            if self.draw(4) == 0 {
                self.owner = nil
                self.page = nil
                self.crashes += 1
                self.toOwner.removeAll()
            }
        case 8: self.loseLane()
        case 9: self.laneStep()
        case 10:
            if let cursor = self.toOwner.first {
                self.toOwner.removeFirst()
                self.owner?.acknowledged(cursor)
            }
        default:
            self.now = min(self.now + Int64(self.draw(40)), Self.endOfTime)
            self.tick()
        }
    }

    mutating func createSchedule() {
        guard self.versions.count < 30 else { return }
        self.revision += 1
        self.versions.append(
            Version(
                uid: ShardPlacement.scheduleUID(
                    priority: self.drawPriority(),
                    drawn: UID(high: 0, low: UInt64(self.draw(1_000_000)) << 20 | self.nextUID)), generation: 1,
                createdRevision: self.revision, replaces: false, from: self.now, endedRevision: nil, until: nil,
                period: Int64(self.draw(90) + 10), namespace: self.draw(3)))
        self.nextUID += 1
    }

    /// When a change takes effect: mostly now, sometimes a little later.
    mutating func effectiveAt() -> Int64 { self.now + (self.draw(3) == 0 ? Int64(self.draw(60)) : 0) }

    /// Ends what is in force of a schedule, or of all in a namespace: from `effectiveAt` on they are paused.
    mutating func pause() {
        let live = self.versions.indices.filter { self.versions[$0].endedRevision == nil }
        guard let chosen = live.randomElement(using: &self.random) else { return }
        let isWhole = self.draw(2) == 0
        let until = self.effectiveAt()
        self.revision += 1
        for index in live
        where index == chosen || isWhole && self.versions[index].namespace == self.versions[chosen].namespace {
            self.versions[index].endedRevision = self.revision
            self.versions[index].until = max(self.versions[index].from, until)
            self.pausedCount += 1
        }
    }

    /// Puts a paused schedule, or all of a namespace, in force again.
    mutating func resume() {
        let paused = self.versions.indices.filter { index in
            self.versions[index].endedRevision != nil
                && !self.versions.contains {
                    $0.uid == self.versions[index].uid && $0.generation > self.versions[index].generation
                }
        }
        guard let chosen = paused.randomElement(using: &self.random) else { return }
        let isWhole = self.draw(2) == 0
        let from = self.effectiveAt()
        self.revision += 1
        for index in paused
        where index == chosen || isWhole && self.versions[index].namespace == self.versions[chosen].namespace {
            self.succeed(index, from: max(self.versions[index].until ?? 0, from))
            self.resumedCount += 1
        }
    }

    /// The next version of a schedule, in force after `from`.
    mutating func succeed(_ index: Int, from: Int64) {
        var next = self.versions[index]
        next.generation += 1
        next.createdRevision = self.revision
        next.replaces = true
        next.from = from
        next.endedRevision = nil
        next.until = nil
        next.reflectedFrom = nil
        self.versions.append(next)
    }

    mutating func updateOrDelete() {
        let live = self.versions.indices.filter { self.versions[$0].endedRevision == nil }
        guard let index = live.randomElement(using: &self.random) else { return }
        self.revision += 1
        let from = max(self.versions[index].from, self.effectiveAt())
        self.versions[index].endedRevision = self.revision
        self.versions[index].until = from
        guard self.draw(2) == 0 else { return }
        self.succeed(index, from: from)
        self.versions[self.versions.count - 1].period = Int64(self.draw(90) + 10)
    }

    mutating func createTimer() {
        self.revision += 1
        for _ in 0...self.draw(3) {
            self.timers.append(
                StoredTimer(
                    uid: ShardPlacement.timerUID(
                        shard: ShardID(0), priority: self.drawPriority(),
                        drawn: UID(high: 1, low: UInt64(self.draw(1_000_000)) << 20 | self.nextUID)),
                    revision: self.revision, due: self.now + Int64(self.draw(400)) - 20))
            self.nextUID += 1
        }
    }

    mutating func cancelTimer() {
        let pending = self.timers.indices.filter {
            !self.timers[$0].isCancelled && self.timers[$0].due > self.now + 50
        }
        guard let index = pending.randomElement(using: &self.random) else { return }
        self.revision += 1
        self.timers[index].isCancelled = true
        self.timers[index].cancelRevision = self.revision
    }

    /// A new owner, or one that opens again: the lane's answer carries its cursor.
    mutating func startOwner() {
        if self.owner == nil {
            self.epoch += 1
            if let prepared = self.prepared.take() {
                self.owner = consume prepared
                self.owner?.taken(under: Epoch(self.epoch))
                self.preparedTaken += 1
            } else {
                self.owner = ShardFiring(
                    shard: ShardID(0), epoch: Epoch(self.epoch), now: WallInstant(milliseconds: self.now))
            }
        }
        guard self.owner?.phase == .opening else { return }
        // Batches of an earlier opening still on their way are refused by the lane: their `from` is stale
        // or they are exactly the next ones, which is as good as settled before the opening.
        while !self.toLane.isEmpty { self.laneStep() }
        self.toOwner.removeAll()
        self.owner?.opened(cursor: self.laneCursor, credit: Credit(batches: 3, bytes: 1 << 20))
        if self.owner?.hasContents == false {
            let horizon = self.drawHorizon()
            self.owner?.snapshotRequested(horizon: horizon)
            let changes = self.snapshot(to: horizon)
            self.owner?.load(changes, revision: Revision(self.revision), last: true)
        }
    }

    /// Another ticker loads what is not settled now, as far as a horizon reaches.
    mutating func prepare() {
        guard self.owner != nil, self.prepared == nil else { return }
        var other = ShardFiring<Int>(
            shard: ShardID(0), epoch: Epoch(self.epoch), now: WallInstant(milliseconds: self.now))
        let horizon = self.drawHorizon()
        other.snapshotRequested(horizon: horizon)
        other.load(self.snapshot(to: horizon), revision: Revision(self.revision), last: true)
        self.prepared = consume other
    }

    /// What the store has that is not settled where the lane stands.
    func snapshot(to horizon: WallInstant) -> [ShardChange<Int>] {
        let timers = self.timers.filter { timer in
            !timer.isCancelled && timer.due <= horizon.milliseconds
                && (timer.watermark > self.laneCursor.delay
                    || Revision(timer.revision) > self.laneCursor.revision)
        }
        return self.versions.map(\.change) + timers.map(\.change)
    }

    mutating func drawHorizon() -> WallInstant {
        WallInstant(milliseconds: min(self.now + Int64(self.draw(300)), Self.endOfTime))
    }

    /// The owner asks for timers further ahead.
    mutating func requestHorizon() {
        guard self.owner?.phase == .active, self.owner?.requestedHorizon == nil, let horizon = self.owner?.horizon,
            horizon.milliseconds < Self.endOfTime
        else { return }
        var through = max(horizon, self.drawHorizon())
        while !self.horizonsAsked.insert(through).inserted { through = through.advanced(by: .milliseconds(1)) }
        self.owner?.horizonRequested(through: through)
        self.page = Page(after: Watermark(through: horizon), through: through)
    }

    /// The store reads a page, or what it read reaches the owner: changes may come in between, to either.
    mutating func pageStep() {
        guard var page = self.page else { return }
        guard let answer = page.answer else {
            let size = self.draw(6) + 1
            let found = self.timers.filter { timer in
                !timer.isCancelled && timer.watermark > page.after && timer.due <= page.through.milliseconds
            }.sorted { $0.watermark < $1.watermark }
            page.answer = found.prefix(size).map(\.entry)
            page.isLast = found.count <= size
            self.page = page
            return
        }
        self.owner?.extendHorizon(answer, through: page.through, last: page.isLast)
        self.page = nil
        self.pagesTaken += 1
        guard self.owner?.requestedHorizon == page.through, let end = answer.last else { return }
        if self.draw(6) == 0 {
            self.owner?.stopLoading(before: end.due)
        } else {
            self.page = Page(after: Watermark(instant: end.due, tie: end.uid), through: page.through)
        }
    }

    /// Memory is short: the owner forgets what is not due soon. Pages under way still arrive.
    mutating func unload() {
        guard self.owner?.phase == .active, self.draw(2) == 0 else { return }
        let horizon = WallInstant(milliseconds: self.now + Int64(self.draw(30)))
        if let held = self.owner?.horizon, horizon < held { self.unloads += 1 }
        self.owner?.unload(after: horizon)
    }

    /// The link to the leader is lost: with it the pages, and what nobody keeps up to date any more.
    mutating func loseFeed() {
        guard self.draw(6) == 0 else { return }
        self.page = nil
        self.owner?.horizonAbandoned()
        self.prepared = nil
    }

    /// A delta up to now, to the owner and to who is loaded ahead.
    mutating func feed() {
        if let applied = self.owner?.applied, self.owner?.hasContents == true {
            let changes = self.changes(after: applied)
            #expect(self.owner?.apply(changes, from: applied, through: Revision(self.revision)) == true)
        }
        if let applied = self.prepared?.applied {
            let changes = self.changes(after: applied)
            #expect(self.prepared?.apply(changes, from: applied, through: Revision(self.revision)) == true)
        }
    }

    func changes(after revision: Revision) -> [ShardChange<Int>] {
        let after = revision.rawValue
        var changes: [ShardChange<Int>] = []
        for version in self.versions {
            if version.createdRevision > after {
                changes.append(version.change)
            } else if let ended = version.endedRevision, ended > after, let until = version.until {
                changes.append(
                    .scheduleEnded(
                        uid: version.uid, generation: version.generation, revision: Revision(ended),
                        until: WallInstant(milliseconds: until)))
            }
        }
        for timer in self.timers {
            if timer.isCancelled, timer.cancelRevision > after {
                changes.append(.timerCancelled(uid: timer.uid, due: WallInstant(milliseconds: timer.due)))
            } else if timer.revision > after, !timer.isCancelled {
                changes.append(timer.change)
            }
        }
        return changes
    }

    mutating func tick() {
        while let batch = self.owner?.plan(now: WallInstant(milliseconds: self.now)) { self.toLane.append(batch) }
    }

    mutating func loseLane() {
        guard self.owner?.phase == .active, self.draw(3) == 0 else { return }
        self.owner?.closed()
    }

    /// The lane takes one batch: accepted from exactly its cursor, refused otherwise; the answer may be lost.
    mutating func laneStep() {
        guard !self.toLane.isEmpty else { return }
        let batch = self.toLane.removeFirst()
        guard batch.from == self.laneCursor else {
            self.refusals += 1
            return
        }
        #expect(batch.to.cron >= batch.from.cron && batch.to.delay >= batch.from.delay)
        #expect(batch.to.revision >= batch.from.revision)
        self.laneCursor = batch.to
        for index in self.versions.indices {
            let created = Revision(self.versions[index].createdRevision)
            if self.versions[index].reflectedFrom == nil, created <= batch.to.revision {
                self.versions[index].reflectedFrom = batch.from.cron
            }
        }
        self.judgeOrder(of: batch)
        for occurrence in batch.occurrences {
            #expect(occurrence.due.milliseconds <= self.now, "nothing is early")
            #expect(!self.cancelledForGood.contains(occurrence.uid), "a cancelled timer fires")
            self.settled["\(occurrence.uid) \(occurrence.scheduled.milliseconds)", default: 0] += 1
        }
        for timer in self.timers
        where timer.isCancelled && Revision(timer.cancelRevision) <= batch.to.revision
            && timer.watermark > batch.to.delay
        {
            self.cancelledForGood.insert(timer.uid)
        }
        if self.draw(5) > 0 {
            self.toOwner.append(batch.to)
        } else {
            // The acknowledgement is lost with the link.
            self.owner?.closed()
        }
    }

    /// By due instant, priority and uid, but for what is admitted late.
    func judgeOrder(of batch: PlannedBatch<Int>) {
        var schedules: [Watermark] = []
        var timers: [Watermark] = []
        for occurrence in batch.occurrences {
            let key = Watermark(instant: occurrence.due, tie: occurrence.uid)
            if occurrence.kind == .delay {
                if key > batch.from.delay { timers.append(key) }
            } else if key > batch.from.cron {
                schedules.append(key)
            }
        }
        #expect(schedules == schedules.sorted() && timers == timers.sorted())
    }

    mutating func converge() {
        self.now = Self.endOfTime
        for _ in 0..<10_000 {
            self.startOwner()
            self.feed()
            self.requestHorizon()
            while self.page != nil { self.pageStep() }
            self.tick()
            while !self.toLane.isEmpty { self.laneStep() }
            while !self.toOwner.isEmpty { self.owner?.acknowledged(self.toOwner.removeFirst()) }
            if self.owner?.phase == .active, self.owner?.overdueCount == 0, self.owner?.inFlightCount == 0,
                let horizon = self.owner?.horizon, horizon.milliseconds >= Self.endOfTime
            {
                break
            }
        }
    }

    /// What must have been settled. A version that replaces another takes effect when it is applied: up to
    /// there the older one was in force.
    var expected: Set<String> {
        var expected: Set<String> = []
        for version in self.versions {
            let start = version.replaces ? version.reflectedFrom ?? self.laneCursor.cron : .start
            for due in version.dues where due > version.from && due <= min(version.until ?? .max, self.now) {
                guard Watermark(instant: WallInstant(milliseconds: due), tie: version.uid) > start else { continue }
                expected.insert("\(version.uid) \(due)")
            }
        }
        for timer in self.timers where !timer.isCancelled && timer.due <= self.now {
            expected.insert("\(timer.uid) \(timer.due)")
        }
        return expected
    }
}
