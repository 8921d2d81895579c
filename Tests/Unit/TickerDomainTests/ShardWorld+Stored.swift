import EscapementModel
import Scheduling
import TickerDomain

// What a world's store holds, and what it answers.
extension ShardWorld {
    struct Version {
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

        var dues: [Int64] { Array(stride(from: self.period, through: ShardWorld.endOfTime, by: Int(self.period))) }

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

    struct StoredTimer {
        var uid: UID
        var revision: UInt64
        var due: Int64
        var isCancelled = false
        var cancelRevision: UInt64 = 0

        var watermark: Watermark { Watermark(instant: WallInstant(milliseconds: self.due), tie: self.uid) }
        var entry: TimerEntry<Int> {
            TimerEntry(
                uid: self.uid, revision: Revision(self.revision), due: WallInstant(milliseconds: self.due),
                expireAfterMilliseconds: 0, payload: 0, payloadBytes: 10)
        }
        var change: ShardChange<Int> { .timer(self.entry) }
    }

    /// A part of the horizon, asked for by the owner.
    struct Page {
        var after: Watermark
        var through: WallInstant
        /// What the store answered, on its way to the owner; `nil` before it has read.
        var answer: [TimerEntry<Int>]?
        var isLast = false
    }
}
