package import EscapementModel
package import JSON
package import Scheduling

/// The JSON of `when`: what makes a schedule fire, and what narrows it.
///
/// `{"cron": ["30 2 * * *"], "timeZone": "Europe/Paris", "dst": {"gap": "skip"}}`,
/// `{"every": "15m", "anchor": "2026-01-01T00:05:00Z"}`, `{"at": ["2026-12-24T18:00:00Z"]}`, and
/// `startAt`, `endAt`, `limit`, `excludes`, `jitter`, `seed` with each. `docs/api.md` has every member.
///
/// Reading checks the shape; whether the expressions and zones mean something is for
/// `ScheduleDefinition.problems` and `CompiledSchedule`, whose errors `problems(_:at:in:)` places.
package enum WhenDocument {
    /// Reads `value`, collecting every fault of its shape.
    ///
    /// - Parameters:
    ///   - pointer: where `value` stands in its document.
    ///   - now: the instant from which a `delay` counts; `nil` refuses `delay`, which the canonical form
    ///     never has.
    /// - Returns: the definition, `nil` when there are problems.
    package static func read(
        _ value: JSONValue, at pointer: String = "/when", now: WallInstant? = nil
    ) -> (definition: ScheduleDefinition?, problems: [DocumentProblem]) {
        var reader = ObjectReader(value, at: pointer)
        if !reader.problems.isEmpty { return (nil, reader.problems) }
        let trigger = self.readTrigger(&reader, now: now)
        var definition = ScheduleDefinition(trigger: trigger ?? .at([]))
        if let zone = reader.string("timeZone") { definition.timeZone = zone }
        if let dst = reader.value("dst") {
            var inner = ObjectReader(dst, at: reader.pointer(to: "dst"))
            definition.gap = inner.word("gap", ["shift": .shift, "skip": .skip]) ?? .shift
            definition.overlap =
                inner.word("overlap", ["first": .first, "second": .second, "both": .both]) ?? .first
            reader.note(inner.finish())
        }
        definition.startAt = reader.instant("startAt")
        definition.endAt = reader.instant("endAt")
        if let start = definition.startAt, let end = definition.endAt, end <= start {
            reader.note("endAt", ProblemCode.conflictingFields, "must be after startAt")
        }
        let limits = 1...Int64(ScheduleDefinition.Limits.occurrences)
        definition.limit = reader.integer("limit", in: limits).map { Int($0) }
        if let elements = reader.array("excludes", countMax: ScheduleDefinition.Limits.exclusions) {
            for (index, element) in elements.enumerated() {
                let (exclusion, problems) = ExclusionDocument.read(
                    element, at: "\(reader.pointer(to: "excludes"))/\(index)")
                if let exclusion { definition.exclusions.append(exclusion) }
                reader.note(problems)
            }
        }
        let jitterRange = Duration.zero...Duration.milliseconds(ScheduleDefinition.Limits.jitterMilliseconds)
        definition.jitterMilliseconds = reader.duration("jitter", in: jitterRange)?.wholeMilliseconds ?? 0
        if let seed = reader.string("seed") {
            if seed.isEmpty || seed.utf8.count > ScheduleDefinition.Limits.seedBytes {
                reader.note(
                    "seed", ProblemCode.outOfRange, "must have 1 to \(ScheduleDefinition.Limits.seedBytes) bytes")
            }
            definition.seed = seed
        }
        let problems = reader.finish()
        return (problems.isEmpty && trigger != nil ? definition : nil, problems)
    }

    /// Writes the canonical form: members in one order, lists as arrays, defaults left out. Equal
    /// definitions give equal bytes, so that tickers share one compiled program between them.
    package static func write(_ definition: ScheduleDefinition) -> JSONValue {
        var members: [JSONMember] = []
        func add(_ name: String, _ value: JSONValue?) {
            if let value { members.append(JSONMember(name, value)) }
        }
        switch definition.trigger {
        case .cron(let expressions): add("cron", .array(expressions.map { .string($0) }))
        case .every(let interval, let anchor):
            add("every", .string(IntervalText.format(interval)))
            add("anchor", anchor.map(self.text))
        case .at(let instants): add("at", .array(instants.map(self.text)))
        }
        add("timeZone", definition.timeZone == "UTC" ? nil : .string(definition.timeZone))
        if definition.gap != .shift || definition.overlap != .first {
            add(
                "dst",
                .record([
                    "gap": definition.gap == .shift ? nil : .string("\(definition.gap)"),
                    "overlap": definition.overlap == .first ? nil : .string("\(definition.overlap)"),
                ]))
        }
        add("startAt", definition.startAt.map(self.text))
        add("endAt", definition.endAt.map(self.text))
        add("limit", definition.limit.map { .integer($0) })
        if !definition.exclusions.isEmpty {
            add("excludes", .array(definition.exclusions.map(ExclusionDocument.write)))
        }
        if definition.jitterMilliseconds != 0 {
            add("jitter", .string(DurationText.format(.milliseconds(definition.jitterMilliseconds))))
        }
        add("seed", definition.seed.map { .string($0) })
        return .object(members)
    }

    /// The kind of the fires of `definition`.
    package static func kind(of definition: ScheduleDefinition) -> FireKind {
        switch definition.trigger {
        case .cron: .cron
        case .every: .interval
        case .at: .at
        }
    }

    /// Places the errors of the calendar engine in the document `value` from which the definition was read.
    package static func problems(
        _ errors: [ScheduleError], at pointer: String = "/when", in value: JSONValue
    ) -> [DocumentProblem] {
        errors.map { error in
            var path = error.path
            if path == "exclusions" || path.hasPrefix("exclusions/") {
                path = "excludes" + path.dropFirst("exclusions".count)
            }
            for list in ["cron", "at"] where path == "\(list)/0" {
                // A list of one may be written without its brackets.
                if case .string? = value[list] { path = list }
            }
            if path.hasPrefix("at"), value["at"] == nil, value["delay"] != nil { path = "delay" }
            let place = path.isEmpty ? pointer : "\(pointer)/\(path)"
            return DocumentProblem(pointer: place, code: error.upperCode, detail: error.detail)
        }
    }

    /// The longest `delay`.
    package static let delayMax = Duration.seconds(3660 * 86_400)

    private static let shapes = ["cron", "every", "at", "delay"]

    private static func readTrigger(_ reader: inout ObjectReader, now: WallInstant?) -> ScheduleDefinition.Trigger? {
        let given = self.shapes.filter { (now != nil || $0 != "delay") && reader.has($0) }
        if given.isEmpty {
            reader.note("", ProblemCode.missingField, "needs one of cron, every, at")
        } else if given.count > 1 {
            reader.note(
                "", ProblemCode.conflictingFields,
                "has \(given.joined(separator: " and ")); exactly one of them says when")
        }
        let expressions = reader.strings("cron", countMax: ScheduleDefinition.Limits.expressions)
        let interval = self.readInterval(&reader)
        let anchor = reader.instant("anchor")
        if anchor != nil, given != ["every"] {
            reader.note("anchor", ProblemCode.conflictingFields, "belongs to 'every' only")
        }
        let instants = reader.instants("at", countMax: ScheduleDefinition.Limits.instants)
        for (list, isEmpty) in [("cron", expressions?.isEmpty), ("at", instants?.isEmpty)] where isEmpty == true {
            reader.note(list, ProblemCode.missingField, "must not be empty")
        }
        var delayed: WallInstant?
        if let now {
            delayed = reader.duration("delay", in: .zero...self.delayMax).map { now.advanced(by: $0) }
        }
        guard given.count == 1 else { return nil }
        if let expressions { return .cron(expressions) }
        if let interval { return .every(interval, anchor: anchor) }
        if let instants { return .at(instants) }
        return delayed.map { .at([$0]) }
    }

    private static func readInterval(_ reader: inout ObjectReader) -> ScheduleDefinition.Interval? {
        guard let text = reader.string("every") else { return nil }
        guard let interval = IntervalText.parse(text) else {
            let shown = ObjectReader.clipped(text)
            let fault =
                text.hasPrefix("-")
                ? "'\(shown)' is negative" : "'\(shown)' is not a period such as 15m, 1h30m, 1d or 1mo"
            reader.note("every", ProblemCode.invalidDuration, fault)
            return nil
        }
        return interval
    }

    private static func text(_ instant: WallInstant) -> JSONValue { .string(instant.description) }
}
