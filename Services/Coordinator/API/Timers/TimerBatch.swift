import EscapementModel
import JSON
import ScheduleDocuments
import Store

/// A batch of timers: the lines of a request, what each was read as, and what became of it.
struct TimerBatch: Sendable {
    /// What became of one line.
    enum Status: Sendable {
        case accepted(StoredTimer)
        case duplicate(StoredTimer)
        case conflict(StoredTimer)
        case rejected([Problem.Fault])
        /// Fine itself, but the batch was all or nothing.
        case notStored
    }

    struct Line: Sendable {
        /// In the request, counting from 1, with the line of defaults; in a JSON document, the element.
        var number: Int
        /// The id as it was given; `nil` where it could not be read.
        var id: String?
        var draft: TimerDraft?
        var status: Status
    }

    var lines: [Line] = []

    /// Cuts a body into lines and reads each. The first may be `{"defaults": {…}}`, merged below all others.
    ///
    /// - Throws: what concerns the batch as a whole: too many lines, defaults that are not an object.
    static func read(ndjson bytes: [UInt8], call: APICall, _ reading: DocumentReading) throws(Problem) -> TimerBatch {
        var batch = TimerBatch()
        var defaults: JSONValue?
        // One line at a time: a small body may unfold to millions of empty ones.
        var rest = bytes[...]
        var number = 0
        while !rest.isEmpty {
            let line = rest[..<(rest.firstIndex(of: 0x0a) ?? rest.endIndex)]
            rest = rest.dropFirst(line.count + 1)
            number += 1
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0d || $0 == 0x09 }) { continue }
            let value: JSONValue
            do throws(Problem) {
                value = try call.parse(line)
            } catch {
                try batch.add(Line(number: number, id: nil, draft: nil, status: .rejected(error.faults)), reading)
                continue
            }
            if batch.lines.isEmpty, defaults == nil, let found = value["defaults"] {
                defaults = try Self.defaults(found, of: value)
                continue
            }
            try batch.add(value, number: number, defaults: defaults, reading)
        }
        return batch
    }

    /// Reads `{"defaults": {…}, "timers": […]}`.
    static func read(document: JSONValue, _ reading: DocumentReading) throws(Problem) -> TimerBatch {
        var reader = ObjectReader(document, at: "")
        if !reader.problems.isEmpty { throw Problem.invalid(reader.problems) }
        let defaults = reader.value("defaults")
        reader.require("timers")
        let elements = reader.array("timers", countMax: reading.settings.batchTimersMax) ?? []
        let problems = reader.finish()
        if !problems.isEmpty { throw Problem.invalid(problems) }
        var batch = TimerBatch()
        let checked = try defaults.map { (value: JSONValue) throws(Problem) in try Self.defaults(value, of: nil) }
        for (index, element) in elements.enumerated() {
            try batch.add(element, number: index + 1, defaults: checked, reading)
        }
        return batch
    }

    private static func defaults(_ value: JSONValue, of line: JSONValue?) throws(Problem) -> JSONValue {
        var problems: [DocumentProblem] = []
        if case .object = value {
        } else {
            problems.append(
                DocumentProblem(
                    pointer: "/defaults", code: ProblemCode.invalidType,
                    detail: "defaults must be an object, not \(value.kindName)"))
        }
        if value["id"] != nil {
            problems.append(
                DocumentProblem(
                    pointer: "/defaults/id", code: ProblemCode.conflictingFields,
                    detail: "each timer has an id of its own"))
        }
        for member in line?.objectValue ?? [] where member.name != "defaults" {
            problems.append(
                DocumentProblem(
                    pointer: "/\(member.name)", code: ProblemCode.unknownField,
                    detail: "the line of defaults has nothing else"))
        }
        if !problems.isEmpty { throw Problem.invalid(problems) }
        return value
    }

    private mutating func add(
        _ value: JSONValue, number: Int, defaults: JSONValue?, _ reading: DocumentReading
    ) throws(Problem) {
        var line = Line(number: number, id: value["id"]?.stringValue, draft: nil, status: .notStored)
        var merged = value
        if case .object? = defaults, case .object = value, let defaults {
            merged = MergePatch.apply(value, to: Self.without(defaults, whatReplaces: value))
        }
        do throws(Problem) {
            line.draft = try TimerDraft.read(merged, reading)
        } catch {
            line.status = .rejected(error.faults)
        }
        try self.add(line, reading)
    }

    /// A line that says when does not inherit another "when".
    private static func without(_ defaults: JSONValue, whatReplaces line: JSONValue) -> JSONValue {
        guard case .object(let members) = defaults, line["delay"] != nil || line["at"] != nil else { return defaults }
        return .object(members.filter { $0.name != "delay" && $0.name != "at" })
    }

    private mutating func add(_ line: Line, _ reading: DocumentReading) throws(Problem) {
        guard self.lines.count < reading.settings.batchTimersMax else {
            let detail = "a batch has at most \(reading.settings.batchTimersMax) timers; send several"
            throw Problem(
                413, Problem.Code.payloadTooLarge, detail, faults: [.init(.pointer(""), ProblemCode.tooMany, detail)])
        }
        self.lines.append(line)
    }

    // MARK: The answer

    /// - Parameter listsAll: whether plainly accepted lines are listed too.
    func answer(id: String, listsAll: Bool) -> JSONValue {
        var accepted = 0
        var duplicates = 0
        var conflicts = 0
        var rejected = 0
        var first: WallInstant?
        var last: WallInstant?
        var results: [JSONValue] = []
        for line in self.lines {
            var isPlain = false
            switch line.status {
            case .accepted(let timer):
                accepted += 1
                isPlain = true
                first = min(first ?? timer.due, timer.due)
                last = max(last ?? timer.due, timer.due)
            case .duplicate: duplicates += 1
            case .conflict: conflicts += 1
            case .rejected: rejected += 1
            case .notStored: break
            }
            if !isPlain || listsAll { results.append(line.result) }
        }
        return .record([
            "accepted": .integer(accepted), "duplicates": .integer(duplicates), "conflicts": .integer(conflicts),
            "rejected": .integer(rejected), "batchId": .string(id),
            "firstDueAt": first.map { .string($0.description) }, "lastDueAt": last.map { .string($0.description) },
            "results": .array(results),
        ])
    }

    /// Whether an id is taken by a timer with other content.
    var hasConflicts: Bool {
        self.lines.contains { line in
            if case .conflict = line.status { true } else { false }
        }
    }

    /// Whether a line cannot be stored.
    var hasRejected: Bool {
        self.lines.contains { line in
            if case .rejected = line.status { true } else { false }
        }
    }
}

