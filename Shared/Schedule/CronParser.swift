/// Reads an expression of any form; see sections 3, 7, 8 and 13 of the dialect.
struct CronParser {
    private let scalars: [Unicode.Scalar]
    private let seed: String?
    private let zones: ZoneDatabase
    private var start: Int
    private var end: Int
    private var zoneName: String?

    init(text: String, seed: String?, zones: ZoneDatabase) {
        // One scalar more than allowed is enough to know that there are too many.
        self.scalars = Array(text.unicodeScalars.prefix(CronExpression.lengthMax + 1))
        self.seed = seed
        self.zones = zones
        self.start = 0
        self.end = self.scalars.count
    }

    mutating func parse() throws(CronError) -> CronExpression {
        if self.scalars.count > CronExpression.lengthMax {
            throw CronError(
                .tooLong, at: CronExpression.lengthMax,
                "An expression has at most \(CronExpression.lengthMax) characters.")
        }
        while self.start < self.end, CronText.isSpace(self.scalars[self.start]) { self.start += 1 }
        while self.end > self.start, CronText.isSpace(self.scalars[self.end - 1]) { self.end -= 1 }
        if self.start == self.end {
            throw CronError(.empty, at: 0, "The expression is empty; for example '0 9 * * *' is every day at 09:00.")
        }
        try self.prefix()
        if self.scalars[self.start] == "@" { return try self.macro() }
        if let name = self.functionName() { return try self.function(name) }
        return try self.fields(self.split(self.start..<self.end), isFunction: false, from: self.scalars)
    }

    private func make(_ body: CronExpression.Body, isSeeded: Bool = false, namesMinutes: Bool = false) -> CronExpression
    {
        CronExpression(body: body, zoneName: self.zoneName, isSeeded: isSeeded, namesMinutes: namesMinutes)
    }

    // MARK: Prefix

    private mutating func prefix() throws(CronError) {
        for prefix in ["CRON_TZ=", "TZ="] where self.scalars[self.start..<self.end].starts(with: prefix.unicodeScalars)
        {
            let zoneStart = self.start + prefix.unicodeScalars.count
            var zoneEnd = zoneStart
            while zoneEnd < self.end, !CronText.isSpace(self.scalars[zoneEnd]) { zoneEnd += 1 }
            let name = CronText.string(self.scalars[zoneStart..<zoneEnd])
            do {
                _ = try self.zones.rules(named: name)
            } catch {
                throw CronError(.unknownTimeZone, at: zoneStart, error.detail)
            }
            self.zoneName = name
            self.start = zoneEnd
            while self.start < self.end, CronText.isSpace(self.scalars[self.start]) { self.start += 1 }
            if self.start == self.end {
                throw CronError(.empty, at: self.end, "No expression follows the time zone.")
            }
            return
        }
    }

    // MARK: Macros and intervals

