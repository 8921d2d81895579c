import EscapementModel
import Scheduling

// What a shard keeps of a schedule or a timer for as long as it holds it. There are millions of them, so
// what is absent has a value of its own instead of a flag, what many have alike is kept once and named by a
// number, and nothing is kept that can be computed.

/// A version of a schedule: 64 bytes.
struct HeldSchedule: SlabRecord {
    let uid: UID
    let createdRevision: Revision
    /// Occurrences due strictly after this instant are the version's.
    let from: WallInstant
    /// When the occurrence that waits in the wheel or among what is due is due; see `waiting`.
    private var due = WallInstant.distantPast
    /// In the wheel, or `.none`.
    var place = WheelPlace.none
    /// The lower half of the version's number; the upper one is among its `Rarities`.
    private let lowGeneration: UInt32
    /// Among the shard's plans.
    let plan: UInt32
    /// Among the shard's payloads.
    let payload: UInt32
    /// Milliseconds from its scheduled instant to the due one.
    private var delay: UInt32 = 0
    let kind: FireKind
    let replaces: Bool
    /// Whether the shard keeps `Rarities` of it.
    var hasRarities: Bool
    private var isWaiting = false

    init<Payload>(_ entry: ScheduleEntry<Payload>, plan: UInt32, payload: UInt32, hasRarities: Bool) {
        self.uid = entry.uid
        self.createdRevision = entry.createdRevision
        self.from = entry.from
        self.lowGeneration = UInt32(truncatingIfNeeded: entry.generation)
        self.plan = plan
        self.payload = payload
        self.kind = entry.kind
        self.replaces = entry.replaces
        self.hasRarities = hasRarities
    }

    var key: UID { self.uid }

    /// The version's number.
    func generation(_ rarities: Rarities) -> UInt64 {
        UInt64(rarities.highGeneration) << 32 | UInt64(self.lowGeneration)
    }

    /// The occurrence that waits in the wheel or among what is due.
    ///
    /// - Precondition: it is due within 49 days of its scheduled instant. Jitter ends after one.
    var waiting: Occurrence? {
        get {
            guard self.isWaiting else { return nil }
            return Occurrence(scheduled: self.due.advanced(by: .milliseconds(-Int64(self.delay))), due: self.due)
        }
        set {
            self.isWaiting = newValue != nil
            guard let newValue else { return }
            self.due = newValue.due
            self.delay = UInt32(newValue.due.milliseconds - newValue.scheduled.milliseconds)
        }
    }

    /// What few versions have, and a shard therefore keeps beside them.
    struct Rarities: Hashable, Sendable {
        /// Its end is known: occurrences due after this instant are not the version's.
        var until: WallInstant?
        var highGeneration: UInt32 = 0

        init() {}

        init<Payload>(_ entry: ScheduleEntry<Payload>) {
            self.until = entry.until
            self.highGeneration = UInt32(truncatingIfNeeded: entry.generation >> 32)
        }
    }
}

/// A one-shot timer: 56 bytes.
struct HeldTimer: SlabRecord {
    let uid: UID
    let revision: Revision
    let due: WallInstant
    /// 0 for any lateness.
    let expireAfterMilliseconds: UInt64
    /// Among the shard's payloads.
    let payload: UInt32
    /// In the wheel, `.none`, or `.inFlight` while a batch holds it.
    var place = WheelPlace.none

    init<Payload>(_ entry: TimerEntry<Payload>, payload: UInt32) {
        self.uid = entry.uid
        self.revision = entry.revision
        self.due = entry.due
        self.expireAfterMilliseconds = entry.expireAfterMilliseconds
        self.payload = payload
    }

    var key: UID { self.uid }
    var isInFlight: Bool { self.place == .inFlight }
    var watermark: Watermark { Watermark(instant: self.due, tie: self.uid) }

    func isExpired(at now: WallInstant) -> Bool {
        guard self.expireAfterMilliseconds > 0 else { return false }
        return now > self.due.advanced(by: .milliseconds(Int64(clamping: self.expireAfterMilliseconds)))
    }
}

/// Where a record is: the id of its insertion in the wheel, or a word for elsewhere.
///
/// Half of a handle. That is enough for who knows of each record whether it waits in the wheel.
struct WheelPlace: Hashable, Sendable {
    private let id: UInt32

    init(_ handle: TimerWheel.Handle) { self.id = handle.id }

    private init(id: UInt32) { self.id = id }

    /// A wheel has no such ids: there is no memory for so many entries.
    static let none = WheelPlace(id: .max)
    /// Of a timer that is in a batch.
    static let inFlight = WheelPlace(id: .max - 1)

    /// The insertion's id; `nil` when it is elsewhere.
    var waitingID: UInt32? { self == .none || self == .inFlight ? nil : self.id }
}

/// Which record of a shard: a number of the slab of schedules or of the one of timers, in 32 bits, as the
/// wheel carries it.
struct HeldToken: Hashable, Sendable {
    private static let scheduleBit = UInt32(1) << 31

    let rawValue: UInt32

    init(rawValue: UInt32) { self.rawValue = rawValue }

    static func schedule(_ number: UInt32) -> HeldToken { HeldToken(rawValue: number | Self.scheduleBit) }
    static func timer(_ number: UInt32) -> HeldToken { HeldToken(rawValue: number) }

    var isSchedule: Bool { self.rawValue & Self.scheduleBit != 0 }
    var number: UInt32 { self.rawValue & ~Self.scheduleBit }
}
