package import EscapementModel

/// What rows hold, in the form in which they are read back and sent on. The JSON documents are opaque
/// to the store: whoever wrote them reads them.

package struct NewSchedule: Hashable, Sendable {
    package var uid: UID
    package var shard: ShardID
    package var namespace: String
    package var name: String
    package var createdAt: WallInstant
    package var createdBy: String
    package var body: ScheduleBody
    /// Made in this state: `until` and `reason` count.
    package var pause: SchedulePause?

    package init(
        uid: UID, shard: ShardID, namespace: String, name: String, createdAt: WallInstant, createdBy: String,
        body: ScheduleBody, pause: SchedulePause? = nil
    ) {
        self.uid = uid
        self.shard = shard
        self.namespace = namespace
        self.name = name
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.body = body
        self.pause = pause
    }
}

/// The part of a schedule that a new version replaces.
package struct ScheduleBody: Hashable, Sendable {
    package var kind: FireKind
    /// The canonical JSON of `when`, compiled by tickers.
    package var when: [UInt8]
    package var misfirePolicy: UInt8
    package var misfireToleranceMilliseconds: UInt64
    package var misfireWindowMilliseconds: UInt64
    package var misfireLimit: UInt32
    /// An encoded fire template, read by dispatchers only.
    package var template: [UInt8]
    /// The canonical JSON of what the user wrote, given back on reads.
    package var document: [UInt8]
    /// For selectors; the document has them too. A name has no `=` in it.
    package var labels: [String: String]

    package init(
        kind: FireKind, when: [UInt8], misfirePolicy: UInt8, misfireToleranceMilliseconds: UInt64,
        misfireWindowMilliseconds: UInt64, misfireLimit: UInt32, template: [UInt8], document: [UInt8],
        labels: [String: String] = [:]
    ) {
        self.kind = kind
        self.when = when
        self.misfirePolicy = misfirePolicy
        self.misfireToleranceMilliseconds = misfireToleranceMilliseconds
        self.misfireWindowMilliseconds = misfireWindowMilliseconds
        self.misfireLimit = misfireLimit
        self.template = template
        self.document = document
        self.labels = labels
    }

    /// Whether it says the same as another body of the same schedule. The template follows from the rest, and another release
    /// may write it differently.
    package func saysSame(as other: ScheduleBody) -> Bool {
        var other = other
        other.template = self.template
        return self == other
    }
}

/// One version of a schedule.
package struct StoredSchedule: Hashable, Sendable {
    package var uid: UID
    package var shard: ShardID
    package var namespace: String
    package var name: String
    package var generation: UInt64
    package var createdRevision: Revision
    package var replaces: Bool
    /// Occurrences strictly after this instant belong to the version.
    package var from: WallInstant
    package var endedRevision: Revision?
    package var until: WallInstant?
    /// When generation 1 was made, and by whom.
    package var createdAt: WallInstant
    package var createdBy: String
    /// When this version was made, by whom, and why.
    package var updatedAt: WallInstant
    package var updatedBy: String
    package var changeReason: String?
    package var body: ScheduleBody
    /// The pause that this version was made with; it may be over.
    package var pause: SchedulePause?

    /// - Parameter updatedBy: `nil` for who made generation 1.
    package init(
        uid: UID, shard: ShardID, namespace: String, name: String, generation: UInt64, createdRevision: Revision,
        replaces: Bool, from: WallInstant, endedRevision: Revision?, until: WallInstant?, createdAt: WallInstant,
        createdBy: String, updatedAt: WallInstant, updatedBy: String? = nil, changeReason: String? = nil,
        body: ScheduleBody, pause: SchedulePause? = nil
    ) {
        self.uid = uid
        self.shard = shard
        self.namespace = namespace
        self.name = name
        self.generation = generation
        self.createdRevision = createdRevision
        self.replaces = replaces
        self.from = from
        self.endedRevision = endedRevision
        self.until = until
        self.createdAt = createdAt
        self.createdBy = createdBy
        self.updatedAt = updatedAt
        self.updatedBy = updatedBy ?? createdBy
        self.changeReason = changeReason
        self.body = body
        self.pause = pause
    }
}

package struct NewTimer: Hashable, Sendable {
    /// Carries the shard: `ShardPlacement.timerUID`.
    package var uid: UID
    package var namespace: String
    /// The user's id of the timer, or the uid's text.
    package var name: String
    package var due: WallInstant
    package var expireAfterMilliseconds: UInt64
    package var template: [UInt8]
    package var document: [UInt8]
    /// A digest of what the user sent, to tell a repeated request from a conflicting one.
    package var contentDigest: [UInt8]
    package var createdAt: WallInstant
    package var createdBy: String

    package init(
        uid: UID, namespace: String, name: String, due: WallInstant, expireAfterMilliseconds: UInt64,
        template: [UInt8], document: [UInt8], contentDigest: [UInt8], createdAt: WallInstant, createdBy: String
    ) {
        self.uid = uid
        self.namespace = namespace
        self.name = name
        self.due = due
        self.expireAfterMilliseconds = expireAfterMilliseconds
        self.template = template
        self.document = document
        self.contentDigest = contentDigest
        self.createdAt = createdAt
        self.createdBy = createdBy
    }

    /// Bytes of what the user said of it, as it is stored: a payload counts twice, in the template and in the document.
    package var byteCount: Int { self.template.count + self.document.count }
}

package struct StoredTimer: Hashable, Sendable {
    package var uid: UID
    package var shard: ShardID
    package var namespace: String
    package var name: String
    package var revision: Revision
    package var due: WallInstant
    package var endedRevision: Revision?
    package var expireAfterMilliseconds: UInt64
    package var template: [UInt8]
    package var document: [UInt8]
    package var createdAt: WallInstant
    package var createdBy: String

    package init(
        uid: UID, shard: ShardID, namespace: String, name: String, revision: Revision, due: WallInstant,
        endedRevision: Revision?, expireAfterMilliseconds: UInt64, template: [UInt8], document: [UInt8],
        createdAt: WallInstant, createdBy: String
    ) {
        self.uid = uid
        self.shard = shard
        self.namespace = namespace
        self.name = name
        self.revision = revision
        self.due = due
        self.endedRevision = endedRevision
        self.expireAfterMilliseconds = expireAfterMilliseconds
        self.template = template
        self.document = document
        self.createdAt = createdAt
        self.createdBy = createdBy
    }
}

/// A part of a shard: what a ticker loads or what has changed.
package struct ShardPage: Hashable, Sendable {
    /// The shard's revision in the transaction that read this.
    package var revision: Revision
    package var schedules: [StoredSchedule]
    package var timers: [StoredTimer]
    package var last: Bool

    package init(revision: Revision, schedules: [StoredSchedule], timers: [StoredTimer], last: Bool) {
        self.revision = revision
        self.schedules = schedules
        self.timers = timers
        self.last = last
    }
}
