extension CronProgram {
    /// The program in words, without zone: `every weekday at 09:30`.
    var words: String {
        let time = CronClockWords(masks: self.masks)
        let days = CronDayWords(rule: self.masks.days, months: self.masks.months)
        var text: String
        if time.isMoment {
            text = "\(days.subject) \(time.text)"
        } else {
            text = time.text
            if let condition = days.condition { text += ", \(condition)" }
        }
        if self.masks.years != .all {
            text += ", in " + Words.list(self.masks.years.values) { "\($0)" }
        }
        return text
    }
}

/// Small pieces of English.
enum Words {
    static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// `a, b and c`.
    static func join(_ parts: [String], _ conjunction: String = "and") -> String {
        guard let last = parts.last else { return "" }
        if parts.count == 1 { return last }
        return parts.dropLast().joined(separator: ", ") + " \(conjunction) " + last
    }

    /// `1, 3 and 5 through 9`: runs of three or more are shortened.
    static func list(_ values: [Int], _ name: (Int) -> String) -> String {
        var parts: [String] = []
        var index = 0
        while index < values.count {
            var end = index
            while end + 1 < values.count, values[end + 1] == values[end] + 1 { end += 1 }
            if end - index >= 2 {
                parts.append("\(name(values[index])) through \(name(values[end]))")
            } else {
                parts += values[index...end].map(name)
            }
            index = end + 1
        }
        return self.join(parts)
    }

    /// `1st`, `22nd`, `13th`.
    static func ordinal(_ value: Int) -> String {
        switch (value % 100, value % 10) {
        case (11...13, _): "\(value)th"
        case (_, 1): "\(value)st"
        case (_, 2): "\(value)nd"
        case (_, 3): "\(value)rd"
        default: "\(value)th"
        }
    }

    static func bits(_ mask: UInt64) -> [Int] { (0..<64).filter { mask >> UInt64($0) & 1 == 1 } }

    static func capitalised(_ text: String) -> String { text.prefix(1).uppercased() + text.dropFirst() }

    /// `15 minutes`, `1 day and 12 hours`; `every 1 minute` reads `every minute`.
    static func every(milliseconds: Int) -> String {
        let units = [
            ("week", 604_800_000), ("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000),
        ]
        for (unit, size) in units where milliseconds == size { return "every \(unit)" }
        var parts: [String] = []
        var rest = milliseconds
        for (unit, size) in units.dropFirst() + [("millisecond", 1)] where rest >= size {
            parts.append("\(rest / size) \(unit)\(rest / size == 1 ? "" : "s")")
            rest %= size
        }
        return "every " + self.join(parts)
    }
}

/// The time fields in words.
struct CronClockWords {
    let text: String
    /// It names moments of a day (`at 09:30`), not a pace.
    let isMoment: Bool

    /// More moments than this a day are described by their fields.
    private static let momentsMax = 6

    init(masks: CronProgram.Masks) {
        let seconds = Words.bits(masks.seconds)
        let minutes = Words.bits(masks.minutes)
        let hours = Words.bits(masks.hours)
        if hours.count < 24, seconds.count * minutes.count * hours.count <= Self.momentsMax {
            let withSeconds = seconds != [0]
            let moments = hours.flatMap { hour in
                minutes.flatMap { minute in seconds.map { hour * 3600 + minute * 60 + $0 } }
            }
            self.text = "at " + Words.join(moments.map { CivilTime.clockText($0, withSeconds: withSeconds) })
            self.isMoment = true
            return
        }
        self.isMoment = false
        if seconds == [0] {
            self.text = Self.minutes(minutes, hours)
        } else {
            let pace = Self.pace(seconds, count: 60, unit: "second")
            if let pace, minutes.count == 60 {
                self.text = pace + Self.span(hours)
            } else {
                let within = pace ?? "at seconds " + Words.list(seconds) { "\($0)" }
                let minuteText =
                    minutes.count == 60 ? "of every minute" : "of minutes " + Words.list(minutes) { "\($0)" }
                self.text = "\(within) \(minuteText)" + (Self.span(hours))
            }
        }
    }

    /// `every 15 minutes` when the values are a step over the whole field, else `nil`.
    private static func pace(_ values: [Int], count: Int, unit: String) -> String? {
        if values.count == count { return "every \(unit)" }
        guard values.count > 1, values[0] == 0 else { return nil }
        let step = values[1]
        guard count % step == 0, values == Array(stride(from: 0, to: count, by: step)) else { return nil }
        return "every \(step) \(unit)s"
    }

    /// ` from 09:00 through 17:59`; empty for all hours.
    private static func span(_ hours: [Int]) -> String {
        if hours.count == 24 { return "" }
        if hours.count == hours[hours.count - 1] - hours[0] + 1 {
            return " from \(CivilTime.clockText(hours[0] * 3600, withSeconds: false)) through "
                + CivilTime.clockText(hours[hours.count - 1] * 3600 + 3540, withSeconds: false)
        }
        if let pace = self.pace(hours, count: 24, unit: "hour") { return " of \(pace)" }
        return " during hours " + Words.list(hours) { CivilDate.padded($0, 2) }
    }

