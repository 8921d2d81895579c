/// Reads one field of an expression into bits. Errors are the dialect's: the first one from the left.
struct CronFieldParser {
    /// What a field selects. Bits are values, years counted from 1970.
    struct Selection {
        var values: UInt64 = 0
        var years = CronProgram.Years.none
        var days = DayRule(
            days: 0, nearest: 0, fromLast: 0, fromLastNearest: 0, weekdays: 0, lastWeekdays: 0, ordinals: 0)
        /// The first character is `*`, or the field is `?`.
        var hasStar = false
        var isQuestion = false
        /// `+` before the day-of-week field.
        var hasPlus = false
        /// Where the first `H` stands.
        var draw: Int?
    }

    let scalars: [Unicode.Scalar]
    let field: CronField
    let end: Int
    /// Inside `cron(...)`: weekdays from 1, a bare `L` is Saturday, neither `H` nor `+`.
    let isFunction: Bool
    /// The 64-bit draw of this field, when there is a seed.
    let drawn: UInt64?
    private var position: Int
    private var selection = Selection()

    init(scalars: [Unicode.Scalar], range: Range<Int>, field: CronField, isFunction: Bool, seed: String?) {
        self.scalars = scalars
        self.field = field
        self.position = range.lowerBound
        self.end = range.upperBound
        self.isFunction = isFunction
        self.drawn = seed.map { SpreadHash.value(seed: $0, field: field.rawValue) }
    }

    /// Parses the field.
    mutating func parse() throws(CronError) -> Selection {
        let isDay = self.field == .dayOfMonth || self.field == .dayOfWeek
        if isDay, self.end - self.position == 1, self.current == "?" {
            self.selection.hasStar = true
            self.selection.isQuestion = true
            self.select(from: self.field.span.lowerBound, through: self.field.span.upperBound, step: 1)
            return self.selection
        }
        self.selection.hasStar = self.current == "*"
        if self.field == .dayOfWeek, !self.isFunction, self.current == "+" {
            self.selection.hasPlus = true
            self.position += 1
        }
        while true {
            try self.item()
            guard self.position < self.end else { return self.selection }
            guard self.current == "," else { throw self.surplus() }
            self.position += 1
        }
    }

    // MARK: Characters

