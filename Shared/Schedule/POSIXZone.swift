/// The rule in the footer of a zone file: a POSIX `TZ` string with the extensions of RFC 9636 (times
/// from -167 to 167 hours, so a change may lie days away from the date that names it).
struct POSIXZone: Hashable, Sendable {
    /// The date of a change within a year.
    enum Day: Hashable, Sendable {
        /// `Jn`: 1...365, 29 February never counted.
        case julian(Int)
        /// `n`: 0...365, 29 February counted.
        case zeroBased(Int)
        /// `Mm.w.d`: month, week (5 is the last), weekday.
        case weekday(month: Int, week: Int, weekday: Int)

        func dayNumber(year: Int) -> Int {
            switch self {
            case .julian(let number):
                let skipped = CivilDate.isLeap(year) && number >= 60 ? 0 : -1
                return CivilDate.dayNumber(year: year, month: 1, day: 1) + number + skipped
            case .zeroBased(let number):
                return CivilDate.dayNumber(year: year, month: 1, day: 1) + number
            case .weekday(let month, let week, let weekday):
                let first = CivilDate.dayNumber(year: year, month: month, day: 1)
                let length = CivilDate.daysInMonth(year: year, month: month)
                var offset = (weekday - CivilDate.weekday(dayNumber: first) + 7) % 7 + (week - 1) * 7
                while offset >= length { offset -= 7 }
                return first + offset
            }
        }
    }

    /// A change: a date and the second of that day, which may lie outside the day.
    struct Rule: Hashable, Sendable {
        var day: Day
        var time: Int
    }

    /// Seconds east of UTC.
    var standardOffset: Int
    var daylight: Daylight?

    struct Daylight: Hashable, Sendable {
        var offset: Int
        var start: Rule
        var end: Rule
    }

    /// The changes of the years given, ascending, each with the offset after it; empty without daylight time.
    func changes(fromYear: Int, throughYear: Int) -> [ZoneRules.Change] {
        guard let daylight, fromYear <= throughYear else { return [] }
        var events: [(at: Int, isStart: Bool)] = []
        for year in fromYear...throughYear {
            let start = daylight.start.day.dayNumber(year: year) * 86_400 + daylight.start.time
            let end = daylight.end.day.dayNumber(year: year) * 86_400 + daylight.end.time
            events.append((start - self.standardOffset, true))
            events.append((end - daylight.offset, false))
        }
        // Where an end and the next start coincide daylight time is permanent, so the start comes last.
        events.sort { $0.at == $1.at ? !$0.isStart && $1.isStart : $0.at < $1.at }
        var changes: [ZoneRules.Change] = []
        for event in events {
            let change = ZoneRules.Change(at: event.at, offset: event.isStart ? daylight.offset : self.standardOffset)
            if changes.last?.at == event.at { changes.removeLast() }
            changes.append(change)
        }
        return changes
    }

    /// Reads `std offset [dst [offset] [,start[/time],end[/time]]]`; `nil` for anything else. Daylight
    /// time without rules is refused: nothing says when it is.
    init?(_ text: [UInt8]) {
        var parser = Parser(text: text)
        guard parser.name(), let west = parser.offset() else { return nil }
        self.standardOffset = -west
        if parser.isAtEnd { return }
        guard parser.name() else { return nil }
        var daylightOffset = self.standardOffset + 3600
        if let next = parser.current, next != UInt8(ascii: ",") {
            guard let west = parser.offset() else { return nil }
            daylightOffset = -west
        }
        guard abs(daylightOffset) <= ZoneRules.offsetMax, parser.take(","), let start = parser.rule(),
            parser.take(","), let end = parser.rule(), parser.isAtEnd
        else { return nil }
        self.daylight = Daylight(offset: daylightOffset, start: start, end: end)
    }

    private struct Parser {
        let text: [UInt8]
        var position = 0

        init(text: [UInt8]) { self.text = text }

        var current: UInt8? { self.position < self.text.count ? self.text[self.position] : nil }
        var isAtEnd: Bool { self.position == self.text.count }

        mutating func take(_ character: Character) -> Bool {
            guard self.current == character.asciiValue else { return false }
            self.position += 1
            return true
        }

        /// Three or more letters, or `<...>` with letters, digits and signs.
        mutating func name() -> Bool {
            let quoted = self.take("<")
            let start = self.position
            while let byte = self.current {
                let isLetter = (65...90).contains(byte) || (97...122).contains(byte)
                let isSign = (48...57).contains(byte) || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-")
                guard isLetter || (quoted && isSign) else { break }
                self.position += 1
            }
            return self.position - start >= 3 && (!quoted || self.take(">"))
        }

        /// At most three digits, within `range`.
        mutating func number(_ range: ClosedRange<Int>) -> Int? {
            var value = 0
            var count = 0
            while count < 3, let byte = self.current, (48...57).contains(byte) {
                value = value * 10 + Int(byte - 48)
                count += 1
                self.position += 1
            }
            return count > 0 && range.contains(value) ? value : nil
        }

        /// `[+-]hh[:mm[:ss]]` in seconds.
        mutating func time(hours: ClosedRange<Int>) -> Int? {
            let sign = self.take("-") ? -1 : 1
            if sign == 1 { _ = self.take("+") }
            guard let hour = self.number(hours) else { return nil }
            var seconds = hour * 3600
            if self.take(":") {
                guard let minute = self.number(0...59) else { return nil }
                seconds += minute * 60
                if self.take(":") {
                    guard let second = self.number(0...59) else { return nil }
                    seconds += second
                }
            }
            return sign * seconds
        }

        mutating func offset() -> Int? { self.time(hours: 0...24) }

        mutating func rule() -> Rule? {
            let day: Day
            if self.take("J") {
                guard let number = self.number(1...365) else { return nil }
                day = .julian(number)
            } else if self.take("M") {
                guard let month = self.number(1...12), self.take("."), let week = self.number(1...5), self.take("."),
                    let weekday = self.number(0...6)
                else { return nil }
                day = .weekday(month: month, week: week, weekday: weekday)
            } else {
                guard let number = self.number(0...365) else { return nil }
                day = .zeroBased(number)
            }
            var time = 7200
            if self.take("/") {
                guard let given = self.time(hours: 0...167) else { return nil }
                time = given
            }
            return Rule(day: day, time: time)
        }
    }
}
