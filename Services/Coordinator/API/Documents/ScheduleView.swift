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
    func document(_ stored: StoredSchedule) throws -> JSONValue {
        guard case .object(let written) = try JSONParser.parse(stored.body.document) else {
            throw StoreError(.corrupt, operation: "read schedule", detail: "the document is not an object")
        }
        let head = JSONValue.record([
            "uid": .string(stored.uid.uuid), "namespace": .string(stored.namespace), "name": .string(stored.name),
            "generation": .integer(stored.generation), "createdAt": .string(stored.createdAt.description),
            "createdBy": .string(stored.createdBy), "updatedAt": .string(stored.updatedAt.description),
        ])
        guard case .object(let members) = head else { preconditionFailure("a record is an object") }
        return .object(members + written + [JSONMember("status", self.status(stored))])
    }

    private func status(_ stored: StoredSchedule) -> JSONValue {
        do {
            let compiled = try self.compiled(stored)
            let upcoming = self.upcoming(compiled, of: stored, after: self.now, count: Self.upcomingCount)
            let state = stored.until != nil ? "deleted" : upcoming.isEmpty ? "exhausted" : "active"
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
