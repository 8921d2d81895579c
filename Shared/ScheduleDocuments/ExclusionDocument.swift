import EscapementModel
package import JSON
package import Scheduling

/// The JSON of one element of `excludes`: `{"date": "2026-12-25"}`,
/// `{"from": "2026-12-24", "through": "2027-01-02"}`,
/// `{"weekdays": ["SAT", "SUN"], "fromTime": "22:00", "toTime": "06:00"}`, `{"cron": "* 12 * * *"}`,
/// `{"calendar": "holidays", "dates": ["2026-12-25", "2027-01-01"]}`.
package enum ExclusionDocument {
    package static func read(
        _ value: JSONValue, at pointer: String
    ) -> (exclusion: ScheduleDefinition.Exclusion?, problems: [DocumentProblem]) {
        var reader = ObjectReader(value, at: pointer)
        if !reader.problems.isEmpty { return (nil, reader.problems) }
        let shapes = ["date", "from", "weekdays", "cron", "calendar"].filter { reader.has($0) }
        if shapes.count != 1 {
            reader.note(
                "", shapes.isEmpty ? ProblemCode.missingField : ProblemCode.conflictingFields,
                "needs exactly one of date, from and through, weekdays, cron, calendar")
        }
        let date = self.date("date", &reader)
        let from = self.date("from", &reader)
        let through = self.date("through", &reader)
        if reader.has("from") { reader.require("through") }
        if let from, let through, through < from {
            reader.note("through", ProblemCode.conflictingFields, "must not be before 'from'")
        }
        let window = self.window(&reader)
        let expression = reader.string("cron")
        let calendar = self.calendar(&reader)
        let problems = reader.finish()
        guard problems.isEmpty else { return (nil, problems) }
        if let date { return (.date(date), []) }
        if let from, let through { return (.dates(from: from, through: through), []) }
        if let window { return (.weekly(window), []) }
        if let expression { return (.cron(expression), []) }
        return (calendar, [])
    }

    /// A calendar by name, with its dates beside it or known where the schedule is compiled.
    private static func calendar(_ reader: inout ObjectReader) -> ScheduleDefinition.Exclusion? {
        let name = reader.string("calendar")
        let texts = reader.strings("dates", countMax: HolidayCalendars.datesMax)
        guard let name else {
            if texts != nil, !reader.has("calendar") {
                reader.note("dates", ProblemCode.conflictingFields, "belongs to 'calendar' only")
            }
            return nil
        }
        if let fault = NameGrammar.fault(in: name) { reader.note("calendar", ProblemCode.invalidName, fault) }
        guard let texts else { return .calendar(name) }
        if texts.isEmpty { reader.note("dates", ProblemCode.missingField, "must not be empty") }
        var dates: [CivilDate] = []
        for (index, text) in texts.enumerated() {
            if let date = CivilDate(text: text) {
                dates.append(date)
            } else {
                reader.note(
                    at: index, of: "dates", ProblemCode.invalidValue,
                    "'\(ObjectReader.clipped(text))' is not a date such as 2026-12-25")
            }
        }
        return .list(name: name, dates: Set(dates).sorted())
    }

    package static func write(_ exclusion: ScheduleDefinition.Exclusion) -> JSONValue {
        switch exclusion {
        case .date(let date): return ["date": .string("\(date)")]
        case .dates(let from, let through):
            return ["from": .string("\(from)"), "through": .string("\(through)")]
        case .weekly(let window):
            let days = self.weekdays.filter { window.weekdays.contains($0.value) }.map { JSONValue.string($0.key) }
            return .record([
                "weekdays": .array(days),
                "fromTime": window.fromSecond == 0 ? nil : .string(self.time(window.fromSecond)),
                "toTime": window.toSecond == self.day ? nil : .string(self.time(window.toSecond)),
            ])
        case .cron(let expression): return ["cron": .string(expression)]
        case .calendar(let name): return ["calendar": .string(name)]
        case .list(let name, let dates):
            return ["calendar": .string(name), "dates": .array(dates.map { .string("\($0)") })]
        }
    }

    private static let day = 86_400
    private static let weekdays: KeyValuePairs<String, WeekdaySet> = [
        "MON": .monday, "TUE": .tuesday, "WED": .wednesday, "THU": .thursday, "FRI": .friday, "SAT": .saturday,
        "SUN": .sunday,
    ]

    private static func date(_ name: String, _ reader: inout ObjectReader) -> CivilDate? {
        guard let text = reader.string(name) else { return nil }
        if let date = CivilDate(text: text) { return date }
        reader.note(
            name, ProblemCode.invalidValue, "'\(ObjectReader.clipped(text))' is not a date such as 2026-12-25")
        return nil
    }

    private static func window(_ reader: inout ObjectReader) -> WeeklyWindow? {
        let names = reader.strings("weekdays", countMax: 7)
        let from = self.time("fromTime", &reader)
        let to = self.time("toTime", &reader)
        guard let names else {
            for name in ["fromTime", "toTime"] where reader.has(name) && !reader.has("weekdays") {
                reader.note(name, ProblemCode.conflictingFields, "belongs to 'weekdays' only")
            }
            return nil
        }
        var days: WeekdaySet = []
        for (index, name) in names.enumerated() {
            if let day = self.weekdays.first(where: { $0.key == name.uppercased() }) {
                days.insert(day.value)
            } else {
                reader.note(
                    at: index, of: "weekdays", ProblemCode.invalidValue,
                    "must be one of \(self.weekdays.map(\.key).joined(separator: ", "))")
            }
        }
        if names.isEmpty { reader.note("weekdays", ProblemCode.missingField, "must not be empty") }
        return WeeklyWindow(weekdays: days, fromSecond: from ?? 0, toSecond: to ?? self.day)
    }

    /// A time of day, `22:00` or `22:00:30`, `24:00` as the end of the day.
    private static func time(_ name: String, _ reader: inout ObjectReader) -> Int? {
        guard let text = reader.string(name) else { return nil }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part -> Int? in
            part.utf8.count == 2 && part.utf8.allSatisfy { (48...57).contains($0) } ? Int(part) : nil
        }
        if numbers.count == parts.count, numbers.count == 2 || numbers.count == 3, numbers[1] < 60,
            numbers.count == 2 || numbers[2] < 60
        {
            let second = numbers[0] * 3600 + numbers[1] * 60 + (numbers.count == 3 ? numbers[2] : 0)
            if second < self.day || name == "toTime" && second == self.day { return second }
        }
        reader.note(
            name, ProblemCode.invalidValue, "'\(ObjectReader.clipped(text))' is not a time of day such as 22:00")
        return nil
    }

    private static func time(_ second: Int) -> String {
        func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let text = "\(two(second / 3600)):\(two(second / 60 % 60))"
        return second % 60 == 0 ? text : "\(text):\(two(second % 60))"
    }
}
