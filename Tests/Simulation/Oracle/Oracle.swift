import DispatcherDomain
import DispatcherService
import EscapementModel
import Store
import TestSupport
import WireProtocol

/// Watches the committed records and the database from outside and knows what must be true. Shares no code with what it
/// judges but the values that are on the wire and in the journal.
///
/// With each committed record: I1 no duplicate, I3 chain, I4 and I5 fences of shards and lanes, I8 not early, I14
/// order, and of I2 that nothing is given up. With each look at the database: I7 revisions. At the end, some time after
/// everything has been mended: I2 no loss, which with that time as its bound is I12 progress as well, I6 leaders, I9
/// documents, I10 changes, I11 durability. Not here: I13, the bounds of queues, which the tests of each queue look at.
final class Oracle: @unchecked Sendable {
    struct Violation: CustomStringConvertible {
        var invariant: String
        var detail: String
        var atSeconds: Double

        var description: String { "\(self.invariant) at \(self.atSeconds) s: \(self.detail)" }
    }

    /// What became of one occurrence, or a run of skipped ones.
    private struct Settled {
        var outcome: OutcomeRecord
        /// Up to which revision the shard stood before the entry that decided it: the one that settled it, or that
        /// parked it.
        var revisionBefore: Revision
    }

    private struct Point: Hashable {
        var uid: UID
        var scheduled: WallInstant
    }

    private struct VersionKey: Hashable {
        var uid: UID
        var generation: UInt64
    }

    /// Fires that follow each other.
    private struct Row: Hashable {
        var shard: ShardID
        var topic: String
    }

    /// When a fire was parked first.
    private struct Parking {
        /// The journal entry of the same transaction.
        var sequence: UInt64
        /// Up to where the shard stood before it.
        var revision: Revision
    }

    /// At most so many are kept: the first says what went wrong.
    private static let violationsMax = 20

    private let simulator: Simulator
    private let journalTopic: String
    /// How far a wall clock of this run may be ahead.
    var clockErrorMax = Duration.zero
    private(set) var violations: [Violation] = []

    private var laneEpochs: [LaneID: Epoch] = [:]
    private var sequences: [LaneID: UInt64] = [:]
    private var shards: [ShardID: ShardState] = [:]
    private var settled: [Point: Settled] = [:]
    private var runs: [UID: [OutcomeRecord]] = [:]
    private var published: Set<String> = []
    /// Fires that an HTTP host has taken, at least once each.
    private var delivered: Set<String> = []
    /// How far the shard stood when the fire was parked first: it was decided then, and is settled much later.
    private var parked: [Point: Parking] = [:]
    /// The entry that decided the last fire of each row.
    private var rows: [Row: UInt64] = [:]
    private var versions: [VersionKey: StoredSchedule] = [:]
    private var timers: [UID: StoredTimer] = [:]
    private var acknowledged: [UID: String] = [:]
    /// By shard: the revision of the last look at the database, which has shown everything up to it.
    private var shown: [ShardID: Revision] = [:]

    init(simulator: Simulator, journalTopic: String) {
        self.simulator = simulator
        self.journalTopic = journalTopic
    }

    /// Fires that came out behind the watermark: late admissions.
    private(set) var lateCount = 0
    var parkedCount: Int { self.parked.count }
    var settledCount: Int { self.settled.count }
    var dispatchedCount: Int { self.published.count }

    private var wallNow: WallInstant {
        SimulatedClocks.epoch.advanced(by: .nanoseconds(self.simulator.now))
    }

    private func expect(_ condition: Bool, _ invariant: String, _ detail: @autoclosure () -> String) {
        guard !condition, self.violations.count < Self.violationsMax else { return }
        self.violations.append(
            Violation(
                invariant: invariant, detail: detail(), atSeconds: Double(self.simulator.now) / 1_000_000_000))
    }

    // MARK: While it runs

    /// A record became visible to `read_committed` consumers.
    func committed(_ partition: SimulatedKafka.Partition, _ record: SimulatedKafka.Record) {
        if partition.topic == self.journalTopic {
            self.journal(LaneID(UInt16(partition.number)), record)
        } else if partition.topic == SimulatedCluster.parkedTopic {
            self.park(record, LaneID(UInt16(partition.number / ParkedQueue.count)))
        } else {
            let id = record.outgoing.headers.first { $0.name == "ce_id" }?.value ?? "no id"
            self.expect(self.published.insert(id).inserted, "I1", "\(id) is in \(partition.topic) twice")
        }
    }

