import EscapementModel

extension CronExpression {
    /// The expression in words, with its zone: `Every weekday at 09:30, Europe/Paris`.
    ///
    /// - Parameter zoneName: the zone in force; a prefix of the expression wins.
    package func text(zoneName: String) -> String {
        switch self.body {
        case .calendar(let program): Words.capitalised(program.words) + ", \(self.zoneName ?? zoneName)"
        case .interval(let seconds): Words.capitalised(Words.every(milliseconds: seconds * 1000))
        case .instant(let civil): "Once, at \(CivilTime.text(civil)), \(self.zoneName ?? zoneName)"
        }
    }
}

extension CompiledSchedule {
    /// The schedule in words: `Every weekday at 09:30, Europe/Paris`. Bounds, exclusions and jitter follow
    /// in further sentences' worth of commas.
    package var text: String {
        var text = Words.capitalised(self.triggerWords)
        if let startAt = self.definition.startAt { text += ", from \(startAt)" }
        if let endAt = self.definition.endAt { text += ", until \(endAt)" }
        if let limit = self.definition.limit { text += ", \(limit) \(limit == 1 ? "time" : "times") at most" }
        if !self.definition.exclusions.isEmpty {
            let count = self.definition.exclusions.count
            text += ", with \(count) exclusion\(count == 1 ? "" : "s")"
        }
        if self.jitter > 0 { text += ", up to \(DurationText.format(.milliseconds(self.jitter))) late by jitter" }
        return text
    }

    private var triggerWords: String {
        switch self.definition.trigger {
        case .at(let instants):
            guard let first = instants.min(), let last = instants.max(), first < last else {
                return "once, at \(instants.first.map(\.description) ?? "no time")"
            }
            return "at \(Set(instants).count) given times from \(first) to \(last)"
        case .every(.civilDays(let days), _):
            let pace = days == 1 ? "every day" : days == 7 ? "every week" : "every \(days) days"
            return "\(pace) on the calendar of \(self.zone.name)"
        case .every(.civilMonths(let months), _):
            let pace = months == 1 ? "every month" : months == 12 ? "every year" : "every \(months) months"
            return "\(pace) on the calendar of \(self.zone.name)"
        case .every(.elapsed(let milliseconds), _):
            return Words.every(milliseconds: Int(milliseconds))
        case .cron:
            let parts = self.sources.map { source -> (words: String, zone: String?) in
                switch source {
                case .cron(let program, let search): (program.words, search.zone.name)
                case .point(let point, let search): ("once, at \(CivilTime.text(point.civil))", search.zone.name)
                case .grid(let grid): (Words.every(milliseconds: grid.period), nil)
                case .days, .months, .list: ("", nil)
                }
            }
            let zones = Set(parts.compactMap(\.zone))
            if zones.count > 1 {
                return Words.join(parts.map { part in part.words + (part.zone.map { ", \($0)" } ?? "") }, "and")
            }
            return Words.join(parts.map(\.words)) + (zones.first.map { ", \($0)" } ?? "")
        }
    }
}