extension TimerBatch.Line {
    fileprivate var result: JSONValue {
        func result(_ status: String, id: String?, _ more: [JSONMember]) -> JSONValue {
            .object(
                [
                    JSONMember("line", .integer(self.number)), JSONMember("id", id.map { .string($0) } ?? .null),
                    JSONMember("status", .string(status)),
                ] + more)
        }
        switch self.status {
        case .accepted(let timer):
            return result("accepted", id: timer.name, [JSONMember("dueAt", .string(timer.due.description))])
        case .duplicate(let timer):
            return result("duplicate", id: timer.name, [JSONMember("existing", .string(TimerView.path(of: timer)))])
        case .conflict(let timer):
            return result(
                "conflict", id: timer.name,
                [
                    JSONMember("existing", .string(TimerView.path(of: timer))),
                    JSONMember(
                        "error",
                        [
                            "code": .string(Problem.Code.alreadyExists), "pointer": "/id",
                            "detail": "the id is taken by a timer with other content",
                        ]),
                ])
        case .notStored: return result("not-stored", id: self.id, [])
        case .rejected(let faults):
            let errors = faults.map { fault -> JSONValue in
                var pointer = ""
                if case .pointer(let place) = fault.place { pointer = place }
                return [
                    "code": .string(fault.code), "pointer": .string(pointer), "detail": .string(fault.detail),
                ]
            }
            return result(
                "rejected", id: self.id,
                [JSONMember("error", errors.first ?? .null)]
                    + (errors.count > 1 ? [JSONMember("errors", .array(errors))] : []))
        }
    }
}
