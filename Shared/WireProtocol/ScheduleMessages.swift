package import EscapementModel
package import NIOCore

/// One immutable version of a schedule. A change ends a version and creates the next; a pause or a
/// delete only ends it.
package struct ScheduleVersion: Equatable, Sendable {
    package var uid: UID
    package var generation: UInt64
    package var kind: FireKind
    package var createdRevision: Revision
    /// Whether it replaces an older version: then it never re-fires instants that the older one settled.
    package var replaces: Bool
    /// Occurrences strictly after this instant belong to the version.
    package var from: WallInstant
    package var endedRevision: Revision?
    /// Occurrences up to and including this instant still belong to an ended version.
    package var until: WallInstant?
    /// When the schedule was first created: the anchor of intervals without one.
    package var createdAt: WallInstant
    /// The canonical JSON of `when`; equal texts share one compiled program.
    package var when: ByteBuffer
    package var misfire: MisfireFields
    /// An encoded `FireTemplate`, opaque to the ticker.
    package var template: ByteBuffer

    package init(
        uid: UID, generation: UInt64, kind: FireKind, createdRevision: Revision, replaces: Bool, from: WallInstant,
        endedRevision: Revision?, until: WallInstant?, createdAt: WallInstant, when: ByteBuffer,
        misfire: MisfireFields, template: ByteBuffer
    ) {
        self.uid = uid
        self.generation = generation
        self.kind = kind
        self.createdRevision = createdRevision
        self.replaces = replaces
        self.from = from
        self.endedRevision = endedRevision
        self.until = until
        self.createdAt = createdAt
        self.when = when
        self.misfire = misfire
        self.template = template
    }

    func encode(into writer: inout FieldWriter) {
        writer.uid(1, self.uid)
        writer.unsigned(2, self.generation)
        writer.unsigned(3, self.kind.rawValue)
        writer.unsigned(4, self.createdRevision.rawValue)
        writer.flag(5, self.replaces)
        writer.instant(6, self.from)
        writer.unsigned(7, self.endedRevision?.rawValue ?? 0)
        writer.instant(8, self.until)
        writer.instant(9, self.createdAt)
        writer.bytes(10, self.when)
        writer.nested(11) { self.misfire.encode(into: &$0) }
        writer.bytes(12, self.template)
    }

    init(from reader: inout FieldReader) throws(WireError) {
        self.init(
            uid: .zero, generation: 0, kind: .cron, createdRevision: .none, replaces: false, from: .distantPast,
            endedRevision: nil, until: nil, createdAt: WallInstant(milliseconds: 0), when: ByteBuffer(),
            misfire: MisfireFields(), template: ByteBuffer())
        while let field = try reader.next() {
            switch field.number {
            case 1: self.uid = try field.uid("scheduleVersion.uid")
            case 2: self.generation = try field.unsigned("scheduleVersion.generation")
            case 3: self.kind = try field.kind("scheduleVersion.kind")
            case 4: self.createdRevision = Revision(try field.unsigned("scheduleVersion.createdRevision"))
            case 5: self.replaces = try field.flag("scheduleVersion.replaces")
            case 6: self.from = try field.instant("scheduleVersion.from")
            case 7: self.endedRevision = Revision(try field.unsigned("scheduleVersion.endedRevision"))
            case 8: self.until = try field.instant("scheduleVersion.until")
            case 9: self.createdAt = try field.instant("scheduleVersion.createdAt")
            case 10: self.when = try field.bytes("scheduleVersion.when", max: WireLimits.templateMax)
            case 11:
                var inner = try field.nested("scheduleVersion.misfire")
                self.misfire = try MisfireFields(from: &inner)
            case 12: self.template = try field.bytes("scheduleVersion.template", max: WireLimits.templateMax)
            default: continue
            }
        }
        guard self.uid != .zero else { throw WireError(.missing, field: "scheduleVersion.uid") }
    }
}