    /// An HTTP host took a request.
    func delivered(_ id: String) { self.delivered.insert(id) }

    /// Parked fires lie before the entry of their transaction, so the shard stands where it stood when they were decided.
    private func park(_ stored: SimulatedKafka.Record, _ lane: LaneID) {
        do {
            let fire = try ParkedFire(decoding: stored.outgoing.value)
            let point = Point(uid: fire.occurrence.uid, scheduled: fire.occurrence.scheduled)
            guard self.parked[point] == nil else { return }
            self.parked[point] = Parking(
                sequence: (self.sequences[lane] ?? 0) + 1,
                revision: self.shards[fire.shard]?.cursor.revision ?? .none)
        } catch {
            self.expect(false, "I3", "a parked fire cannot be read: \(error)")
        }
    }

    private func journal(_ lane: LaneID, _ stored: SimulatedKafka.Record) {
        let record: JournalRecord
        do {
            record = try JournalCodec.decode(stored.outgoing.value)
        } catch {
            return self.expect(false, "I3", "lane \(lane) has a journal record that cannot be read: \(error)")
        }
        // A barrier carries no work: a deposed owner may write one, and learns from what lies before it.
        if case .barrier = record.body { return }
        let lastEpoch = self.laneEpochs[lane] ?? .none
        self.expect(record.laneEpoch >= lastEpoch, "I5", "lane \(lane): epoch \(record.laneEpoch) after \(lastEpoch)")
        self.laneEpochs[lane] = max(record.laneEpoch, lastEpoch)
        switch record.body {
        case .barrier: break
        case .part(let outcomes): for outcome in outcomes { self.settle(outcome, in: record.sequence) }
        case .entry(let states, let outcomes):
            self.expect(
                record.sequence > self.sequences[lane] ?? 0, "I3",
                "lane \(lane): entry \(record.sequence) after \(self.sequences[lane] ?? 0)")
            self.sequences[lane] = record.sequence
            for outcome in outcomes { self.settle(outcome, in: record.sequence) }
            for state in states { self.moved(state) }
        }
    }

    private func moved(_ state: ShardState) {
        if let before = self.shards[state.shard] {
            self.expect(
                state.epoch >= before.epoch, "I4", "shard \(state.shard): epoch \(state.epoch) after \(before.epoch)")
            self.expect(
                state.cursor.isAtLeast(before.cursor), "I3",
                "shard \(state.shard): cursor went from \(before.cursor) to \(state.cursor)")
        }
        self.shards[state.shard] = state
    }

    private func settle(_ outcome: OutcomeRecord, in sequence: UInt64) {
        let earliest = outcome.due.advanced(by: .zero - self.clockErrorMax)
        self.expect(
            outcome.outcome != .dispatched || self.wallNow >= earliest, "I8",
            "\(outcome.name) of \(outcome.scheduled) is out at \(self.wallNow)")
        // Everything passes here: a topic that is away, brokers that refuse several fires for being too large together.
        self.expect(
            outcome.outcome != .failed, "I2",
            "\(outcome.name) of \(outcome.scheduled) is given up, and nothing refuses a fire for its own sake: "
                + "\(outcome.reason.code), \(outcome.error)")
        if outcome.count > 1 {
            self.runs[outcome.uid, default: []].append(outcome)
            return
        }
        let point = Point(uid: outcome.uid, scheduled: outcome.scheduled)
        if let cursor = self.shards[outcome.shard]?.cursor, self.parked[point] == nil,
            outcome.due < (outcome.kind == .delay ? cursor.delay : cursor.cron).instant
        {
            self.lateCount += 1
        }
        self.inOrder(outcome, decidedBy: self.parked[point]?.sequence ?? sequence)
        let before = self.parked[point]?.revision ?? self.shards[outcome.shard]?.cursor.revision ?? .none
        if let first = self.settled.updateValue(Settled(outcome: outcome, revisionBefore: before), forKey: point) {
            self.expect(
                false, "I1",
                "\(outcome.name) of \(outcome.scheduled) is settled twice: \(first.outcome.outcome) under epoch "
                    + "\(first.outcome.epoch), \(outcome.outcome) under \(outcome.epoch)")
        }
    }

