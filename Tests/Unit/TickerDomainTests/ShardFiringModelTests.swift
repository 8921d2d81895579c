import EscapementModel
import Scheduling
import Testing
import TestSupport
import TickerDomain

/// A shard beside a store that commits changes, a lane that compares and sets, and a world that crashes
/// owners, loses answers and refuses batches. At the end every occurrence was settled exactly once.
@Suite struct ShardFiringModelTests {
    private struct Version {
        var uid: UID
        var generation: UInt64
        var createdRevision: UInt64
        var replaces: Bool
        var from: Int64
        var endedRevision: UInt64?
        var until: Int64?
        var period: Int64
        /// All of one namespace are paused and resumed together.
        var namespace: Int
        /// Where the lane stood when it first settled anything that reflects the version.
        var reflectedFrom: Watermark?

        var dues: [Int64] { Array(stride(from: self.period, through: World.endOfTime, by: Int(self.period))) }

        var change: ShardChange<Int> {
            .schedule(
                ScheduleEntry(
                    uid: self.uid, generation: self.generation, kind: .interval,
                    createdRevision: Revision(self.createdRevision), replaces: self.replaces,
                    from: WallInstant(milliseconds: self.from), endedRevision: self.endedRevision.map { Revision($0) },
                    until: self.until.map { WallInstant(milliseconds: $0) }, plan: ListPlan(dues: self.dues),
                    payload: 0, payloadBytes: 10))
        }
    }

    private struct StoredTimer {
        var uid: UID
        var revision: UInt64
        var due: Int64
        var isCancelled = false
        var cancelRevision: UInt64 = 0

        var change: ShardChange<Int> {
            .timer(
                TimerEntry(
                    uid: self.uid, revision: Revision(self.revision), due: WallInstant(milliseconds: self.due),
                    expireAfterMilliseconds: 0, payload: 0, payloadBytes: 10))
        }
    }

    private struct World: ~Copyable {
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
        var random: SeededRandom
        var crashes = 0
        var refusals = 0
        var pausedCount = 0
        var resumedCount = 0
        var nextUID: UInt64 = 1

        mutating func draw(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self.random) }

        mutating func step() {
            switch self.draw(16) {
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
                    uid: UID(high: 0, low: UInt64(self.draw(1_000_000)) << 20 | self.nextUID), generation: 1,
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
                        uid: UID(high: 1, low: UInt64(self.draw(1_000_000)) << 20 | self.nextUID),
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
                self.owner = ShardFiring(
                    shard: ShardID(0), epoch: Epoch(1), now: WallInstant(milliseconds: self.now))
            }
            guard self.owner?.phase == .opening else { return }
            // Batches of an earlier opening still on their way are refused by the lane: their `from` is stale
            // or they are exactly the next ones, which is as good as settled before the opening.
            while !self.toLane.isEmpty { self.laneStep() }
            self.toOwner.removeAll()
            self.owner?.opened(cursor: self.laneCursor, credit: Credit(batches: 3, bytes: 1 << 20))
            if self.owner?.hasContents == false {
                self.owner?.snapshotRequested(horizon: WallInstant(milliseconds: Self.endOfTime))
                let changes =
                    self.versions.map(\.change) + self.timers.filter { !$0.isCancelled }.map(\.change)
                self.owner?.load(changes, revision: Revision(self.revision), last: true)
            }
        }

        /// A delta up to now.
        mutating func feed() {
            guard let applied = self.owner?.applied, self.owner?.hasContents == true else { return }
            let after = applied.rawValue
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
            let follows = self.owner?.apply(changes, from: applied, through: Revision(self.revision))
            #expect(follows == true)
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
            for occurrence in batch.occurrences {
                #expect(occurrence.due.milliseconds <= self.now, "nothing is early")
                self.settled["\(occurrence.uid) \(occurrence.scheduled.milliseconds)", default: 0] += 1
            }
            if self.draw(5) > 0 {
                self.toOwner.append(batch.to)
            } else {
                // The acknowledgement is lost with the link.
                self.owner?.closed()
            }
        }

        mutating func converge() {
            self.now = Self.endOfTime
            for _ in 0..<10_000 {
                self.startOwner()
                self.feed()
                self.tick()
                while !self.toLane.isEmpty { self.laneStep() }
                while !self.toOwner.isEmpty { self.owner?.acknowledged(self.toOwner.removeFirst()) }
                if self.owner?.phase == .active, self.owner?.overdueCount == 0, self.owner?.inFlightCount == 0 { break }
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

    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func `every occurrence is settled exactly once whatever fails`(seed: UInt64) {
        var world = World(random: SeededRandom(seed: seed))
        for _ in 0..<1500 { world.step() }
        world.converge()
        #expect(world.pausedCount > 0 && world.resumedCount > 0, "seed \(seed): nothing was paused and resumed")
        let expected = world.expected
        let doubled = world.settled.filter { $0.value > 1 }
        #expect(doubled.isEmpty, "seed \(seed): settled more than once")
        let missing = expected.subtracting(world.settled.keys)
        #expect(missing.isEmpty, "seed \(seed): \(missing.count) occurrences missed")
    }
}