/// What happens to late occurrences, in milliseconds; `Scheduling` holds the rule itself.
package struct MisfireFields: Equatable, Sendable {
    /// 0 latest, 1 all, 2 skip.
    package var policy: UInt8
    package var toleranceMilliseconds: UInt64
    package var windowMilliseconds: UInt64
    package var limit: UInt32

    package init(
        policy: UInt8 = 0, toleranceMilliseconds: UInt64 = 60_000, windowMilliseconds: UInt64 = 3_600_000,
        limit: UInt32 = 100
    ) {
        self.policy = policy
        self.toleranceMilliseconds = toleranceMilliseconds
        self.windowMilliseconds = windowMilliseconds
        self.limit = limit
    }

    func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.policy)
        writer.unsigned(2, self.toleranceMilliseconds)
        writer.unsigned(3, self.windowMilliseconds)
        writer.unsigned(4, self.limit)
    }

    init(from reader: inout FieldReader) throws(WireError) {
        self.init(policy: 0, toleranceMilliseconds: 0, windowMilliseconds: 0, limit: 0)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.policy = try field.unsigned("misfire.policy")
            case 2: self.toleranceMilliseconds = try field.unsigned("misfire.tolerance")
            case 3: self.windowMilliseconds = try field.unsigned("misfire.window")
            case 4: self.limit = try field.unsigned("misfire.limit")
            default: continue
            }
        }
    }
}

/// One one-shot timer.
package struct TimerVersion: Equatable, Sendable {
    package var uid: UID
    package var revision: Revision
    package var due: WallInstant
    /// Set when it was cancelled.
    package var endedRevision: Revision?
    /// How late it may still be dispatched, in milliseconds; 0 for any lateness.
    package var expireAfterMilliseconds: UInt64
    /// An encoded `FireTemplate`, opaque to the ticker.
    package var template: ByteBuffer

    package init(
        uid: UID, revision: Revision, due: WallInstant, endedRevision: Revision?, expireAfterMilliseconds: UInt64,
        template: ByteBuffer
    ) {
        self.uid = uid
        self.revision = revision
        self.due = due
        self.endedRevision = endedRevision
        self.expireAfterMilliseconds = expireAfterMilliseconds
        self.template = template
    }

    func encode(into writer: inout FieldWriter) {
        writer.uid(1, self.uid)
        writer.unsigned(2, self.revision.rawValue)
        writer.instant(3, self.due)
        writer.unsigned(4, self.endedRevision?.rawValue ?? 0)
        writer.unsigned(5, self.expireAfterMilliseconds)
        writer.bytes(6, self.template)
    }

    init(from reader: inout FieldReader) throws(WireError) {
        self.init(
            uid: .zero, revision: .none, due: WallInstant(milliseconds: 0), endedRevision: nil,
            expireAfterMilliseconds: 0, template: ByteBuffer())
        while let field = try reader.next() {
            switch field.number {
            case 1: self.uid = try field.uid("timerVersion.uid")
            case 2: self.revision = Revision(try field.unsigned("timerVersion.revision"))
            case 3: self.due = try field.instant("timerVersion.due")
            case 4: self.endedRevision = Revision(try field.unsigned("timerVersion.endedRevision"))
            case 5: self.expireAfterMilliseconds = try field.unsigned("timerVersion.expireAfter")
            case 6: self.template = try field.bytes("timerVersion.template", max: WireLimits.templateMax)
            default: continue
            }
        }
        guard self.uid != .zero else { throw WireError(.missing, field: "timerVersion.uid") }
    }
}

