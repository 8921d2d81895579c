import EscapementModel
import JSON
import Scheduling
import Store

/// What should have been settled beside what is recorded, for one schedule or for some timers.
struct Reconciliation: Hashable, Sendable {
    struct Difference: Hashable, Sendable {
        enum Kind: String, Sendable {
            /// Due and not recorded.
            case missing
            /// Recorded, and no version names it.
            case unexpected
            /// Recorded more than once.
            case doubled
        }

        var kind: Kind
        var at: WallInstant
        var detail: String
        /// The timer's name; `nil` for an occurrence of a schedule.
        var timer: String?
    }

    var expected = 0
    var recorded = 0
    /// Due so short a time ago that the record may be on its way.
    var pending = 0
    /// Recorded though a change had just ended the version that names them: the ticker had not heard of it yet.
    var belated = 0
    var differences: [Difference] = []

    /// - Parameters:
    ///   - timers: that were not cancelled.
    ///   - records: of timers, of the same stretch or more.
    ///   - settledBefore: what was due at or after this may not be recorded yet.
    init(timers: [StoredTimer], records: [JSONValue], settledBefore: WallInstant) {
        var counts: [String: Int] = [:]
        for record in records { counts[record["schedule_uid"]?.stringValue ?? "", default: 0] += 1 }
        self.expected = timers.count
        for timer in timers {
            // One that was made late is fired late.
            let due = max(timer.due, timer.createdAt)
            switch counts[timer.uid.uuid] ?? 0 {
            case 1: self.recorded += 1
            case 0 where due >= settledBefore: self.pending += 1
            case 0:
                self.differences.append(
                    Difference(kind: .missing, at: timer.due, detail: "due at \(due), not recorded", timer: timer.name))
            case let count:
                self.recorded += 1
                self.differences.append(
                    Difference(kind: .doubled, at: timer.due, detail: "\(count) records", timer: timer.name))
            }
        }
    }

    /// - Parameters:
    ///   - expected: occurrences by the schedule's versions, in order.
    ///   - belated: may be recorded or not: named by versions that had just ended.
    ///   - records: own records of the same stretch, runs included.
    ///   - settledBefore: what was due at or after this may not be recorded yet.
    init(
        expected: [Occurrence], belated: Set<WallInstant> = [], records: [JSONValue], from: WallInstant,
        to: WallInstant, settledBefore: WallInstant
    ) {
        var single: [WallInstant: Int] = [:]
        var runs: [(first: WallInstant, last: WallInstant)] = []
        for record in records {
            guard let first = record["scheduled_at"]?.stringValue.flatMap({ WallInstant(text: $0) }) else { continue }
            if let last = record["through_at"]?.stringValue.flatMap({ WallInstant(text: $0) }) {
                runs.append((first, last))
            } else {
                single[first, default: 0] += 1
            }
        }
        self.expected = expected.count
        for occurrence in expected {
            let at = occurrence.scheduled
            let times = (single.removeValue(forKey: at) ?? 0) + runs.count { $0.first <= at && at <= $0.last }
            switch times {
            case 1: self.recorded += 1
            case 0 where occurrence.due >= settledBefore: self.pending += 1
            case 0:
                self.differences.append(
                    Difference(kind: .missing, at: at, detail: "due at \(occurrence.due), not recorded"))
            default:
                self.recorded += 1
                self.differences.append(Difference(kind: .doubled, at: at, detail: "\(times) records"))
            }
        }
        for (at, count) in single.sorted(by: { $0.key < $1.key }) where at >= from && at < to {
            if count == 1, belated.contains(at) {
                self.belated += 1
                continue
            }
            self.differences.append(Difference(kind: .unexpected, at: at, detail: "recorded, but no version names it"))
        }
    }
}
