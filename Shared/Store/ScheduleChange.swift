package import EscapementModel

/// Who changes something, when, and why: kept with the version and in the audit trail.
package struct ChangeOrigin: Hashable, Sendable {
    package var at: WallInstant
    /// `token:ci`.
    package var by: String
    /// From where the request came; `nil` when it came from the service itself.
    package var address: String?
    /// What the caller gave as a reason.
    package var reason: String?
    /// Of a request that may be repeated; stored in the transaction of its effect.
    package var key: IdempotencyKey?

    package init(
        at: WallInstant, by: String, address: String? = nil, reason: String? = nil, key: IdempotencyKey? = nil
    ) {
        self.at = at
        self.by = by
        self.address = address
        self.reason = reason
        self.key = key
    }
}

/// What a change makes of a schedule. Each change is a version of its own, so that the list of versions tells everything
/// that was ever done to a schedule.
package struct ScheduleChange: Hashable, Sendable {
    package enum PauseChange: Hashable, Sendable {
        /// A paused schedule stays paused.
        case keep
        /// Until somebody resumes it, or by itself from `until`. Of a paused schedule it changes reason and `until`.
        case pause(until: WallInstant?)
        /// What fell due while it was paused is not made up for.
        case resume
    }

    /// `nil` leaves it as it is.
    package var body: ScheduleBody?
    package var pause: PauseChange

    package init(body: ScheduleBody? = nil, pause: PauseChange = .keep) {
        self.body = body
        self.pause = pause
    }

    /// For the audit trail.
    package var action: AuditAction {
        switch self.pause {
        case _ where self.body != nil: .replace
        case .keep: .replace
        case .pause: .pause
        case .resume: .resume
        }
    }
}

/// Why a version fires nothing before its `until`, or at all.
package struct SchedulePause: Hashable, Sendable {
    package enum Scope: UInt8, Sendable {
        /// Somebody paused this schedule.
        case schedule = 1
        /// Its namespace is paused; ends with that.
        case namespace = 2
    }

    package var scope: Scope
    package var since: WallInstant
    /// `nil`: until somebody resumes it.
    package var until: WallInstant?
    package var reason: String?

    package init(scope: Scope, since: WallInstant, until: WallInstant?, reason: String?) {
        self.scope = scope
        self.since = since
        self.until = until
        self.reason = reason
    }

    package func holds(at instant: WallInstant) -> Bool { self.until.map { instant < $0 } ?? true }
}

package enum ChangeOutcome<Stored: Sendable & Hashable>: Hashable, Sendable {
    case changed(before: Stored, after: Stored)
    /// It is so already.
    case unchanged(Stored)
    /// Its generation is not the one that was expected.
    case stale(current: Stored)
    case missing
    /// The request's key was used before; nothing was changed now. Ask `recall`.
    case repeated
}

/// The outcome of a request that may carry an `IdempotencyKey`.
package enum Keyed<Outcome: Sendable & Hashable>: Hashable, Sendable {
    case outcome(Outcome)
    /// The key was used before; nothing was changed now. Ask `recall`.
    case repeated
}

extension StoredSchedule {
    /// Whether the schedule fires nothing at `instant` because it, or its namespace, is paused.
    package func isPaused(at instant: WallInstant) -> Bool {
        self.pause != nil && (self.isEmpty || instant < self.from)
    }

    /// Whether the version was made without any occurrence, because the schedule was paused without an end. Tickers
    /// never hear of it.
    package var isEmpty: Bool { self.endedRevision == self.createdRevision }

    /// The version that `change` makes of this one, as of `revision`; `nil` when nothing changes.
    ///
    /// Occurrences up to the instant of the change belong to this version, later ones to the next, so that none is
    /// lost and none belongs to both, also when the clocks of two coordinators differ: an instant before this
    /// version's own beginning counts as that beginning. A pause with an end makes a version that begins
    /// at the end of the pause: nobody has to do anything then, and the first occurrence is on time.
    ///
    /// - Parameter namespacePause: what the namespace says now. A schedule fires when neither holds.
    package func successor(
        _ change: ScheduleChange, origin: ChangeOrigin, namespacePause: SchedulePause? = nil, revision: Revision
    ) -> StoredSchedule? {
        let pausedNow = self.isPaused(at: origin.at) ? self.pause : nil
        let begin = max(origin.at, pausedNow?.since ?? self.from)
        let since = pausedNow?.since ?? begin
        let own: SchedulePause? =
            switch change.pause {
            case .keep: pausedNow?.scope == .schedule ? pausedNow : nil
            case .resume: nil
            case .pause(let until):
                SchedulePause(scope: .schedule, since: since, until: until, reason: origin.reason)
            }
        var next = self
        next.generation += 1
        next.createdRevision = revision
        next.replaces = true
        next.updatedAt = origin.at
        next.updatedBy = origin.by
        next.changeReason = origin.reason
        next.body = change.body ?? self.body
        next.begin(at: begin, since: since, own: own, namespace: namespacePause)
        let isSame =
            next.body.saysSame(as: self.body) && next.pause == pausedNow
            && (pausedNow == nil || (next.isEmpty == self.isEmpty && (next.isEmpty || next.from == self.from)))
        return isSame ? nil : next
    }

    /// Sets from when the version has occurrences, and whether it has any.
    private mutating func begin(
        at instant: WallInstant, since: WallInstant, own: SchedulePause?, namespace: SchedulePause?
    ) {
        let own = own.flatMap { $0.holds(at: instant) ? $0 : nil }
        let namespace = namespace.flatMap { $0.holds(at: instant) ? $0 : nil }
        let pauses = [own, namespace].compactMap { $0 }
        let isEmpty = pauses.contains { $0.until == nil }
        self.from = isEmpty ? instant : pauses.compactMap(\.until).max() ?? instant
        self.endedRevision = isEmpty ? self.createdRevision : nil
        self.until = isEmpty ? self.from : nil
        self.pause =
            own
            ?? namespace.map {
                SchedulePause(scope: .namespace, since: since, until: $0.until, reason: $0.reason)
            }
    }

    /// This version ended at `instant`, as of `revision`; as it is when it had ended before.
    package func ended(at instant: WallInstant, revision: Revision) -> StoredSchedule {
        guard self.endedRevision == nil else { return self }
        var ended = self
        ended.endedRevision = revision
        // Never before its own beginning: a version that lies ahead then holds nothing.
        ended.until = max(self.from, instant)
        return ended
    }

    /// Generation 1 of a new schedule, as of `revision`.
    package init(_ new: NewSchedule, namespacePause: SchedulePause? = nil, revision: Revision) {
        self.init(
            uid: new.uid, shard: new.shard, namespace: new.namespace, name: new.name, generation: 1,
            createdRevision: revision, replaces: false, from: new.createdAt, endedRevision: nil, until: nil,
            createdAt: new.createdAt, createdBy: new.createdBy, updatedAt: new.createdAt, body: new.body)
        let own = new.pause.map {
            SchedulePause(scope: .schedule, since: new.createdAt, until: $0.until, reason: $0.reason)
        }
        self.begin(at: new.createdAt, since: new.createdAt, own: own, namespace: namespacePause)
    }
}
