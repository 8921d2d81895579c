import EscapementModel
import Scheduling
import TestSupport

/// A random expression together with its meaning, worked out from the text of the dialect by the most
/// naive means: sets of numbers and questions about single dates.
struct ReferenceCron {
    struct Field {
        var text: String
        var values: Set<Int>
        var hasStar: Bool
    }

    var second: Field
    var minute: Field
    var hour: Field
    var day: Field
    var month: Field
    var weekday: Field
    /// Beyond plain values: does the special item select this date?
    var daySpecial: (@Sendable (CivilDate) -> Bool)?
    var weekdaySpecial: (@Sendable (CivilDate) -> Bool)?
    var hasPlus = false
    var hasSeconds: Bool

    var text: String {
        let fields =
            [self.minute, self.hour, self.day, self.month].map(\.text) + [(self.hasPlus ? "+" : "") + self.weekday.text]
        return ((self.hasSeconds ? [self.second.text] : []) + fields).joined(separator: " ")
    }

    var isWildcard: Bool {
        (self.hasSeconds && self.second.hasStar) || self.minute.hasStar || self.hour.hasStar
    }

    /// Whether the date is selected.
    func selects(_ date: CivilDate) -> Bool {
        guard (1970...2200).contains(date.year), self.month.values.contains(date.month) else { return false }
        let byDay = self.day.values.contains(date.day) || self.daySpecial?(date) ?? false
        let byWeekday = self.weekday.values.contains(Self.weekday(date)) || self.weekdaySpecial?(date) ?? false
        let needsBoth = self.hasPlus || self.day.hasStar || self.weekday.hasStar
        return needsBoth ? byDay && byWeekday : byDay || byWeekday
    }

    /// Whether a time of day is selected.
    func selects(second: Int) -> Bool {
        self.hour.values.contains(second / 3600) && self.minute.values.contains(second / 60 % 60)
            && self.second.values.contains(second % 60)
    }

    static func weekday(_ date: CivilDate) -> Int { ((date.dayNumber % 7) + 11) % 7 }
    static func length(_ date: CivilDate) -> Int {
        (28...31).last { CivilDate(year: date.year, month: date.month, day: $0) != nil } ?? 28
    }

    // MARK: Random expressions

    static func random(hasSeconds: Bool, using random: inout SeededRandom) -> ReferenceCron {
        let zero = Field(text: "0", values: [0], hasStar: false)
        var cron = ReferenceCron(
            second: hasSeconds ? self.field(0, 59, using: &random) : zero,
            minute: self.field(0, 59, using: &random), hour: self.field(0, 23, using: &random),
            day: self.field(1, 31, using: &random), month: self.field(1, 12, using: &random),
            weekday: self.field(0, 6, using: &random), hasSeconds: hasSeconds)
        // Most schedules run every month.
        if Int.random(in: 0..<3, using: &random) > 0 {
            cron.month = Field(text: "*", values: Set(1...12), hasStar: true)
        }
        if Int.random(in: 0..<2, using: &random) > 0 { cron.day = Field(text: "*", values: Set(1...31), hasStar: true) }
        if Int.random(in: 0..<2, using: &random) > 0 {
            cron.weekday = Field(text: "?", values: Set(0...6), hasStar: true)
        }
        if Int.random(in: 0..<4, using: &random) == 0 { cron.addSpecialDay(using: &random) }
        if Int.random(in: 0..<4, using: &random) == 0 { cron.addSpecialWeekday(using: &random) }
        cron.hasPlus = cron.weekday.text != "?" && Int.random(in: 0..<4, using: &random) == 0
        return cron
    }