    private static let macros: [String: String] = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *", "@every_minute": "* * * * *",
        "@every_second": "* * * * * *",
    ]

    private func macro() throws(CronError) -> CronExpression {
        var wordEnd = self.start
        while wordEnd < self.end, !CronText.isSpace(self.scalars[wordEnd]) { wordEnd += 1 }
        let word = CronText.lowered(self.scalars[self.start..<wordEnd])
        var rest = wordEnd
        while rest < self.end, CronText.isSpace(self.scalars[rest]) { rest += 1 }
        if word == "@every" { return self.make(.interval(seconds: try self.duration(rest..<self.end))) }
        if word == "@reboot" {
            throw CronError(
                .unsupportedMacro, at: self.start,
                "@reboot has no meaning in a service; trigger the schedule when your program starts.")
        }
        guard let fields = Self.macros[word] else {
            throw CronError(
                .unknownMacro, at: self.start,
                "Unknown macro; there are @yearly, @monthly, @weekly, @daily, @hourly, @every_minute, "
                    + "@every_second and '@every 1h30m'.")
        }
        if rest < self.end {
            throw CronError(
                .unexpectedCharacter, at: rest, "Nothing may follow a macro.")
        }
        let scalars = Array(fields.unicodeScalars)
        return try self.fields(Self.split(scalars, 0..<scalars.count), isFunction: false, from: scalars)
    }

    static let intervalSeconds = 1...(3660 * 86_400)

    /// `1h30m`: units `w d h m s` in this order, each at most once.
    private func duration(_ range: Range<Int>) throws(CronError) -> Int {
        let malformed = CronError(
            .badDuration, at: range.lowerBound,
            "Write '@every' and a duration like 90s, 1h30m or 2d: whole numbers with the units w d h m s in this order."
        )
        guard !range.isEmpty else {
            throw CronError(malformed.code, at: self.end, malformed.detail)
        }
        var units: [(name: Unicode.Scalar, seconds: Int)] = [
            ("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1),
        ]
        var total = 0
        var position = range.lowerBound
        while position < range.upperBound {
            let number = self.number(&position, before: range.upperBound)
            guard let number, position < range.upperBound,
                let index = units.firstIndex(where: { $0.name == CronText.lower(self.scalars[position]) })
            else { throw malformed }
            total += number * units[index].seconds
            units.removeFirst(index + 1)
            position += 1
        }
        guard Self.intervalSeconds.contains(total) else {
            throw CronError(.durationOutOfRange, at: range.lowerBound, "An interval is from 1s to 3660d.")
        }
        return total
    }

    /// A number, saturated far above every bound; `nil` when there is none.
    private func number(_ position: inout Int, before end: Int) -> Int? {
        let start = position
        var value = 0
        while position < end, ("0"..."9").contains(self.scalars[position]) {
            value = min(value * 10 + Int(self.scalars[position].value - 48), 1_000_000_000)
            position += 1
        }
        return position > start ? value : nil
    }

    // MARK: Functions

    /// The name before a parenthesis, `nil` when the body is not of that form. `H(` starts a field.
    private func functionName() -> String? {
        var position = self.start
        while position < self.end {
            let scalar = CronText.lower(self.scalars[position])
            let isDigit = ("0"..."9").contains(scalar) && position > self.start
            guard ("a"..."z").contains(scalar) || scalar == "_" || isDigit else { break }
            position += 1
        }
        guard position > self.start, position < self.end, self.scalars[position] == "(" else { return nil }
        let name = CronText.lowered(self.scalars[self.start..<position])
        return name == "h" ? nil : name
    }

    private func function(_ name: String) throws(CronError) -> CronExpression {
        guard ["cron", "rate", "at"].contains(name) else {
            throw CronError(
                .badFunction, at: self.start, "Unknown form '\(name)('; there are cron(...), rate(...) and at(...).")
        }
        guard self.scalars[self.end - 1] == ")" else {
            throw CronError(.badFunction, at: self.end, "The closing parenthesis is missing at the end.")
        }
        let inner = (self.start + name.unicodeScalars.count + 1)..<(self.end - 1)
        switch name {
        case "rate": return self.make(.interval(seconds: try self.rate(inner)))
        case "at": return self.make(.instant(civil: try self.timestamp(inner)))
        default: return try self.fields(self.split(inner), isFunction: true, from: self.scalars)
        }
    }

    private func rate(_ range: Range<Int>) throws(CronError) -> Int {
        let units = ["minute": 60, "minutes": 60, "hour": 3600, "hours": 3600, "day": 86_400, "days": 86_400]
        var position = range.lowerBound
        while position < range.upperBound, CronText.isSpace(self.scalars[position]) { position += 1 }
        let numberStart = position
        let number = self.number(&position, before: range.upperBound)
        let hasSpace = position < range.upperBound && CronText.isSpace(self.scalars[position])
        while position < range.upperBound, CronText.isSpace(self.scalars[position]) { position += 1 }
        var unitEnd = range.upperBound
        while unitEnd > position, CronText.isSpace(self.scalars[unitEnd - 1]) { unitEnd -= 1 }
        guard let number, hasSpace, let unit = units[CronText.lowered(self.scalars[position..<unitEnd])] else {
            throw CronError(.badRate, at: range.lowerBound, "Write rate(5 minutes), rate(1 hour) or rate(2 days).")
        }
        let (total, overflow) = number.multipliedReportingOverflow(by: unit)
        guard !overflow, Self.intervalSeconds.contains(total) else {
            throw CronError(.durationOutOfRange, at: numberStart, "A rate is from 1 minute to 3660 days.")
        }
        return total
    }

    /// `yyyy-mm-ddThh:mm:ss` as a civil time.
    private func timestamp(_ range: Range<Int>) throws(CronError) -> Int {
        let malformed = CronError(
            .badTimestamp, at: range.lowerBound,
            "Write at(2026-12-24T18:00:00): a local time of the years 1970 to 2200, without zone or fraction.")
        guard range.count == 19 else { throw malformed }
        func digits(_ offset: Int, _ count: Int) -> Int? {
            var position = range.lowerBound + offset
            let end = position + count
            let value = self.number(&position, before: end)
            return position == end ? value : nil
        }
        func isSeparator(_ offset: Int, _ scalar: Unicode.Scalar) -> Bool {
            CronText.lower(self.scalars[range.lowerBound + offset]) == scalar
        }
        guard isSeparator(4, "-"), isSeparator(7, "-"), isSeparator(10, "t"), isSeparator(13, ":"),
            isSeparator(16, ":"),
            let year = digits(0, 4), let month = digits(5, 2), let day = digits(8, 2), let hour = digits(11, 2),
            let minute = digits(14, 2), let second = digits(17, 2), hour < 24, minute < 60, second < 60,
            (CivilTime.yearMin...CivilTime.yearMax).contains(year),
            let date = CivilDate(year: year, month: month, day: day)
        else { throw malformed }
        return date.dayNumber * CivilTime.secondsPerDay + hour * 3600 + minute * 60 + second
    }

    // MARK: Fields

    private func split(_ range: Range<Int>) -> [Range<Int>] { Self.split(self.scalars, range) }

    private static func split(_ scalars: [Unicode.Scalar], _ range: Range<Int>) -> [Range<Int>] {
        var parts: [Range<Int>] = []
        var position = range.lowerBound
        while position < range.upperBound {
            while position < range.upperBound, CronText.isSpace(scalars[position]) { position += 1 }
            let start = position
            while position < range.upperBound, !CronText.isSpace(scalars[position]) { position += 1 }
            if position > start { parts.append(start..<position) }
        }
        return parts
    }

    private func fields(
        _ parts: [Range<Int>], isFunction: Bool, from scalars: [Unicode.Scalar]
    ) throws(CronError) -> CronExpression {
        let kinds: [CronField]
        switch (isFunction, parts.count) {
        case (true, 6): kinds = [.minute, .hour, .dayOfMonth, .month, .dayOfWeek, .year]
        case (false, 5): kinds = [.minute, .hour, .dayOfMonth, .month, .dayOfWeek]
        case (false, 6): kinds = [.second, .minute, .hour, .dayOfMonth, .month, .dayOfWeek]
        case (false, 7): kinds = CronField.allCases
        case (true, _):
            let position = parts.count > 6 ? parts[6].lowerBound : self.end - 1
            throw CronError(
                .fieldCount, at: position,
                "cron(...) has 6 fields (minute hour day month weekday year), this one has \(parts.count).")
        case (false, _):
            throw CronError(
                .fieldCount, at: parts.count > 7 ? parts[7].lowerBound : self.end,
                "An expression has 5 fields (minute hour day month weekday), 6 with seconds first, "
                    + "7 with the year last; this one has \(parts.count).")
        }
        var masks = CronProgram.Masks()
        var firstDraw: (position: Int, field: CronField)?
        var dayOfMonth = CronFieldParser.Selection()
        var dayOfWeek = CronFieldParser.Selection()
        var dayPosition = 0
        for (field, part) in zip(kinds, parts) {
            var parser = CronFieldParser(
                scalars: scalars, range: part, field: field, isFunction: isFunction, seed: self.seed)
            let selection = try parser.parse()
            if firstDraw == nil, let position = selection.draw { firstDraw = (position, field) }
            switch field {
            case .second: masks.seconds = selection.values
            case .minute: masks.minutes = selection.values
            case .hour: masks.hours = selection.values
            case .month: masks.months = selection.values
            case .year: masks.years = selection.years
            case .dayOfMonth:
                dayOfMonth = selection
                dayPosition = part.lowerBound
            case .dayOfWeek: dayOfWeek = selection
            }
            if selection.hasStar, field == .second || field == .minute || field == .hour { masks.isWildcard = true }
        }
        masks.days = dayOfMonth.days
        masks.days.weekdays = dayOfWeek.days.weekdays
        masks.days.lastWeekdays = dayOfWeek.days.lastWeekdays
        masks.days.ordinals = dayOfWeek.days.ordinals
        masks.days.needsBoth = dayOfMonth.hasStar || dayOfWeek.hasStar || dayOfWeek.hasPlus
        if isFunction, dayOfMonth.isQuestion == dayOfWeek.isQuestion {
            throw CronError(
                .questionRule, at: dayPosition, field: .dayOfMonth,
                "Inside cron(...) exactly one of the two day fields must be '?'.")
        }
        if let firstDraw, self.seed == nil {
            throw CronError(
                .missingSeed, at: firstDraw.position, field: firstDraw.field,
                "H needs a seed; a schedule uses its own identifier, otherwise give one.")
        }
        let program = CronProgram(masks)
        guard program.firesEver else {
            throw CronError(
                .neverFires, at: dayPosition, field: .dayOfMonth,
                "No date of the years 1970 to 2200 satisfies the day, month and year fields.")
        }
        return self.make(
            .calendar(program), isSeeded: firstDraw != nil, namesMinutes: isFunction || kinds.count == 5)
    }
}
