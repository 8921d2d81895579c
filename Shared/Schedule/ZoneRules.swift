package import EscapementModel

/// The offsets of one time zone, as a table of periods from the beginning of time to the end of 2201.
///
/// The rule for the far future is expanded into the table when it is built, so a look-up is one index
/// into buckets of 97 days and a step or two. Immutable and shared by all schedules of the zone.
package final class ZoneRules: Sendable {
    /// A stretch of time with one offset. Instants and civil times in seconds.
    struct Period: Hashable, Sendable {
        /// First instant; `Int.min` for the first period.
        var start: Int
        /// First instant after it; `Int.max` for the last period.
        var end: Int
        /// Seconds east of UTC.
        var offset: Int
        /// First civil time that no earlier period has reached.
        var civilHigh: Int
        /// The lowest civil time that this or any later period shows.
        var civilLow: Int
    }

    /// A change of the offset: at instant `at` the local time of `before` gives way to that of `after`.
    struct Change: Hashable, Sendable {
        var at: Int
        var offset: Int
    }

    package let name: String
    let periods: [Period]
    private let buckets: [UInt16]
    private static let bucketShift = 23
    private static let bucketCount = (CivilTime.max + 400 * 86_400) >> bucketShift

    /// No offset is larger, either way; civil time and UTC are never further apart.
    static let offsetMax = 93_600
    /// More changes than any zone has had; a file with more is refused.
    static let changesMax = 4096

    /// - Precondition: `changes` ascend, at most `changesMax` of them before the expansion of a rule.
    init(name: String, initialOffset: Int, changes: [Change]) {
        var periods = [Period(start: .min, end: .max, offset: initialOffset, civilHigh: .min, civilLow: 0)]
        for change in changes where change.offset != periods[periods.count - 1].offset {
            let previous = periods[periods.count - 1]
            periods[periods.count - 1].end = change.at
            periods.append(
                Period(
                    start: change.at, end: .max, offset: change.offset,
                    civilHigh: max(previous.civilHigh, change.at + previous.offset), civilLow: 0))
        }
        var low = Int.max
        for index in periods.indices.reversed() {
            if index > 0 { low = min(low, periods[index].start + periods[index].offset) } else { low = .min }
            periods[index].civilLow = low
        }
        var buckets: [UInt16] = []
        buckets.reserveCapacity(Self.bucketCount)
        var index = 0
        for bucket in 0..<Self.bucketCount {
            while periods[index].end <= bucket << Self.bucketShift { index += 1 }
            buckets.append(UInt16(truncatingIfNeeded: index))
        }
        self.name = name
        self.periods = periods
        self.buckets = buckets
    }

    /// Index of the period that contains `instant`.
    func index(at instant: Int) -> Int {
        let bucket = instant >> Self.bucketShift
        if bucket >= 0, bucket < self.buckets.count {
            var index = Int(self.buckets[bucket])
            while self.periods[index].end <= instant { index += 1 }
            return index
        }
        var low = 0
        var high = self.periods.count - 1
        while low < high {
            let middle = (low + high) / 2
            if self.periods[middle].end <= instant { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The offset in force at an instant, in seconds east of UTC. Right until the end of 2201. O(1).
    package func offset(atSecond instant: Int) -> Int { self.periods[self.index(at: instant)].offset }

    /// Civil second (seconds since 1970-01-01T00:00:00 local) at an instant.
    package func civil(atSecond instant: Int) -> Int { instant + self.offset(atSecond: instant) }

    /// What a civil time means in the zone.
    package enum Resolution: Hashable, Sendable {
        case unique(Int)
        /// The clock jumps over it; the first instant after the gap.
        case gap(end: Int)
        /// The clock shows it more than once; ascending.
        case overlap([Int])

        /// The only instant, the earliest of several, or the end of the gap.
        package var instant: Int {
            switch self {
            case .unique(let instant): instant
            case .gap(let end): end
            case .overlap(let instants): instants[0]
            }
        }
    }

    /// The instants at which the zone's clocks show `civil` (seconds since 1970-01-01T00:00:00 local).
    package func resolution(ofCivil civil: Int) -> Resolution {
        var instants: [Int] = []
        var gapEnd: Int?
        var index = self.index(at: civil - Self.offsetMax)
        while index < self.periods.count {
            let period = self.periods[index]
            let instant = civil - period.offset
            if instant < period.start {
                let previous = self.periods[index - 1]
                if gapEnd == nil, civil - previous.offset >= previous.end { gapEnd = period.start }
            } else if instant < period.end {
                instants.append(instant)
            }
            if period.start != .min, period.start > civil + Self.offsetMax { break }
            index += 1
        }
        if instants.count == 1 { return .unique(instants[0]) }
        if instants.isEmpty { return .gap(end: gapEnd ?? civil - self.periods[0].offset) }
        return .overlap(instants)
    }

    /// `2026-03-29T02:30:00+01:00` for an instant.
    package func localText(of instant: WallInstant) -> String {
        let second = instant.wholeSeconds
        let offset = self.offset(atSecond: second)
        return CivilTime.text(second + offset) + Self.offsetText(offset)
    }

    /// `+05:30`, with seconds when there are any, `Z` for zero.
    static func offsetText(_ offset: Int) -> String {
        if offset == 0 { return "Z" }
        let clock = CivilTime.clockText(abs(offset), withSeconds: offset % 60 != 0)
        return (offset < 0 ? "-" : "+") + clock
    }

    /// The instants in `range` (seconds) at which the offset changes, with the offset from then on.
    package func changes(in range: Range<Int>) -> [(at: Int, offset: Int)] {
        self.periods.lazy.filter { range.contains($0.start) }.map { ($0.start, $0.offset) }
    }

    /// The first instant (in seconds) from which the two zones differ, or `nil` when they are the same.
    package func firstDifference(from other: ZoneRules) -> Int? {
        if self.periods == other.periods { return nil }
        for (mine, theirs) in zip(self.periods, other.periods) {
            if mine.offset != theirs.offset { return max(mine.start, theirs.start) }
            if mine.end != theirs.end { return min(mine.end, theirs.end) }
        }
        return nil
    }

    /// The zone without any change: always in stock, whatever the files say.
    package static let utc = ZoneRules(name: "UTC", initialOffset: 0, changes: [])
}

extension WallInstant {
    /// Whole seconds, rounded towards the past.
    var wholeSeconds: Int {
        let (seconds, rest) = Int(self.milliseconds).quotientAndRemainder(dividingBy: 1000)
        return rest < 0 ? seconds - 1 : seconds
    }

    /// The last whole second before this instant.
    var secondBefore: Int {
        let (seconds, rest) = Int(self.milliseconds).quotientAndRemainder(dividingBy: 1000)
        return rest <= 0 ? seconds - 1 : seconds
    }

    init(seconds: Int) { self.init(milliseconds: Int64(seconds) * 1000) }
}