/// Schedules and timers of one shard, the common body of pages and deltas.
package struct ShardContents: Equatable, Sendable {
    package var schedules: [ScheduleVersion]
    package var timers: [TimerVersion]

    package init(schedules: [ScheduleVersion] = [], timers: [TimerVersion] = []) {
        self.schedules = schedules
        self.timers = timers
    }

    package var isEmpty: Bool { self.schedules.isEmpty && self.timers.isEmpty }

    func encode(into writer: inout FieldWriter) {
        for schedule in self.schedules { writer.nested(1) { schedule.encode(into: &$0) } }
        for timer in self.timers { writer.nested(2) { timer.encode(into: &$0) } }
    }

    init(from reader: inout FieldReader) throws(WireError) {
        self.init()
        while let field = try reader.next() {
            switch field.number {
            case 1:
                var inner = try field.nested("contents.schedules")
                self.schedules.append(try ScheduleVersion(from: &inner))
            case 2:
                var inner = try field.nested("contents.timers")
                self.timers.append(try TimerVersion(from: &inner))
            default: continue
            }
        }
    }
}

/// Ticker to leader: send what the shard holds, then every change.
package struct SnapshotRequest: WireMessage {
    package static let kind = MessageKind.snapshotRequest
    package var shard: ShardID
    package var epoch: Epoch
    /// What `Opened` said is settled: ended versions and timers wholly before it are left out.
    package var cursor: Cursor
    /// Timers due up to here are wanted.
    package var horizon: WallInstant
    /// Not `none`: no snapshot, only the changes after this revision (the link to the leader was lost).
    package var since: Revision

    package init(shard: ShardID, epoch: Epoch, cursor: Cursor, horizon: WallInstant, since: Revision = .none) {
        self.shard = shard
        self.epoch = epoch
        self.cursor = cursor
        self.horizon = horizon
        self.since = since
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.cursor(3, self.cursor)
        writer.instant(4, self.horizon)
        writer.unsigned(5, self.since.rawValue)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, cursor: .start, horizon: .distantPast)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("snapshotRequest.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("snapshotRequest.epoch"))
            case 3: self.cursor = try field.cursor("snapshotRequest.cursor")
            case 4: self.horizon = try field.instant("snapshotRequest.horizon")
            case 5: self.since = Revision(try field.unsigned("snapshotRequest.since"))
            default: continue
            }
        }
    }
}

/// Leader to ticker: a part of the snapshot, all parts read in one transaction at `revision`.
package struct SnapshotPage: WireMessage {
    package static let kind = MessageKind.snapshotPage
    package var shard: ShardID
    package var epoch: Epoch
    package var revision: Revision
    package var contents: ShardContents
    package var last: Bool

    package init(shard: ShardID, epoch: Epoch, revision: Revision, contents: ShardContents, last: Bool) {
        self.shard = shard
        self.epoch = epoch
        self.revision = revision
        self.contents = contents
        self.last = last
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.unsigned(3, self.revision.rawValue)
        writer.nested(4) { self.contents.encode(into: &$0) }
        writer.flag(5, self.last)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, revision: .none, contents: ShardContents(), last: false)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("snapshotPage.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("snapshotPage.epoch"))
            case 3: self.revision = Revision(try field.unsigned("snapshotPage.revision"))
            case 4:
                var inner = try field.nested("snapshotPage.contents")
                self.contents = try ShardContents(from: &inner)
            case 5: self.last = try field.flag("snapshotPage.last")
            default: continue
            }
        }
    }
}

/// Leader to ticker: all changes of the shard after revision `from` up to and including `through`.
package struct Delta: WireMessage {
    package static let kind = MessageKind.delta
    package var shard: ShardID
    package var from: Revision
    package var through: Revision
    package var contents: ShardContents

    package init(shard: ShardID, from: Revision, through: Revision, contents: ShardContents) {
        self.shard = shard
        self.from = from
        self.through = through
        self.contents = contents
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.from.rawValue)
        writer.unsigned(3, self.through.rawValue)
        writer.nested(4) { self.contents.encode(into: &$0) }
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), from: .none, through: .none, contents: ShardContents())
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("delta.shard"))
            case 2: self.from = Revision(try field.unsigned("delta.from"))
            case 3: self.through = Revision(try field.unsigned("delta.through"))
            case 4:
                var inner = try field.nested("delta.contents")
                self.contents = try ShardContents(from: &inner)
            default: continue
            }
        }
    }
}