    private var current: Unicode.Scalar? { self.position < self.end ? self.scalars[self.position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard self.current == scalar else { return false }
        self.position += 1
        return true
    }

    private mutating func takeLetter(_ letter: Unicode.Scalar) -> Bool {
        guard let current, CronText.lower(current) == letter else { return false }
        self.position += 1
        return true
    }

    private static func isDigit(_ scalar: Unicode.Scalar) -> Bool { ("0"..."9").contains(scalar) }
    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar)
    }

    /// The letters that follow, in lower case, without consuming them.
    private var word: String {
        var word = String.UnicodeScalarView()
        var index = self.position
        while index < self.end, Self.isLetter(self.scalars[index]) {
            word.append(CronText.lower(self.scalars[index]))
            index += 1
        }
        return String(word)
    }

    /// The digits that follow as a number, saturated; `nil` when there are none.
    private mutating func digits() -> Int? {
        let start = self.position
        var value = 0
        while let current, Self.isDigit(current) {
            value = min(value * 10 + Int(current.value - 48), 1_000_000)
            self.position += 1
        }
        return self.position > start ? value : nil
    }

    // MARK: Items

    private mutating func item() throws(CronError) {
        if self.take("*") {
            let span = self.field.span
            let step = try self.step(max: span.count) ?? 1
            self.select(from: span.lowerBound, through: span.upperBound, step: step)
            return
        }
        if self.word == "h", self.field != .year, !self.isFunction { return try self.draw() }
        if self.field == .dayOfMonth, self.word == "l" || self.word == "lw" { return try self.lastDay() }
        if self.field == .dayOfWeek, try self.wordOfWeek() { return }
        let start = self.position
        let first = try self.value()
        if self.field == .dayOfMonth, self.takeLetter("w") {
            self.selection.days.nearest |= 1 << UInt32(first)
            return
        }
        if self.field == .dayOfWeek {
            if self.takeLetter("l") {
                self.selection.days.lastWeekdays |= 1 << UInt32(first % 7)
                return
            }
            if self.take("#") { return try self.ordinal(of: first % 7) }
        }
        try self.range(from: first, at: start)
    }

    private mutating func range(from first: Int, at start: Int) throws(CronError) {
        let span = self.field.span
        if self.take("-") {
            let last = try self.value()
            if self.field == .year, first > last {
                throw self.error(
                    .reversedRange, at: start, "Years do not wrap around: write \(last)-\(first).")
            }
            let step = try self.step(max: span.count) ?? 1
            self.select(from: first, through: last, step: step)
        } else if let step = try self.step(max: span.count) {
            let first = self.field == .dayOfWeek ? first % 7 : first
            self.select(from: first, through: span.upperBound, step: step)
        } else {
            self.select(from: first, through: first, step: 1)
        }
    }

    /// A number or a name; inside `cron(...)` weekdays come out in the Unix numbering.
    private mutating func value() throws(CronError) -> Int {
        let start = self.position
        if let number = self.digits() {
            var range = self.field.range
            if self.isFunction, self.field == .dayOfWeek { range = 1...7 }
            guard range.contains(number) else { throw self.outOfRange(number, range, at: start) }
            return self.isFunction && self.field == .dayOfWeek ? number - 1 : number
        }
        let word = self.word
        if let index = self.field.names.firstIndex(of: word) {
            self.position += 3
            return self.field.range.lowerBound + index
        }
        throw self.valueError(word)
    }

    /// Why there is no value where one has to be.
    private func valueError(_ word: String) -> CronError {
        guard let current, current != ",", current != "-", current != "/", current != "#" else {
            return self.error(.missingValue, at: self.position, "A value is missing.")
        }
        if current == "?" {
            return self.error(
                .misplacedModifier, at: self.position, "'?' stands alone in a day field: write '*' here.")
        }
        if current == "+" {
            return self.error(
                .misplacedModifier, at: self.position, "'+' stands only before the whole day-of-week field.")
        }
        if word.isEmpty {
            return self.error(
                .unexpectedCharacter, at: self.position, "\(CronText.quoted(current)) does not belong here.")
        }
        if ["l", "w", "lw", "wl", "h"].contains(word) {
            return self.error(.misplacedModifier, at: self.position, self.misplacedDetail(word.uppercased()))
        }
        var detail = "'\(word.uppercased())' is not a name of this field"
        if let name = self.field.names.first(where: { word.hasPrefix($0) }) {
            detail += ": write \(name.uppercased())"
        } else if self.field.names.isEmpty {
            detail += ", which takes numbers"
        } else {
            let names = self.field.names
            detail += ": names are \(names[0].uppercased()) to \(names[names.count - 1].uppercased())"
        }
        return self.error(.unknownName, at: self.position, detail + ".")
    }

    private func misplacedDetail(_ modifier: String) -> String {
        switch (modifier, self.field) {
        case ("L", .dayOfWeek):
            "A bare L is ambiguous: write SAT, or for the last Friday of the month 5L."
        case ("H", .year): "H cannot draw a year."
        case ("H", _) where self.isFunction: "H is not available inside cron(...)."
        case ("H", _): "H cannot be the end of a range: write H(a-b)."
        default: "\(modifier) has no meaning here; it belongs to the day-of-month field."
        }
    }

    /// What stands after a complete item and is not a comma.
    private func surplus() -> CronError {
        let scalar = self.scalars[self.position]
        if "?+#".unicodeScalars.contains(scalar) || "lwh".unicodeScalars.contains(CronText.lower(scalar)) {
            return self.error(
                .misplacedModifier, at: self.position, "\(CronText.quoted(scalar)) cannot follow here.")
        }
        return self.error(
            .unexpectedCharacter, at: self.position,
            "\(CronText.quoted(scalar)) cannot follow here; separate values by commas.")
    }

    /// `/n`, when it follows.
    private mutating func step(max: Int) throws(CronError) -> Int? {
        guard self.take("/") else { return nil }
        let start = self.position
        guard let step = self.digits() else { throw self.digitsMissing("A step is missing after '/'.") }
        if step == 0 { throw self.error(.zeroStep, at: start, "A step cannot be 0: the smallest is 1.") }
        if step > max {
            var detail = "A step in this field is at most \(max)"
            switch self.field {
            case .minute, .second: detail += "; for longer intervals use @every"
            default: break
            }
            throw self.error(.stepTooLarge, at: start, detail + ".")
        }
        return step
    }

    private func digitsMissing(_ detail: String) -> CronError {
        guard let current, current != "," else { return self.error(.missingValue, at: self.position, detail) }
        return self.error(
            .unexpectedCharacter, at: self.position, "\(CronText.quoted(current)) stands where digits belong.")
    }

    // MARK: Specials

    /// `L`, `L-n`, `LW`, `L-nW`.
    private mutating func lastDay() throws(CronError) {
        self.position += 1
        var offset = 0
        if self.take("-") {
            let start = self.position
            guard let number = self.digits() else { throw self.valueError(self.word) }
            guard number <= 30 else { throw self.outOfRange(number, 0...30, at: start) }
            offset = number
        }
        if self.takeLetter("w") {
            self.selection.days.fromLastNearest |= 1 << UInt32(offset)
        } else {
            self.selection.days.fromLast |= 1 << UInt32(offset)
        }
    }

    /// `FRIL`, and the bare `L` of `cron(...)`. False when neither stands here.
    private mutating func wordOfWeek() throws(CronError) -> Bool {
        let word = self.word
        if self.isFunction, word == "l" {
            self.position += 1
            self.selection.days.weekdays |= 1 << 6
            return true
        }
        guard word.utf8.count == 4, word.hasSuffix("l"),
            let day = self.field.names.firstIndex(of: String(word.dropLast()))
        else { return false }
        self.position += 4
        self.selection.days.lastWeekdays |= 1 << UInt32(day)
        return true
    }

    /// What follows `d#`.
    private mutating func ordinal(of day: Int) throws(CronError) {
        let start = self.position
        if self.takeLetter("l") {
            self.selection.days.lastWeekdays |= 1 << UInt32(day)
            return
        }
        guard let number = self.digits() else { throw self.digitsMissing("An ordinal is missing after '#'.") }
        guard (1...5).contains(number) else {
            throw self.error(.badOrdinal, at: start, "A month has a 1st to a 5th of each weekday; L is the last.")
        }
        self.selection.days.ordinals |= 1 << UInt64((number - 1) * 7 + day)
    }

    /// `H`, `H(a-b)`, either with a step.
    private mutating func draw() throws(CronError) {
        if self.selection.draw == nil { self.selection.draw = self.position }
        self.position += 1
        var range = self.field.drawRange
        if self.take("(") {
            let start = self.position
            let low = try self.bound()
            try self.expect("-")
            let high = try self.bound()
            try self.expect(")")
            guard low <= high else {
                throw self.error(.reversedRange, at: start, "H draws from a to b, a not above b.")
            }
            range = low...high
        }
        let step = try self.step(max: range.count)
        let hash = self.drawn ?? 0
        let base = range.lowerBound + Int(hash % UInt64(step ?? range.count))
        for value in stride(from: base, through: step == nil ? base : range.upperBound, by: step ?? 1) {
            self.select(from: value, through: value, step: 1)
        }
    }

    private mutating func bound() throws(CronError) -> Int {
        let start = self.position
        guard let number = self.digits() else {
            guard let current, current != ",", current != "-", current != "/", current != "#" else {
                throw self.error(.missingValue, at: self.position, "A bound of H(a-b) is missing.")
            }
            throw self.error(
                .unexpectedCharacter, at: self.position, "\(CronText.quoted(current)) stands where digits belong.")
        }
        guard self.field.range.contains(number) else { throw self.outOfRange(number, self.field.range, at: start) }
        return number
    }

    private mutating func expect(_ scalar: Unicode.Scalar) throws(CronError) {
        guard let current else {
            throw self.error(.missingValue, at: self.position, "'\(scalar)' is missing: write H(a-b).")
        }
        guard current == scalar else {
            throw self.error(
                .unexpectedCharacter, at: self.position,
                "\(CronText.quoted(current)) stands where '\(scalar)' belongs: write H(a-b).")
        }
        self.position += 1
    }

    // MARK: Results

    /// Selects every `step`-th value from `first` to `last`, in the order of the range, wrapping when
    /// `first` is above `last`.
    private mutating func select(from first: Int, through last: Int, step: Int) {
        let span = self.field.span
        var first = first
        var last = last
        if self.field == .dayOfWeek, first == 7 {
            // A range that starts on 7 starts on Sunday; one that is 7 alone ends there as well.
            first = 0
            if last == 7 { last = 0 }
        }
        let length = first <= last ? last - first : last - first + span.count
        for distance in stride(from: 0, through: length, by: step) {
            var value = first + distance
            if value > span.upperBound { value -= span.count }
            switch self.field {
            case .year: self.selection.years.insert(value)
            case .dayOfMonth: self.selection.days.days |= 1 << UInt32(value)
            case .dayOfWeek: self.selection.days.weekdays |= 1 << UInt32(value)
            default: self.selection.values |= 1 << UInt64(value)
            }
        }
    }

    private func outOfRange(_ number: Int, _ range: ClosedRange<Int>, at start: Int) -> CronError {
        var length = 0
        while start + length < self.end, Self.isDigit(self.scalars[start + length]) { length += 1 }
        let text = CronText.string(self.scalars[start..<start + min(length, 12)])
        return self.error(
            .valueOutOfRange, at: start,
            "'\(text)' is outside \(range.lowerBound)-\(range.upperBound).")
    }

    private func error(_ code: ScheduleErrorCode, at position: Int, _ detail: String) -> CronError {
        CronError(code, at: position, field: self.field, "\(self.field.words), column \(position + 1): \(detail)")
    }
}
