package import JSON
package import Scheduling

/// A crontab read as schedules: one for each entry that has a meaning here.
///
/// An entry becomes a schedule whose payload is its command: Escapement says when, and whoever consumes
/// the fires runs it. Understood are comments, `CRON_TZ=`, five fields or a macro, `%` for the standard
/// input of a command, cronie's `low~high` (which becomes `H(low-high)`) and the `-` that silences a log,
/// and the user column of system crontabs. Other settings are the command's environment and not a
/// schedule's business; they are told as notes.
package struct Crontab: Sendable {
    /// A line that became no schedule, or one that lost something.
    package struct Remark: Hashable, Sendable {
        /// Counted from 1.
        package var line: Int
        /// A sentence.
        package var detail: String
        /// The line would have been an entry; nothing fires in its stead.
        package var isLoss: Bool
    }

    /// Documents for `schedule apply`, in the order of the file.
    package private(set) var schedules: [JSONValue] = []
    package private(set) var remarks: [Remark] = []

    /// What an import adds to every schedule.
    package struct Options: Sendable {
        /// The zone of entries without `CRON_TZ`.
        package var timeZone = "UTC"
        /// The action of every schedule; empty for none.
        package var action = ""
        /// The entries have a user column, as in `/etc/crontab`.
        package var hasUsers = false

        package init() {}
    }

    /// Longer files are refused; no crontab comes near it.
    package static let bytesMax = 1_048_576

    private let options: Options
    private let zones: ZoneDatabase
    private var timeZone: String
    private var names: Set<String> = []

    /// Reads `text`. Never fails as a whole: what could not be read is in `remarks`.
    package init(_ text: String, options: Options, zones: ZoneDatabase) {
        self.options = options
        self.zones = zones
        self.timeZone = options.timeZone
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() { self.read(line, number: index + 1) }
    }

    private static func isSpace(_ character: Character) -> Bool { character == " " || character == "\t" }

    private mutating func read(_ line: Substring, number: Int) {
        let line = line.drop(while: Self.isSpace)
        if line.isEmpty || line.hasPrefix("#") { return }
        if let setting = Self.setting(line) { return self.apply(setting, number: number) }
        var rest = line.hasPrefix("-") ? line.dropFirst() : line
        func word() -> Substring {
            let word = rest.prefix { !Self.isSpace($0) }
            rest = rest.dropFirst(word.count).drop(while: Self.isSpace)
            return word
        }
        var fields = [String(word())]
        if !fields[0].hasPrefix("@") { for _ in 0..<4 where !rest.isEmpty { fields.append(String(word())) } }
        let user = self.options.hasUsers ? String(word()) : nil
        guard !rest.isEmpty else {
            let shape = self.options.hasUsers ? "five fields, a user and a command" : "five fields and a command"
            return self.remark(number, "An entry has \(shape), or a macro instead of the fields.")
        }
        if fields.contains(where: { $0.contains("~") }) {
            fields = zip(fields, Self.ranges).map(Self.drawn)
            self.remark(number, "Random times become a stable draw: '\(fields.joined(separator: " "))'.", isLoss: false)
        }
        let expression = fields.joined(separator: " ")
        do {
            _ = try CronExpression.parse(expression, seed: "crontab", zones: self.zones)
        } catch {
            return self.remark(number, "'\(expression)': \(error.detail)")
        }
        self.add(expression, user: user, command: rest, number: number)
    }

    private mutating func remark(_ line: Int, _ detail: String, isLoss: Bool = true) {
        self.remarks.append(Remark(line: line, detail: detail, isLoss: isLoss))
    }

    // MARK: Settings

    /// `NAME = value`, either side quoted or not; `nil` for an entry.
    private static func setting(_ line: Substring) -> (name: String, value: String)? {
        guard let equals = line.firstIndex(of: "=") else { return nil }
        let name = self.unquoted(line[..<equals])
        let isName = name.utf8.allSatisfy { byte in
            (65...90).contains(byte) || (97...122).contains(byte) || (48...57).contains(byte)
                || byte == UInt8(ascii: "_")
        }
        guard isName, let first = name.first, !first.isNumber else { return nil }
        return (name, self.unquoted(line[line.index(after: equals)...]))
    }

    private static func unquoted(_ text: Substring) -> String {
        var text = text.drop(while: self.isSpace)
        while let last = text.last, self.isSpace(last) { text.removeLast() }
        if text.count >= 2, let quote = text.first, quote == "\"" || quote == "'", text.last == quote {
            text = text.dropFirst().dropLast()
        }
        return String(text)
    }

    private mutating func apply(_ setting: (name: String, value: String), number: Int) {
        guard setting.name == "CRON_TZ" else {
            return self.remark(
                number, "The setting \(setting.name) belongs to the commands and is not imported.", isLoss: false)
        }
        do {
            _ = try self.zones.rules(named: setting.value)
            self.timeZone = setting.value
        } catch {
            self.remark(number, "\(error.detail) The entries below stay in \(self.timeZone).")
        }
    }

    /// The fields of a crontab, in order.
    private static let ranges = [0...59, 0...23, 1...31, 1...12, 0...6]

    /// `8~11/2,5` as `H(8-11)/2,5`, `~` alone as `H`; an end that is missing is the field's own.
    private static func drawn(_ field: String, range: ClosedRange<Int>) -> String {
        field.split(separator: ",", omittingEmptySubsequences: false).map { item -> String in
            guard let tilde = item.firstIndex(of: "~") else { return String(item) }
            let rest = item[item.index(after: tilde)...]
            let low = item[..<tilde]
            let high = rest.prefix { $0 != "/" }
            let step = rest.dropFirst(high.count)
            if low.isEmpty, high.isEmpty { return "H\(step)" }
            return
                "H(\(low.isEmpty ? "\(range.lowerBound)" : low)-\(high.isEmpty ? "\(range.upperBound)" : high))\(step)"
        }.joined(separator: ",")
    }

    // MARK: Schedules

    private mutating func add(_ expression: String, user: String?, command: Substring, number: Int) {
        let (text, input) = Self.command(command)
        let name = self.name(for: text, line: number)
        let when = WhenDocument.write(ScheduleDefinition(trigger: .cron([expression]), timeZone: self.timeZone))
        let payload: JSONValue = .record([
            "command": .string(text), "stdin": input.map { .string($0) }, "user": user.map { .string($0) },
        ])
        let target = TargetDocument(action: self.options.action, payload: payload)
        self.schedules.append([
            "name": .string(name), "labels": ["source": "crontab"],
            "annotations": ["crontabLine": .string("\(number)")], "when": when, "target": target.write(),
        ])
    }

    /// The command and what `%` gives to its standard input: the first `%` ends the command, the others
    /// are line breaks, `\%` is a percent sign.
    private static func command(_ text: Substring) -> (text: String, input: String?) {
        var parts = [""]
        var isEscaped = false
        for character in text {
            if isEscaped {
                parts[parts.count - 1] += character == "%" ? "%" : "\\\(character)"
                isEscaped = false
            } else if character == "\\" {
                isEscaped = true
            } else if character == "%" {
                parts.append("")
            } else {
                parts[parts.count - 1].append(character)
            }
        }
        if isEscaped { parts[parts.count - 1].append("\\") }
        let input = parts.dropFirst().joined(separator: "\n")
        return (parts[0], parts.count > 1 ? input : nil)
    }

    /// A name after the program: `backup.sh`, or `backup.sh-12` for the second one, from line 12.
    private mutating func name(for command: String, line: Int) -> String {
        let program = command.prefix { !Self.isSpace($0) }.split(separator: "/").last ?? ""
        let allowed = program.unicodeScalars.filter { scalar in
            ("a"..."z").contains(scalar) || ("A"..."Z").contains(scalar) || ("0"..."9").contains(scalar)
                || scalar == "-" || scalar == "_" || scalar == "."
        }
        var name = String(String.UnicodeScalarView(allowed).drop { $0 == "-" || $0 == "_" || $0 == "." }.prefix(64))
        if name.isEmpty { name = "entry" }
        if self.names.contains(name) { name += "-\(line)" }
        self.names.insert(name)
        return name
    }
}
