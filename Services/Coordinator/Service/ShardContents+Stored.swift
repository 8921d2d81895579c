import EscapementModel
import NIOCore
import Store
import WireProtocol

extension ScheduleVersion {
    init(_ stored: StoredSchedule) {
        self.init(
            uid: stored.uid, generation: stored.generation, kind: stored.body.kind,
            createdRevision: stored.createdRevision, replaces: stored.replaces, from: stored.from,
            endedRevision: stored.endedRevision, until: stored.until, createdAt: stored.createdAt,
            when: ByteBuffer(bytes: stored.body.when),
            misfire: MisfireFields(
                policy: stored.body.misfirePolicy, toleranceMilliseconds: stored.body.misfireToleranceMilliseconds,
                windowMilliseconds: stored.body.misfireWindowMilliseconds, limit: stored.body.misfireLimit),
            template: ByteBuffer(bytes: stored.body.template))
    }
}

extension TimerVersion {
    init(_ stored: StoredTimer) {
        self.init(
            uid: stored.uid, revision: stored.revision, due: stored.due, endedRevision: stored.endedRevision,
            expireAfterMilliseconds: stored.expireAfterMilliseconds, template: ByteBuffer(bytes: stored.template))
    }
}

/// Cuts rows into parts that fit a frame well.
enum PageCutter {
    /// Rows of one part.
    static let rowsMax = 500
    /// Bytes of one part, unless a single row has more.
    static let bytesMax = 512 * 1024

    private static func size(_ schedule: StoredSchedule) -> Int {
        96 + schedule.body.when.count + schedule.body.template.count
    }

    private static func size(_ timer: StoredTimer) -> Int { 64 + timer.template.count }

    /// The rows in parts; one empty part when there are none.
    static func parts(schedules: [StoredSchedule], timers: [StoredTimer]) -> [ShardContents] {
        var parts: [ShardContents] = [ShardContents()]
        var bytes = 0
        func open(for size: Int) {
            let rows = parts[parts.count - 1].schedules.count + parts[parts.count - 1].timers.count
            if rows > 0, rows >= self.rowsMax || bytes + size > self.bytesMax {
                parts.append(ShardContents())
                bytes = 0
            }
            bytes += size
        }
        for schedule in schedules {
            open(for: self.size(schedule))
            parts[parts.count - 1].schedules.append(ScheduleVersion(schedule))
        }
        for timer in timers {
            open(for: self.size(timer))
            parts[parts.count - 1].timers.append(TimerVersion(timer))
        }
        return parts
    }

    /// How many of `timers`, from the front, fit one part; at least one when there is one.
    static func fitting(_ timers: [StoredTimer]) -> Int {
        var bytes = 0
        for (index, timer) in timers.enumerated() {
            bytes += self.size(timer)
            if index > 0, bytes > self.bytesMax || index >= self.rowsMax { return index }
        }
        return timers.count
    }

    /// The changes of `page` after `from` as deltas that follow each other, cut between revisions: what a
    /// revision changed arrives together. A row that was made and ended in between is in both parts.
    static func deltas(shard: ShardID, from: Revision, page: ShardPage) -> [Delta] {
        let size = page.schedules.reduce(0) { $0 + self.size($1) } + page.timers.reduce(0) { $0 + self.size($1) }
        if size <= self.bytesMax, page.schedules.count + page.timers.count <= self.rowsMax {
            let contents = ShardContents(
                schedules: page.schedules.map { ScheduleVersion($0) }, timers: page.timers.map { TimerVersion($0) })
            return [Delta(shard: shard, from: from, through: page.revision, contents: contents)]
        }
        var events: [Revision: (schedules: [StoredSchedule], timers: [StoredTimer], bytes: Int)] = [:]
        for schedule in page.schedules {
            for revision in [schedule.createdRevision, schedule.endedRevision].compactMap({ $0 }) where revision > from
            {
                events[revision, default: ([], [], 0)].schedules.append(schedule.asOf(revision))
                events[revision, default: ([], [], 0)].bytes += self.size(schedule)
            }
        }
        for timer in page.timers {
            for revision in [timer.revision, timer.endedRevision].compactMap({ $0 }) where revision > from {
                events[revision, default: ([], [], 0)].timers.append(timer.asOf(revision))
                events[revision, default: ([], [], 0)].bytes += self.size(timer)
            }
        }
        var deltas: [Delta] = []
        var current = Delta(shard: shard, from: from, through: from, contents: ShardContents())
        var bytes = 0
        for (revision, rows) in events.sorted(by: { $0.key < $1.key }) {
            let count = current.contents.schedules.count + current.contents.timers.count
            if count > 0, bytes + rows.bytes > self.bytesMax || count >= self.rowsMax {
                deltas.append(current)
                current = Delta(
                    shard: shard, from: current.through, through: current.through, contents: ShardContents())
                bytes = 0
            }
            current.contents.schedules += rows.schedules.map { ScheduleVersion($0) }
            current.contents.timers += rows.timers.map { TimerVersion($0) }
            current.through = revision
            bytes += rows.bytes
        }
        current.through = page.revision
        return deltas + [current]
    }
}