    private static func field(_ low: Int, _ high: Int, using random: inout SeededRandom) -> Field {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: return Field(text: "*", values: Set(low...high), hasStar: true)
        case 1:
            let step = Int.random(in: 1...(high - low + 1), using: &random)
            return Field(text: "*/\(step)", values: Set(stride(from: low, through: high, by: step)), hasStar: true)
        case 2:
            let value = Int.random(in: low...high, using: &random)
            return Field(text: "\(value)", values: [value], hasStar: false)
        default:
            var texts: [String] = []
            var values: Set<Int> = []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let from = Int.random(in: low...high, using: &random)
                let to = Int.random(in: low...high, using: &random)
                var walk: [Int] = [from]
                while walk[walk.count - 1] != to {
                    let last = walk[walk.count - 1]
                    walk.append(last == high ? low : last + 1)
                }
                if Bool.random(using: &random) {
                    let step = Int.random(in: 1...(high - low + 1), using: &random)
                    texts.append("\(from)-\(to)/\(step)")
                    values.formUnion(stride(from: 0, to: walk.count, by: step).map { walk[$0] })
                } else {
                    texts.append("\(from)-\(to)")
                    values.formUnion(walk)
                }
            }
            return Field(text: texts.joined(separator: ","), values: values, hasStar: false)
        }
    }

    private mutating func addSpecialDay(using random: inout SeededRandom) {
        let offset = Int.random(in: 0...6, using: &random)
        let number = Int.random(in: 1...31, using: &random)
        let item: String
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
            item = offset == 0 ? "L" : "L-\(offset)"
            self.daySpecial = { $0.day == Self.length($0) - offset }
        case 1:
            item = offset == 0 ? "LW" : "L-\(offset)W"
            self.daySpecial = { $0.day == Self.workday(near: Self.length($0) - offset, in: $0) }
        default:
            item = "\(number)W"
            self.daySpecial = { number <= Self.length($0) && $0.day == Self.workday(near: number, in: $0) }
        }
        if self.day.hasStar {
            self.day = Field(text: item, values: [], hasStar: false)
        } else {
            self.day.text += ",\(item)"
        }
    }

    private mutating func addSpecialWeekday(using random: inout SeededRandom) {
        let weekday = Int.random(in: 0...6, using: &random)
        let ordinal = Int.random(in: 1...6, using: &random)
        let item = ordinal == 6 ? "\(weekday)L" : "\(weekday)#\(ordinal)"
        self.weekdaySpecial = { date in
            guard Self.weekday(date) == weekday else { return false }
            return ordinal == 6 ? date.day + 7 > Self.length(date) : (date.day - 1) / 7 + 1 == ordinal
        }
        if self.weekday.hasStar {
            self.weekday = Field(text: item, values: [], hasStar: false)
        } else {
            self.weekday.text += ",\(item)"
        }
    }

    private static func workday(near day: Int, in date: CivilDate) -> Int {
        let length = self.length(date)
        func isWorkday(_ day: Int) -> Bool {
            guard let date = CivilDate(year: date.year, month: date.month, day: day) else { return false }
            return (1...5).contains(self.weekday(date))
        }
        // The nearest one inside the month; a Saturday is nearer to Friday, a Sunday to Monday.
        for distance in [0, -1, 1, -2, 2] where (1...length).contains(day + distance) && isWorkday(day + distance) {
            return day + distance
        }
        return 0
    }
}

/// The fire set of a reference expression in a window, by looking at every civil time in it.
struct ReferenceWindow {
    let zone: ZoneRules
    /// Seconds.
    let window: Range<Int>
    private let offsets: [Int]

    init(zone: ZoneRules, window: Range<Int>) {
        self.zone = zone
        self.window = window
        var offsets: Set<Int> = [zone.offset(atSecond: window.lowerBound - 100_000)]
        for change in zone.changes(in: window.lowerBound - 100_000..<window.upperBound + 100_000) {
            offsets.insert(change.offset)
        }
        self.offsets = offsets.sorted()
    }

    private func instants(of civil: Int) -> [Int] {
        self.offsets.map { civil - $0 }.filter { self.zone.civil(atSecond: $0) == civil }.sorted()
    }

    private func gapEnd(of civil: Int) -> Int {
        // The only instant where the local time jumps from below to above it.
        let around = self.zone.changes(in: civil - 100_000..<civil + 100_000)
        let jump = around.first {
            self.zone.civil(atSecond: $0.at - 1) < civil && self.zone.civil(atSecond: $0.at) > civil
        }
        return jump?.at ?? .min
    }

    /// All fire instants in the window, ascending.
    func fires(
        of cron: ReferenceCron, gap: ScheduleDefinition.GapPolicy = .shift,
        overlap: ScheduleDefinition.OverlapPolicy = .first
    ) -> [Int] {
        var found: Set<Int> = []
        let step = cron.hasSeconds ? 1 : 60
        let margin = 93_600
        let low = (self.window.lowerBound - margin) / 60 * 60
        var day = Int.min
        var isDay = false
        for civil in stride(from: low, to: self.window.upperBound + margin, by: step) where civil >= 0 {
            if civil / 86_400 != day {
                day = civil / 86_400
                isDay = cron.selects(CivilDate(dayNumber: day))
            }
            guard isDay, cron.selects(second: civil % 86_400) else { continue }
            let instants = self.instants(of: civil)
            if cron.isWildcard {
                found.formUnion(instants)
            } else if instants.isEmpty {
                if gap == .shift { found.insert(self.gapEnd(of: civil)) }
            } else {
                switch overlap {
                case .first: found.insert(instants[0])
                case .second: found.insert(instants[instants.count - 1])
                case .both: found.formUnion(instants)
                }
            }
        }
        return found.filter { self.window.contains($0) }.sorted()
    }
}
