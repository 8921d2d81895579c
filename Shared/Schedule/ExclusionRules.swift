/// The exclusions of one schedule, compiled: which stretch around an instant is excluded.
///
/// All of them are civil and closed under the clock: the same wall-clock time is excluded in both
/// passes of an overlap.
struct ExclusionRules: Hashable, Sendable {
    /// Days as numbers, both ends included.
    struct DayRange: Hashable, Sendable {
        var first: Int
        var last: Int
    }

    /// An expression and how wide the stretch is that one match excludes, in seconds.
    struct Pattern: Hashable, Sendable {
        var program: CronProgram
        var width: Int

        /// - Parameter namesMinutes: the seconds of a matching minute are excluded as well.
        init(program: CronProgram, namesMinutes: Bool) {
            var masks = program.masks
            if namesMinutes { masks.seconds = (1 << 60) - 1 }
            self.program = CronProgram(masks)
            self.width = 1
            if masks.seconds == (1 << 60) - 1 {
                self.width = 60
                if masks.minutes == (1 << 60) - 1 {
                    self.width = 3600
                    if masks.hours == (1 << 24) - 1 { self.width = CivilTime.secondsPerDay }
                }
            }
        }
    }

    var zone: ZoneRules
    /// Ascending, neither overlapping nor touching.
    private(set) var days: [DayRange]
    var windows: [WeeklyWindow]
    var patterns: [Pattern]

    init(zone: ZoneRules, days: [DayRange], windows: [WeeklyWindow], patterns: [Pattern]) {
        self.zone = zone
        self.windows = windows
        self.patterns = patterns
        self.days = []
        for range in days.sorted(by: { $0.first < $1.first }) {
            if let last = self.days.last, range.first <= last.last + 1 {
                self.days[self.days.count - 1].last = max(last.last, range.last)
            } else {
                self.days.append(range)
            }
        }
    }

    static func == (left: ExclusionRules, right: ExclusionRules) -> Bool {
        left.zone === right.zone && left.days == right.days && left.windows == right.windows
            && left.patterns == right.patterns
    }

    func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(self.zone))
        hasher.combine(self.days)
        hasher.combine(self.windows)
        hasher.combine(self.patterns)
    }

    /// An excluded stretch of instants (seconds, both ends included) that contains `instant`, `nil` when
    /// it is not excluded. The stretch ends where the zone's offset changes.
    func stretch(around instant: Int) -> (first: Int, last: Int)? {
        let period = self.zone.periods[self.zone.index(at: instant)]
        guard let civil = self.civilStretch(around: instant + period.offset) else { return nil }
        let first =
            period.start == .min
            ? civil.lowerBound - period.offset : max(period.start, civil.lowerBound - period.offset)
        let last =
            period.end == .max ? civil.upperBound - period.offset : min(period.end, civil.upperBound - period.offset)
        return (first, last - 1)
    }

    /// The same on the wall clock.
    private func civilStretch(around civil: Int) -> Range<Int>? {
        let (day, second) = CivilTime.split(civil)
        if let range = self.dayRange(containing: day) {
            return range.first * CivilTime.secondsPerDay..<(range.last + 1) * CivilTime.secondsPerDay
        }
        for window in self.windows {
            for openDay in [day, day - 1]
            where window.weekdays.rawValue >> UInt8(CivilDate.weekday(dayNumber: openDay)) & 1 == 1 {
                let open = openDay * CivilTime.secondsPerDay + window.fromSecond
                let isOvernight = window.toSecond <= window.fromSecond
                let close = (isOvernight ? openDay + 1 : openDay) * CivilTime.secondsPerDay + window.toSecond
                if open <= civil, civil < close { return open..<close }
            }
        }
        for pattern in self.patterns where pattern.program.contains(civil) {
            let start = day * CivilTime.secondsPerDay + second / pattern.width * pattern.width
            return start..<start + pattern.width
        }
        return nil
    }

    private func dayRange(containing day: Int) -> DayRange? {
        var low = 0
        var high = self.days.count
        while low < high {
            let middle = (low + high) / 2
            if self.days[middle].last < day { low = middle + 1 } else { high = middle }
        }
        return low < self.days.count && self.days[low].first <= day ? self.days[low] : nil
    }
}
