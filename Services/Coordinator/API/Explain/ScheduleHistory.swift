import EscapementModel
import JSON
import ScheduleDocuments
import Scheduling
import Store

/// All that is known of a name's past: its schedules with their versions, and the audit trail where those are no
/// longer kept.
struct ScheduleHistory: Sendable {
    let namespace: String
    let name: String
    /// The schedules that have or had the name, newest first.
    let lives: [ScheduleLife]
    /// Lines about the name, newest first.
    let trail: [AuditEntry]

    /// Versions and lines that are looked at.
    static let versionsMax = 1000
    static let trailMax = 1000

    /// The last schedule made before `instant`; it may have ended before too.
    func life(at instant: WallInstant) -> ScheduleLife? { self.lives.first { $0.createdAt < instant } }

    /// The version of `life` in force at `instant`: the newest one made before it. Occurrences strictly after the making
    /// of a version are its own.
    func version(of life: ScheduleLife, at instant: WallInstant) -> StoredSchedule? {
        life.versions.first { self.begin(of: $0) < instant }
    }

    /// From when a version counts: a paused one from the pause, though its occurrences begin later.
    private func begin(of version: StoredSchedule) -> WallInstant {
        version.pause == nil ? version.from : min(version.updatedAt, version.from)
    }

    /// What the audit trail says last about the name before `instant`.
    func line(before instant: WallInstant) -> AuditEntry? { self.trail.first { $0.at < instant } }

    /// The occurrences that every version kept says should have been settled in `from..<to`, oldest first, at
    /// most `limit`.
    func expected(
        from: WallInstant, to: WallInstant, limit: Int, compile: (StoredSchedule) throws -> CompiledSchedule
    ) rethrows -> [(occurrence: Occurrence, version: StoredSchedule)] {
        var found: [(occurrence: Occurrence, version: StoredSchedule)] = []
        for version in self.lives.reversed().flatMap({ $0.versions.reversed() }) where !version.isEmpty {
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

    /// How long a ticker may go on with a version that has ended: a change reaches it through the leader, who may be
    /// failing over.
    static let changeLag = Duration.seconds(15)

    /// What versions named that had ended in `from..<to` shortly before: fired by a ticker that had not heard of it, or
    /// not fired.
    func belated(
        from: WallInstant, to: WallInstant, limit: Int, compile: (StoredSchedule) throws -> CompiledSchedule
    ) rethrows -> Set<WallInstant> {
        var found: Set<WallInstant> = []
        for version in self.lives.flatMap(\.versions) where !version.isEmpty && version.pause == nil {
            guard let until = version.until, until.advanced(by: Self.changeLag) >= from, until < to else { continue }
            let compiled = try compile(version)
            var position = max(until, version.from)
            while found.count < limit, let next = compiled.next(after: position),
                next.scheduled <= until.advanced(by: Self.changeLag)
            {
                found.insert(next.scheduled)
                position = next.due
            }
        }
        return found
    }
}

extension APIServer {
    /// - Throws: `NOT_FOUND` when nobody remembers a schedule of that name.
    func history(namespace: String, name: String) async throws -> ScheduleHistory {
        let lives = try await self.store.lives(
            namespace: namespace, name: name, limit: ScheduleHistory.versionsMax)
        let trail = try await self.store.auditTrail(
            AuditFilter(namespace: namespace, object: .schedule, name: name), before: nil,
            limit: ScheduleHistory.trailMax)
        guard !lives.isEmpty || !trail.isEmpty else { throw Self.noSchedule(name, namespace) }
        return ScheduleHistory(namespace: namespace, name: name, lives: lives, trail: trail)
    }
}
