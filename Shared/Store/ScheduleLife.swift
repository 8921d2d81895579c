package import EscapementModel

/// One schedule from its making to its end. A name can have had several, one after another.
package struct ScheduleLife: Hashable, Sendable {
    package var uid: UID
    package var createdAt: WallInstant
    package var createdBy: String
    /// When it was deleted; `nil` while it is there.
    package var endedAt: WallInstant?
    /// Those that are kept, newest first; not empty.
    package var versions: [StoredSchedule]

    package init(uid: UID, createdAt: WallInstant, createdBy: String, endedAt: WallInstant?, versions: [StoredSchedule])
    {
        self.uid = uid
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.endedAt = endedAt
        self.versions = versions
    }

    /// Puts versions together, which come life by life, each with the end of its schedule.
    package static func grouping(_ versions: [(version: StoredSchedule, endedAt: WallInstant?)]) -> [ScheduleLife] {
        var lives: [ScheduleLife] = []
        for (version, endedAt) in versions {
            if lives.last?.uid == version.uid {
                lives[lives.count - 1].versions.append(version)
            } else {
                lives.append(
                    ScheduleLife(
                        uid: version.uid, createdAt: version.createdAt, createdBy: version.createdBy, endedAt: endedAt,
                        versions: [version]))
            }
        }
        return lives
    }
}