/// Ticker to leader: send the timers due after `after` up to and including `through`. From the moment
/// of asking the ticker keeps what deltas bring in that range, so nothing falls between.
package struct HorizonRequest: WireMessage {
    package static let kind = MessageKind.horizonRequest
    package var shard: ShardID
    package var epoch: Epoch
    package var after: Watermark
    package var through: WallInstant

    package init(shard: ShardID, epoch: Epoch, after: Watermark, through: WallInstant) {
        self.shard = shard
        self.epoch = epoch
        self.after = after
        self.through = through
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.watermark(3, self.after)
        writer.instant(4, self.through)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, after: .start, through: .distantPast)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("horizonRequest.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("horizonRequest.epoch"))
            case 3: self.after = try field.watermark("horizonRequest.after")
            case 4: self.through = try field.instant("horizonRequest.through")
            default: continue
            }
        }
    }
}

/// Leader to ticker: timers in order of (due, uid). When not `last`, ask again after the last one.
package struct HorizonPage: WireMessage {
    package static let kind = MessageKind.horizonPage
    package var shard: ShardID
    package var epoch: Epoch
    package var through: WallInstant
    package var timers: [TimerVersion]
    package var last: Bool

    package init(shard: ShardID, epoch: Epoch, through: WallInstant, timers: [TimerVersion], last: Bool) {
        self.shard = shard
        self.epoch = epoch
        self.through = through
        self.timers = timers
        self.last = last
    }

    package func encode(into writer: inout FieldWriter) {
        writer.unsigned(1, self.shard.rawValue)
        writer.unsigned(2, self.epoch.rawValue)
        writer.instant(3, self.through)
        writer.nested(4) { ShardContents(timers: self.timers).encode(into: &$0) }
        writer.flag(5, self.last)
    }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0), epoch: .none, through: .distantPast, timers: [], last: false)
        while let field = try reader.next() {
            switch field.number {
            case 1: self.shard = ShardID(try field.unsigned("horizonPage.shard"))
            case 2: self.epoch = Epoch(try field.unsigned("horizonPage.epoch"))
            case 3: self.through = try field.instant("horizonPage.through")
            case 4:
                var inner = try field.nested("horizonPage.contents")
                self.timers = try ShardContents(from: &inner).timers
            case 5: self.last = try field.flag("horizonPage.last")
            default: continue
            }
        }
    }
}

/// Coordinator to leader: a change of the shard was committed; do not wait for the poll. Carries no
/// data, so a lost hint costs half a second and nothing else.
package struct ChangeHint: WireMessage {
    package static let kind = MessageKind.changeHint
    package var shard: ShardID

    package init(shard: ShardID) { self.shard = shard }

    package func encode(into writer: inout FieldWriter) { writer.unsigned(1, self.shard.rawValue) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(shard: ShardID(0))
        while let field = try reader.next() {
            if field.number == 1 { self.shard = ShardID(try field.unsigned("changeHint.shard")) }
        }
    }
}

/// Ticker to leader: so much of what this link has brought of shards' contents is taken. From version 3 on.
///
/// The leader sends so many bytes at most ahead of this: a ticker that is slow, or a shard of a million schedules, must
/// not grow its memory.
package struct ContentsAck: WireMessage, Equatable {
    package static let kind = MessageKind.contentsAck
    /// Payload bytes of `SnapshotPage`, `Delta` and `HorizonPage` since the link was made.
    package var bytes: UInt64

    package init(bytes: UInt64) { self.bytes = bytes }

    package func encode(into writer: inout FieldWriter) { writer.unsigned(1, self.bytes) }

    package init(from reader: inout FieldReader) throws(WireError) {
        self.init(bytes: 0)
        while let field = try reader.next() {
            if field.number == 1 { self.bytes = try field.unsigned("contentsAck.bytes") }
        }
    }
}

extension MessageKind {
    /// Whether `ContentsAck` counts it.
    package var carriesContents: Bool { self == .snapshotPage || self == .delta || self == .horizonPage }
}
