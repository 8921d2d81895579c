import EscapementModel
import JSON
import NIOCore
import ScheduleDocuments
import Scheduling
import Store
import WireProtocol

/// A schedule as a user wrote it, read and checked.
struct ScheduleDraft: Sendable {
    /// Carries the priority.
    var uid: UID
    var priority: Priority
    var name: String
    var labels: [JSONMember]
    var annotations: [JSONMember]
    var definition: ScheduleDefinition
    var target: TargetDocument
    var policy: PolicyDocument
    /// `nil` when the document does not say.
    var paused: Bool?

    /// What is there when a document changes it.
    struct InForce: Sendable {
        var uid: UID
        var priority: Priority
        /// `nil` when it cannot be read any more.
        var definition: ScheduleDefinition?

        init(_ stored: StoredSchedule) throws {
            self.uid = stored.uid
            self.priority = Priority(ofDocument: try JSONParser.parse(stored.body.document))
            self.definition = WhenDocument.read(try JSONParser.parse(stored.body.when)).definition
        }
    }

    /// Members that the server adds and that come back when an object that was read is sent again.
    private static let serverFields = [
        "uid", "generation", "createdAt", "createdBy", "updatedAt", "updatedBy", "pause", "status",
    ]

    /// Reads the document of a new schedule.
    ///
    /// - Parameters:
    ///   - name: the name in the path, with which the document's must agree; `nil` requires one in the document.
    ///   - drawn: of which its uid is made.
    /// - Throws: everything that is wrong with it.
    static func read(
        _ value: JSONValue, name: String?, drawn: UID, _ reading: DocumentReading
    ) throws(Problem) -> ScheduleDraft {
        try self.read(value, name: name, reading) { reader in
            let priority = reading.priority(&reader) ?? .normal
            return (ShardPlacement.scheduleUID(priority: priority, drawn: drawn), priority, nil)
        }
    }

    /// Reads a document that changes a schedule. A definition that is as it was need not have anything left to fire.
    static func read(
        _ value: JSONValue, name: String, changing known: InForce, _ reading: DocumentReading
    ) throws(Problem) -> ScheduleDraft {
        try self.read(value, name: name, reading) { reader in
            if let priority = reading.priority(&reader), priority != known.priority {
                reader.note(
                    "priority", ProblemCode.immutable,
                    "is \(known.priority.word) for the life of the schedule; "
                        + "delete it and create it anew, or create one under another name")
            }
            return (known.uid, known.priority, known.definition)
        }
    }

    private static func read(
        _ value: JSONValue, name: String?, _ reading: DocumentReading,
        identity: (inout ObjectReader) -> (uid: UID, priority: Priority, known: ScheduleDefinition?)
    ) throws(Problem) -> ScheduleDraft {
        var reader = ObjectReader(value, at: "")
        if !reader.problems.isEmpty { throw Problem.invalid(reader.problems) }
        let given = reading.name("name", &reader)
        if let name, let given, given != name {
            reader.note(
                "name", ProblemCode.conflictingFields, "is '\(ObjectReader.clipped(given))', the path says '\(name)'")
        }
        if name == nil { reader.require("name") }
        if let namespace = reader.string("namespace"), namespace != reading.namespace {
            reader.note("namespace", ProblemCode.conflictingFields, "must be '\(reading.namespace)', as in the path")
        }
        for field in self.serverFields { _ = reader.value(field) }
        let (uid, priority, known) = identity(&reader)
        let labels = reading.labels(&reader)
        let annotations = reading.annotations(&reader)
        reader.require("when")
        let definition = self.definition(&reader, uid: uid, known: known, reading)
        let target = reading.target(&reader)
        let (policy, problems) = PolicyDocument.read(reader.value("policy"), scope: .schedule)
        reader.note(problems)
        let paused = reader.boolean("paused")
        let all = reader.finish()
        guard all.isEmpty, let definition, let name = name ?? given else { throw Problem.invalid(all) }
        return ScheduleDraft(
            uid: uid, priority: priority, name: name, labels: labels, annotations: annotations, definition: definition,
            target: target, policy: policy, paused: paused)
    }

    private static func definition(
        _ reader: inout ObjectReader, uid: UID, known: ScheduleDefinition?, _ reading: DocumentReading
    ) -> ScheduleDefinition? {
        guard let when = reader.value("when") else { return nil }
        let (definition, problems) = WhenDocument.read(when, now: reading.now)
        reader.note(problems)
        guard let definition else { return nil }
        var errors = definition.problems(
            zones: reading.zones, uid: uid, now: definition == known ? nil : reading.now)
        if let conflict = definition.zoneConflict(explicitTimeZone: when["timeZone"]?.stringValue),
            !errors.contains(conflict)
        {
            errors.append(conflict)
        }
        reader.note(WhenDocument.problems(errors, in: when))
        if errors.isEmpty, let fault = self.tooFast(definition, uid: uid, reading) { reader.note([fault]) }
        return definition
    }

    /// Whether two of the next occurrences lie closer together than the namespace may have them.
    private static func tooFast(
        _ definition: ScheduleDefinition, uid: UID, _ reading: DocumentReading
    ) -> DocumentProblem? {
        guard let least = reading.intervalMinMilliseconds,
            let compiled = try? CompiledSchedule(definition, uid: uid, createdAt: reading.now, zones: reading.zones)
        else { return nil }
        let next = compiled.upcoming(after: reading.now, count: self.paceSample)
        for (earlier, later) in zip(next, next.dropFirst())
        where later.scheduled.milliseconds - earlier.scheduled.milliseconds < Int64(clamping: least) {
            let most = DurationText.format(.milliseconds(Int64(clamping: least)))
            return DocumentProblem(
                pointer: "/when", code: "INTERVAL_TOO_SHORT",
                detail:
                    "when fires at \(earlier.scheduled) and \(later.scheduled); this namespace's least interval is \(most)"
            )
        }
        return nil
    }

    /// Occurrences looked at; enough to see the seconds of a minute.
    private static let paceSample = 70

    /// What the user wrote, with defaults filled in and in one order.
    var document: JSONValue {
        .record([
            "priority": self.priority.stored, "labels": self.labels.isEmpty ? nil : .object(self.labels),
            "annotations": self.annotations.isEmpty ? nil : .object(self.annotations),
            "when": WhenDocument.write(self.definition), "target": self.target.write(),
            "policy": self.policy.write(scope: .schedule),
        ])
    }

    /// What the store keeps.
    func body(namespace: String) -> ScheduleBody {
        let template = FireTemplate(
            origin: .schedule, namespace: namespace, name: self.name, target: self.target, labels: self.labels,
            policy: self.policy, traceparent: "")
        let misfire = self.policy.misfire
        return ScheduleBody(
            kind: WhenDocument.kind(of: self.definition), when: WhenDocument.write(self.definition).bytes,
            misfirePolicy: misfire.policy.rawValue,
            misfireToleranceMilliseconds: UInt64(clamping: misfire.toleranceMilliseconds),
            misfireWindowMilliseconds: UInt64(clamping: misfire.windowMilliseconds),
            misfireLimit: UInt32(clamping: misfire.limit), template: Array(template.encoded().readableBytesView),
            document: self.document.bytes,
            labels: Dictionary(
                uniqueKeysWithValues: self.labels.map { ($0.name, $0.value.stringValue ?? "") }))
    }
}