    /// Fires of a shard and topic come out in the order of the entries that decided them, also when they had to wait. What
    /// is due earlier is decided earlier, but for what was made when the watermark had passed it.
    private func inOrder(_ outcome: OutcomeRecord, decidedBy sequence: UInt64) {
        guard outcome.outcome == .dispatched, let topic = outcome.position?.topic else { return }
        let row = Row(shard: outcome.shard, topic: topic)
        let last = self.rows[row] ?? 0
        self.expect(
            sequence >= last, "I14",
            "\(outcome.name) of \(outcome.due) (shard \(outcome.shard)), decided by entry \(sequence), is in \(topic) "
                + "behind one of entry \(last)")
        self.rows[row] = max(last, sequence)
    }

    /// The API answered that it has stored this.
    func acknowledged(_ uid: UID, _ what: String) { self.acknowledged[uid] = what }

    /// What the database holds now, read past all faults.
    func saw(_ page: ShardPage, of shard: ShardID) {
        for version in page.schedules {
            let key = VersionKey(uid: version.uid, generation: version.generation)
            let known = self.versions.updateValue(version, forKey: key)
            self.changed(
                "\(version.name) (generation \(version.generation))", of: shard, in: page,
                at: known == nil ? version.createdRevision : known?.endedRevision == nil ? version.endedRevision : nil)
        }
        for timer in page.timers {
            let known = self.timers.updateValue(timer, forKey: timer.uid)
            self.changed(
                "timer \(timer.name)", of: shard, in: page,
                at: known == nil ? timer.revision : known?.endedRevision == nil ? timer.endedRevision : nil)
        }
        guard page.last else { return }
        let known = max(self.shown[shard] ?? .none, self.shards[shard]?.cursor.revision ?? .none)
        self.expect(
            page.revision >= known, "I7", "shard \(shard) is at revision \(page.revision) and was known at \(known)")
        self.shown[shard] = page.revision
    }

    /// What is new to us was not there when the shard was shown last.
    private func changed(_ what: String, of shard: ShardID, in page: ShardPage, at revision: Revision?) {
        guard let revision else { return }
        let shown = self.shown[shard] ?? .none
        self.expect(
            shown < revision && revision <= page.revision, "I7",
            "\(what) changed at revision \(revision) of shard \(shard), which was shown at \(shown) without it, and "
                + "now at \(page.revision)")
    }

    // MARK: At the end

    /// What leaders wrote, in the order of the commits, each with the epoch under which it led.
    func judge(leaders history: [AssignmentRecord]) {
        for (before, after) in zip(history, history.dropFirst()) {
            self.expect(
                after.leaderEpoch >= before.leaderEpoch, "I6",
                "leader epoch \(after.leaderEpoch) gave \(after.kind) \(after.number) away after epoch "
                    + "\(before.leaderEpoch) had written")
        }
    }

