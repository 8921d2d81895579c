import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Store

/// All that is known of a schedule's past: its versions, and the audit trail where versions are no longer kept.
struct ScheduleHistory: Sendable {
    let namespace: String
    let name: String
    /// Of the schedule that has the name or last had it, newest first; never empty.
    let versions: [StoredSchedule]
    /// Lines about the name, newest first.
    let trail: [AuditEntry]
    /// Whether the name has no schedule now.
    let isDeleted: Bool

    /// Versions and lines that are looked at.
    static let versionsMax = 1000
    static let trailMax = 1000

    /// When the schedule ended; `nil` while it is there.
    var deletedAt: WallInstant? {
        guard self.isDeleted else { return nil }
        return self.trail.first { $0.action == .delete }?.at ?? self.versions.first?.until
    }

    /// The version in force at `instant`: the newest one made before it. Occurrences strictly after the making of
    /// a version are its own.
    func version(at instant: WallInstant) -> StoredSchedule? {
        self.versions.first { self.begin(of: $0) < instant }
    }

    /// From when a version counts: a paused one from the pause, though its occurrences begin later.
    private func begin(of version: StoredSchedule) -> WallInstant {
        version.pause == nil ? version.from : min(version.updatedAt, version.from)
    }

    /// What the audit trail says was in force at `instant`, when no version of that time is kept.
    func documentOnRecord(at instant: WallInstant) -> (entry: AuditEntry, document: JSONValue)? {
        guard let entry = self.trail.first(where: { $0.at < instant }), entry.action != .delete,
            let bytes = entry.after, let document = try? JSONParser.parse(bytes)
        else { return nil }
        return (entry, document)
    }

    /// Whether the name had a schedule before this one, which ended before `instant`.
    func wasDeleted(before instant: WallInstant) -> AuditEntry? {
        guard let entry = self.trail.first(where: { $0.at < instant }), entry.action == .delete else { return nil }
        return entry
    }

    /// The occurrences that every version kept says should have been settled in `from..<to`, oldest first, at
    /// most `limit`.
    func expected(
        from: WallInstant, to: WallInstant, limit: Int, compile: (StoredSchedule) throws -> CompiledSchedule
    ) rethrows -> [(occurrence: Occurrence, version: StoredSchedule)] {
        var found: [(occurrence: Occurrence, version: StoredSchedule)] = []
        for version in self.versions.reversed() where !version.isEmpty {
            let begin = max(version.from, WallInstant(milliseconds: from.milliseconds - 1))
            let end = min(version.until ?? .distantFuture, WallInstant(milliseconds: to.milliseconds - 1))
            guard begin < end else { continue }
            let compiled = try compile(version)
            var position = begin
            while found.count < limit, let next = compiled.next(after: position), next.scheduled <= end {
                // With jitter the first one due after `begin` may have been scheduled before it.
                if next.scheduled > begin { found.append((next, version)) }
                position = next.due
            }
        }
        return found
    }
}

extension APIServer {
    /// - Throws: `NOT_FOUND` when nobody remembers a schedule of that name.
    func history(namespace: String, name: String) async throws -> ScheduleHistory {
        let versions = try await self.store.versions(
            namespace: namespace, name: name, before: nil, limit: ScheduleHistory.versionsMax)
        guard !versions.isEmpty else { throw Self.noSchedule(name, namespace) }
        let trail = try await self.store.auditTrail(
            AuditFilter(namespace: namespace, object: .schedule, name: name), before: nil,
            limit: ScheduleHistory.trailMax)
        let current = try await self.store.schedule(namespace: namespace, name: name)
        return ScheduleHistory(
            namespace: namespace, name: name, versions: versions, trail: trail, isDeleted: current == nil)
    }
}