    private static func minutes(_ minutes: [Int], _ hours: [Int]) -> String {
        if let pace = self.pace(minutes, count: 60, unit: "minute") { return pace + self.span(hours) }
        if minutes.count == 1 {
            let isRun = hours.count == hours[hours.count - 1] - hours[0] + 1
            if hours.count < 24, isRun {
                let first = CivilTime.clockText(hours[0] * 3600 + minutes[0] * 60, withSeconds: false)
                let last = CivilTime.clockText(hours[hours.count - 1] * 3600 + minutes[0] * 60, withSeconds: false)
                return "every hour from \(first) through \(last)"
            }
            if let pace = self.pace(hours, count: 24, unit: "hour") {
                return minutes[0] == 0 ? pace : "at \(minutes[0]) minutes past \(pace)"
            }
            return "at \(minutes[0]) minutes past hours " + Words.list(hours) { CivilDate.padded($0, 2) }
        }
        let list = "at minutes " + Words.list(minutes) { "\($0)" }
        return list + (hours.count == 24 ? " of every hour" : self.span(hours))
    }
}

/// The day and month fields in words.
struct CronDayWords {
    /// Before moments: `every weekday`, `on the 1st of the month`.
    let subject: String
    /// After a pace: `on weekdays`; `nil` when every day counts.
    let condition: String?

    init(rule: DayRule, months: UInt64) {
        let monthNumbers = Words.bits(months)
        let monthNames = monthNumbers.count == 12 ? nil : Words.list(monthNumbers) { Words.months[$0 - 1] }
        let inMonths = monthNames.map { " in \($0)" } ?? ""
        let ofMonths = " of \(monthNames ?? "the month")"
        let byDay = Self.dayOfMonth(rule)
        let byWeekday = Self.special(rule)
        let isPlainWeek = rule.lastWeekdays == 0 && rule.ordinals == 0
        if rule.isEveryDay {
            self.subject = "every day" + inMonths
            self.condition = monthNames.map { "in \($0)" }
        } else if rule.isEveryDayOfMonth, rule.needsBoth, isPlainWeek {
            self.subject = "every " + Self.weekdays(rule.weekdays, plural: false) + inMonths
            self.condition = "on " + Self.weekdays(rule.weekdays, plural: true) + inMonths
        } else if rule.isEveryDayOfMonth, rule.needsBoth {
            self.subject = "on \(byWeekday)\(ofMonths)"
            self.condition = self.subject
        } else if rule.isEveryWeekday, rule.needsBoth {
            self.subject = "on \(byDay)\(ofMonths)"
            self.condition = self.subject
        } else {
            let week = isPlainWeek ? Self.weekdays(rule.weekdays, plural: false) : byWeekday
            let joint =
                rule.needsBoth ? " that is a \(week)" : isPlainWeek ? " and every \(week)" : " and \(week)"
            self.subject = "on \(byDay)\(ofMonths)\(joint)" + (rule.needsBoth ? "" : inMonths)
            self.condition = self.subject
        }
    }

    private static func weekdays(_ set: UInt32, plural: Bool) -> String {
        let suffix = plural ? "s" : ""
        if set == 0b011_1110 { return "weekday" + suffix }
        if set == 0b100_0001 { return plural ? "weekends" : "Saturday and Sunday" }
        // Monday first, as people list them.
        let days = Words.bits(UInt64(set)).sorted { ($0 + 6) % 7 < ($1 + 6) % 7 }
        return Words.join(days.map { Words.weekdays[$0] + suffix })
    }

    private static func dayOfMonth(_ rule: DayRule) -> String {
        var parts: [String] = []
        let plain = Words.bits(UInt64(rule.days))
        if plain.count == 31 { return "every day" }
        if !plain.isEmpty { parts.append("the " + Words.list(plain, Words.ordinal)) }
        for day in Words.bits(UInt64(rule.nearest)) { parts.append("the weekday nearest the \(Words.ordinal(day))") }
        for offset in Words.bits(UInt64(rule.fromLast)) { parts.append(self.last(offset)) }
        for offset in Words.bits(UInt64(rule.fromLastNearest)) {
            parts.append(offset == 0 ? "the last weekday" : "the weekday nearest " + self.last(offset))
        }
        return Words.join(parts)
    }

    private static func last(_ offset: Int) -> String {
        switch offset {
        case 0: "the last day"
        case 1: "the day before the last"
        default: "the day \(offset) days before the last"
        }
    }

    private static func special(_ rule: DayRule) -> String {
        var parts: [String] = []
        if rule.weekdays != 0 { parts.append("every " + self.weekdays(rule.weekdays, plural: false)) }
        for bit in Words.bits(rule.ordinals) {
            parts.append("the \(Words.ordinal(bit / 7 + 1)) \(Words.weekdays[bit % 7])")
        }
        for day in Words.bits(UInt64(rule.lastWeekdays)) { parts.append("the last \(Words.weekdays[day])") }
        return Words.join(parts)
    }
}
