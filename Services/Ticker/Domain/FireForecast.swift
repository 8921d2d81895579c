import EscapementModel
import Scheduling

/// How many fires are due soon.
///
/// An estimate: of a schedule the next two occurrences are looked at, and their distance is taken for all that
/// follow; one-shots count as far ahead as they are loaded.
package struct FireForecast: Hashable, Sendable {
    /// How far ahead; raw values as the metric's label has them.
    package enum Horizon: String, CaseIterable, Sendable {
        case minute = "60s"
        case fiveMinutes = "300s"
        case hour = "3600s"

        package var duration: Duration {
            switch self {
            case .minute: .seconds(60)
            case .fiveMinutes: .seconds(300)
            case .hour: .seconds(3600)
            }
        }
    }

    private var minute = 0
    private var fiveMinutes = 0
    private var hour = 0

    package init() {}

    package subscript(horizon: Horizon) -> Int {
        get {
            switch horizon {
            case .minute: self.minute
            case .fiveMinutes: self.fiveMinutes
            case .hour: self.hour
            }
        }
        set {
            switch horizon {
            case .minute: self.minute = newValue
            case .fiveMinutes: self.fiveMinutes = newValue
            case .hour: self.hour = newValue
            }
        }
    }

    /// Counts what is due once.
    mutating func add(due: WallInstant, now: WallInstant) {
        for horizon in Horizon.allCases where due <= now.advanced(by: horizon.duration) { self[horizon] += 1 }
    }

    /// Counts what is due at `due` and, `period` milliseconds apart, up to `until`.
    mutating func add(due: WallInstant, period: Int64, until: WallInstant, now: WallInstant) {
        for horizon in Horizon.allCases {
            let end = min(until, now.advanced(by: horizon.duration))
            guard due <= end else { continue }
            self[horizon] += 1 + Int((end.milliseconds - due.milliseconds) / max(1, period))
        }
    }
}

/// Where the look at everything that a ticker holds has got to.
struct ForecastSurvey {
    /// The shard to go on with, or the next one that is held.
    var shard = ShardID(0)
    var number: UInt32 = 0
    var counted = FireForecast()
    /// What may still be done in this turn, in `ForecastSurvey.costOfDue` and 1 for what is not due soon.
    var allowance = 0

    /// What one schedule that is due within the horizons costs: the search for its next occurrence, beside looking at a record.
    static let costOfDue = 16
}

extension ShardFiring {
    /// Counts from record `survey.number` on, as far as the allowance reaches; whether all records are counted.
    func count(into survey: inout ForecastSurvey, now: WallInstant) -> Bool {
        guard self.phase == .active else { return true }
        let soon = now.advanced(by: FireForecast.Horizon.hour.duration)
        let schedulesEnd = self.schedules.numbers.upperBound
        let end = schedulesEnd + self.timers.numbers.upperBound
        while survey.number < end {
            guard survey.allowance > 0 else { return false }
            survey.allowance -= 1
            let number = survey.number
            survey.number += 1
            if number >= schedulesEnd {
                guard let due = self.timers[number - schedulesEnd]?.due else { continue }
                survey.counted.add(due: due, now: now)
            } else if let schedule = self.schedules[number], let due = schedule.waiting?.due, due <= soon {
                survey.allowance -= ForecastSurvey.costOfDue
                guard let second = self.plan(of: schedule).next(after: due)?.due else {
                    survey.counted.add(due: due, now: now)
                    continue
                }
                survey.counted.add(
                    due: due, period: second.milliseconds - due.milliseconds, until: self.end(of: number, schedule),
                    now: now)
            }
        }
        return true
    }
}