    /// Everything has been mended for long enough: nothing due by `end` may be open.
    func judge(end: WallInstant, documents: [String]) {
        var pointsOf: [UID: [Settled]] = [:]
        for settled in self.settled.values { pointsOf[settled.outcome.uid, default: []].append(settled) }
        let stored = Set(self.versions.keys.map(\.uid))
        for (uid, what) in self.acknowledged.sorted(by: { $0.key < $1.key }) {
            let isStored = self.timers[uid] != nil || stored.contains(uid)
            self.expect(isStored, "I11", "\(what) was acknowledged and is gone")
        }
        for version in self.versions.values.sorted(by: { ($0.uid, $0.generation) < ($1.uid, $1.generation) }) {
            self.judge(version, settled: pointsOf[version.uid] ?? [], end: end)
        }
        for timer in self.timers.values.sorted(by: { $0.uid < $1.uid }) { self.judge(timer, end: end) }
        var recorded: Set<String> = []
        // What was settled at the very end may still be on its way to the store.
        var due: Set<String> = []
        for settled in self.settled.values {
            let id = settled.outcome.id.description
            recorded.insert(id)
            if settled.outcome.settledAt <= end { due.insert(id) }
            // A request may have been taken by its host, and its fire have come to another end before that was written.
            let isOut = self.published.contains(id)
            let isRight =
                settled.outcome.outcome == .dispatched ? isOut || self.delivered.contains(id) : !isOut
            self.expect(
                isRight, "I1",
                "\(settled.outcome.name) of \(settled.outcome.scheduled) is \(settled.outcome.outcome) in the journal, "
                    + "and its topic or host says otherwise")
        }
        for run in self.runs.values.joined() { recorded.insert(run.id.description) }
        self.expect(self.published.isSubset(of: recorded), "I1", "a fire is out that no journal entry names")
        self.expect(
            due.isSubset(of: documents) && recorded.isSuperset(of: documents)
                && Set(documents).count == documents.count, "I9",
            "\(documents.count) documents for \(recorded.count) outcomes, \(due.subtracting(documents).count) are missing"
        )
    }

    private func judge(_ version: StoredSchedule, settled: [Settled], end: WallInstant) {
        let pattern = Pattern(storedIn: version)
        let last = min(version.until ?? end, end)
        for instant in pattern.instants(after: version.from, through: last) {
            let isRun = self.runs[version.uid]?.contains { $0.scheduled <= instant && instant <= $0.through } ?? false
            let isSettled = self.settled[Point(uid: version.uid, scheduled: instant)] != nil
            self.expect(
                isSettled || isRun, "I2",
                "\(version.name) of \(instant) (generation \(version.generation), shard \(version.shard)) is lost")
            self.expect(
                !(isSettled && isRun), "I1",
                "\(version.name) of \(instant) is settled alone and in a run of skipped ones")
        }
        // What was settled after the deletion was known must lie before it.
        guard let endedRevision = version.endedRevision, let until = version.until else { return }
        for settled in settled where settled.outcome.generation == version.generation {
            self.expect(
                settled.revisionBefore < endedRevision || settled.outcome.scheduled <= until, "I10",
                "\(version.name) of \(settled.outcome.scheduled) came out after its end at \(until) was known")
        }
    }

    private func judge(_ timer: StoredTimer, end: WallInstant) {
        let settled = self.settled[Point(uid: timer.uid, scheduled: timer.due)]
        if timer.due <= end, timer.endedRevision == nil {
            self.expect(
                settled != nil, "I2", "timer \(timer.name) of \(timer.due) (shard \(timer.shard)) is lost")
        }
        if let settled, let ended = timer.endedRevision {
            self.expect(
                settled.revisionBefore < ended, "I10", "timer \(timer.name) came out after its cancellation was known")
        }
    }
}

/// When a workload's schedules are due, found by looking at every second: slow and obviously right.
struct Pattern {
    /// Every so many seconds of the Unix clock.
    var everySeconds: Int64

    init(everySeconds: Int64) { self.everySeconds = everySeconds }

    /// The workload writes the pattern into the document that it stores.
    init(storedIn version: StoredSchedule) {
        self.everySeconds = Int64(String(decoding: version.body.document, as: UTF8.self)) ?? 1
    }

    /// A cron expression in UTC, or an interval anchored at the epoch, that says the same.
    func when(asCron: Bool) -> String {
        if asCron {
            return self.everySeconds < 60
                ? #"{"cron":["*/\#(self.everySeconds) * * * * *"],"timeZone":"UTC"}"#
                : #"{"cron":["0 */\#(self.everySeconds / 60) * * * *"],"timeZone":"UTC"}"#
        }
        return #"{"every":"\#(self.everySeconds)s","anchor":"1970-01-01T00:00:00Z"}"#
    }

    func instants(after: WallInstant, through: WallInstant) -> [WallInstant] {
        var found: [WallInstant] = []
        var second = after.milliseconds / 1000
        while second * 1000 <= through.milliseconds {
            if second * 1000 > after.milliseconds, second % self.everySeconds == 0 {
                found.append(WallInstant(milliseconds: second * 1000))
            }
            second += 1
        }
        return found
    }
}
