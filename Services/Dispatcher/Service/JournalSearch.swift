package import DispatcherDomain
package import EscapementModel
import JSON

/// Looks in the journal for what became of one occurrence: for when the activation store has no record of it, or is
/// away.
///
/// Any dispatcher can answer for any lane, since the journal is a topic. It goes as far back as the topic is kept.
package struct JournalSearch: Sendable {
    /// The occurrence that is asked for.
    package struct Question: Hashable, Sendable {
        package var shard: ShardID
        /// Of the schedule or timer.
        package var uid: UID
        package var scheduled: WallInstant
        package var due: WallInstant
        package var isTimer: Bool

        package init(shard: ShardID, uid: UID, scheduled: WallInstant, due: WallInstant, isTimer: Bool) {
            self.shard = shard
            self.uid = uid
            self.scheduled = scheduled
            self.due = due
            self.isTimer = isTimer
        }
    }

    package struct Answer: Equatable, Sendable {
        /// What became of it, and which dispatcher wrote so.
        package var outcome: OutcomeRecord?
        package var dispatcher: NodeID?
        /// The shard is settled beyond the occurrence: its outcome has been written. `nil` when the end of the journal
        /// does not tell.
        package var isSettled: Bool?
        /// All that was written since the occurrence was due has been looked at.
        package var isComplete: Bool
    }

    /// Records of one step.
    private static let stepMax = 256
    /// How long one search may take; what asks waits ten seconds.
    package static let timeMax = Duration.seconds(6)
    /// By how much clocks of dispatchers may be behind the one that timers go by.
    private static let clockMargin = Duration.seconds(60)
    /// Offsets from the end in which the last entry is looked for: first so many, in the end so many.
    private static let tailMin: Int64 = 32
    private static let tailMax: Int64 = 8192

    private let journal: any JournalReader
    private let laneCount: Int
    private let clocks: any Clocks

    package init(journal: any JournalReader, laneCount: Int, clocks: any Clocks) {
        self.journal = journal
        self.laneCount = laneCount
        self.clocks = clocks
    }

    package func answer(_ question: Question) async throws(JournalError) -> Answer {
        let lane = question.shard.lane(of: self.laneCount)
        let cursor = try await self.lastCursor(of: question.shard, in: lane)
        let started = self.clocks.monotonicNow()
        var assembler = JournalAssembler(startingAt: 0)
        var start = JournalStart.since(question.due.advanced(by: .zero - Self.clockMargin))
        var reachesBack: Bool?
        var isComplete = false
        while self.clocks.monotonicNow().duration(since: started) < Self.timeMax {
            let stretch = try await self.journal.scan(lane, from: start, max: Self.stepMax)
            reachesBack = reachesBack ?? stretch.reachesBack
            for record in stretch.records {
                guard let entry = assembler.take(record),
                    let found = entry.outcomes.first(where: { Self.matches($0, question) })
                else { continue }
                return Answer(outcome: found, dispatcher: entry.dispatcher, isSettled: true, isComplete: true)
            }
            if stretch.isEnd {
                isComplete = reachesBack == true
                break
            }
            start = .offset(stretch.next)
        }
        let mark = cursor.map { question.isTimer ? $0.delay : $0.cron }
        return Answer(
            outcome: nil, dispatcher: nil,
            isSettled: mark.map { Watermark(instant: question.due, tie: question.uid) <= $0 }, isComplete: isComplete)
    }

    /// How far the shard is settled, by the last entry of the lane.
    private func lastCursor(of shard: ShardID, in lane: LaneID) async throws(JournalError) -> Cursor? {
        var count = Self.tailMin
        while count <= Self.tailMax {
            let tail = try await self.journal.scan(lane, from: .last(count), max: Int(count))
            for record in tail.records.reversed() {
                guard case .entry(let shards, _)? = record.record?.body else { continue }
                return shards.first { $0.shard == shard }?.cursor
            }
            count *= 16
        }
        return nil
    }

    /// Triggers and backfills bear the schedule's uid too, and are not its occurrences.
    private static func matches(_ outcome: OutcomeRecord, _ question: Question) -> Bool {
        guard outcome.uid == question.uid, outcome.kind != .manual, outcome.kind != .backfill else { return false }
        return outcome.scheduled <= question.scheduled && question.scheduled <= outcome.through
    }
}

extension JournalSearch.Question {
    /// Reads the member `journal` of a query document.
    ///
    /// - Throws: `ActivationQueryError` naming the member that is wrong.
    init(document: JSONValue) throws(ActivationQueryError) {
        guard let shard = document["shard"]?.integerValue.flatMap({ UInt16(exactly: $0) }) else {
            throw ActivationQueryError(detail: "journal.shard must be a number of a shard")
        }
        guard let uid = document["uid"]?.stringValue.flatMap({ UID(text: $0) }) else {
            throw ActivationQueryError(detail: "journal.uid must be the uid of a schedule or timer")
        }
        guard let scheduled = document["scheduledAt"]?.stringValue.flatMap({ WallInstant(text: $0) }),
            let due = document["dueAt"]?.stringValue.flatMap({ WallInstant(text: $0) })
        else { throw ActivationQueryError(detail: "journal.scheduledAt and journal.dueAt must be times") }
        self.init(
            shard: ShardID(shard), uid: uid, scheduled: scheduled, due: due,
            isTimer: document["kind"]?.stringValue == FireKind.delay.name)
    }
}
