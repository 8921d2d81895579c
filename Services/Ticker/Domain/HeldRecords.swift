import EscapementModel
import Scheduling

// What a shard keeps of a schedule or a timer for as long as it holds it. There are millions of them, so
// what is absent has a value of its own instead of a flag, and nothing is kept that can be computed.

/// A version of a schedule: 112 bytes, and its payload.
struct HeldSchedule<Payload: Sendable & Equatable>: SlabRecord {
    let uid: UID
    let generation: UInt64
    let createdRevision: Revision
    /// Occurrences due strictly after this instant are the version's.
    let from: WallInstant
    /// Occurrences due after this instant are not; `.distantFuture` while it is in force.
    var until: WallInstant
    let plan: any OccurrencePlan
    let payload: Payload
    /// In the wheel, or `.none`.
    var handle = TimerWheel.Handle.none
    /// When the occurrence that waits in the wheel or in `ready` is due; see `waiting`.
    private var due = WallInstant.distantPast
    /// Milliseconds from its scheduled instant to the due one.
    private var delay: UInt32 = 0
    let payloadBytes: UInt32
    /// Guards against what is left in a queue from before a change.
    let stamp: UInt32
    let kind: FireKind
    let replaces: Bool
    /// Whether its end is known.
    var hasEnded: Bool
    private var isWaiting = false

    init(_ entry: ScheduleEntry<Payload>, stamp: UInt32) {
        self.uid = entry.uid
        self.generation = entry.generation
        self.createdRevision = entry.createdRevision
        self.from = entry.from
        self.until = entry.until ?? .distantFuture
        self.plan = entry.plan
        self.payload = entry.payload
        self.payloadBytes = UInt32(clamping: entry.payloadBytes)
        self.stamp = stamp
        self.kind = entry.kind
        self.replaces = entry.replaces
        self.hasEnded = entry.endedRevision != nil
    }

    /// The occurrence that waits in the wheel or in `ready`.
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
}

/// A one-shot timer: 64 bytes, and its payload.
struct HeldTimer<Payload: Sendable & Equatable>: SlabRecord {
    let uid: UID
    let revision: Revision
    let due: WallInstant
    /// 0 for any lateness.
    let expireAfterMilliseconds: UInt64
    let payload: Payload
    /// In the wheel, `.none`, or `.inFlight` while a batch holds it.
    var handle = TimerWheel.Handle.none
    let payloadBytes: UInt32
    /// Guards against what is left in a queue from before a change.
    let stamp: UInt32

    init(_ entry: TimerEntry<Payload>, stamp: UInt32) {
        self.uid = entry.uid
        self.revision = entry.revision
        self.due = entry.due
        self.expireAfterMilliseconds = entry.expireAfterMilliseconds
        self.payload = entry.payload
        self.payloadBytes = UInt32(clamping: entry.payloadBytes)
        self.stamp = stamp
    }

    var isInFlight: Bool { self.handle == .inFlight }
    var watermark: Watermark { Watermark(instant: self.due, tie: self.uid) }

    func isExpired(at now: WallInstant) -> Bool {
        guard self.expireAfterMilliseconds > 0 else { return false }
        return now > self.due.advanced(by: .milliseconds(Int64(clamping: self.expireAfterMilliseconds)))
    }
}

extension TimerWheel.Handle {
    /// Names no insertion, now or ever: a wheel has no such id.
    static var none: Self { Self(id: .max, generation: 0) }
    /// As `none`, of a timer that is in a batch.
    static var inFlight: Self { Self(id: .max, generation: 1) }
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
