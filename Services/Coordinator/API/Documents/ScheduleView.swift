import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Store

/// How a stored schedule is shown.
struct ScheduleView: Sendable {
    let zones: ZoneDatabase
    let programs: ProgramCache
    let now: WallInstant

    /// Upcoming times shown with the object.
    private static let upcomingCount = 2

    /// The definition and what compiles from it. The error says what is missing here, such as a time zone that
    /// this machine does not have.
    func compiled(_ stored: StoredSchedule) throws -> CompiledSchedule {
        let (definition, problems) = WhenDocument.read(try JSONParser.parse(stored.body.when))
        guard let definition, problems.isEmpty else {
            throw StoreError(
                .corrupt, operation: "read schedule", detail: problems.map(\.description).joined(separator: "; "))
        }
        return try CompiledSchedule(
            definition, uid: stored.uid, createdAt: stored.createdAt, zones: self.zones, cache: self.programs)
    }

    /// Occurrences of the version that are due after `instant`.
    func upcoming(_ compiled: CompiledSchedule, of stored: StoredSchedule, after instant: WallInstant, count: Int)
        -> [Occurrence]
    {
        // Occurrences strictly after `from` belong to the version.
        compiled.upcoming(after: max(instant, stored.from), count: count)
            .filter { occurrence in stored.until.map { occurrence.scheduled <= $0 } ?? true }
    }

    /// The object as the API serves it.
    ///
    /// - Parameter isDeleted: whether the version is the last one of a schedule that is gone.
    func document(_ stored: StoredSchedule, isDeleted: Bool = false) throws -> JSONValue {
        let document = try JSONParser.parse(stored.body.document)
        guard case .object(let written) = document else {
            throw StoreError(.corrupt, operation: "read schedule", detail: "the document is not an object")
        }
        let head = JSONValue.record([
            "uid": .string(stored.uid.uuid), "namespace": .string(stored.namespace), "name": .string(stored.name),
            "generation": .integer(stored.generation), "createdAt": .string(stored.createdAt.description),
            "createdBy": .string(stored.createdBy), "updatedAt": .string(stored.updatedAt.description),
            "updatedBy": .string(stored.updatedBy), "priority": .string(Priority(ofDocument: document).word),
        ])
        let isPaused = stored.isPaused(at: self.now)
        let tail = JSONValue.record([
            "paused": .bool(isPaused), "pause": isPaused ? stored.pause.map(Self.document) : nil,
            "status": self.status(stored, isDeleted: isDeleted),
        ])
        return .object(
            (head.objectValue ?? []) + written.filter { $0.name != "priority" } + (tail.objectValue ?? []))
    }

    /// Why it does not fire.
    static func document(_ pause: SchedulePause) -> JSONValue {
        .record([
            "scope": .string(pause.scope == .namespace ? "namespace" : "schedule"),
            "since": .string(pause.since.description), "until": pause.until.map { .string($0.description) },
            "reason": pause.reason.map { .string($0) },
        ])
    }

    private func status(_ stored: StoredSchedule, isDeleted: Bool) -> JSONValue {
        do {
            let compiled = try self.compiled(stored)
            let upcoming = self.upcoming(compiled, of: stored, after: self.now, count: Self.upcomingCount)
            let state =
                isDeleted
                ? "deleted"
                : stored.isPaused(at: self.now) ? "paused" : upcoming.isEmpty ? "exhausted" : "active"
            return .record([
                "state": .string(state), "shard": .integer(stored.shard.rawValue), "text": .string(compiled.text),
                "nextFireAt": upcoming.first.map { .string($0.due.description) } ?? .null,
                "upcoming": .array(upcoming.map { .string($0.due.description) }),
            ])
        } catch {
            // The object is still shown: a machine without the zone must not hide what was agreed.
            return .record([
                "state": "unreadable", "shard": .integer(stored.shard.rawValue),
                "warnings": [["code": "UNREADABLE", "detail": .string("\(error)")]],
            ])
        }
    }
}
