import EscapementModel
import Scheduling
import TickerDomain

/// A plan over a plain list of due instants; late ones older than `skipBefore` behind now are skipped.
final class ListPlan: OccurrencePlan {
    private let dues: [Int64]
    private let skipOlderThan: Int64
    private let zone: String?

    init(dues: [Int64], skipOlderThan: Int64 = .max, zone: String? = nil) {
        self.dues = dues
        self.skipOlderThan = skipOlderThan
        self.zone = zone
    }

    func depends(on zones: Set<String>) -> Bool { self.zone.map(zones.contains) ?? false }

    func next(after due: WallInstant) -> Occurrence? {
        self.dues.first { $0 > due.milliseconds }.map(Self.occurrence)
    }

    func decision(on occurrence: Occurrence, now: WallInstant) -> LateDecision {
        guard self.skipOlderThan < .max, now.milliseconds - occurrence.due.milliseconds > self.skipOlderThan,
            let run = self.run(
                from: occurrence, dueThrough: WallInstant(milliseconds: now.milliseconds - self.skipOlderThan - 1))
        else { return .fire(caughtUp: false) }
        return .skip(run, reason: .catchupWindow)
    }

    func run(from first: Occurrence, dueThrough due: WallInstant) -> SkippedRun? {
        let run = self.dues.filter { $0 >= first.due.milliseconds && $0 <= due.milliseconds }
        return run.last.map { SkippedRun(last: Self.occurrence($0), count: UInt32(run.count)) }
    }

    private static func occurrence(_ due: Int64) -> Occurrence {
        Occurrence(scheduled: WallInstant(milliseconds: due), due: WallInstant(milliseconds: due))
    }
}
