package import EscapementModel

/// What every implementation of the ports decides alike: when something is settled, how long it is kept.
package enum StoreRules {
    /// How long a settled or cancelled timer is kept before `removeSettled` takes it, so that a repeated
    /// request and a late question still find it: 1 h.
    package static let settledGrace: Duration = .seconds(3600)
    /// How long an ended version of a schedule is kept before `removeSettled` takes it: 7 d. There are few,
    /// `explain` reads them, and the cron watermark may lag behind the checkpoint, which is of one-shots.
    package static let endedVersionRetention: Duration = .seconds(7 * 86_400)
    /// An occurrence is settled at its due instant, which is its scheduled time plus jitter, at most 24 h.
    package static let jitterMax: Duration = .seconds(86_400)
    /// Timers in one call of `createTimers`, hence in one transaction.
    package static let timersPerRequestMax = 10_000
    /// How long a request's key and its answer are kept: 24 h.
    package static let idempotencyRetention: Duration = .seconds(86_400)
    package static let idempotencyKeyBytesMax = 255
    /// How long lines of the audit trail are kept: 400 d, a year and a month.
    package static let auditRetention: Duration = .seconds(400 * 86_400)
    /// How long the history of owners is kept: 90 d.
    package static let assignmentRetention: Duration = .seconds(90 * 86_400)
    /// Schedules that one call of `settleNamespace` changes: what one transaction holds locks for.
    package static let settledAtOnceMax = 500
    /// Rows of one answer of `changes`; a single revision that has more is given whole.
    package static let changesPerPageMax = 5000
}

extension StoredSchedule {
    /// Whether no occurrence of the version is left to settle after `cursor`, whatever its jitter.
    package func isSettled(by cursor: Cursor) -> Bool {
        guard let endedRevision, let until else { return false }
        return endedRevision <= cursor.revision && until.advanced(by: StoreRules.jitterMax) < cursor.cron.instant
    }

    /// The version as it stood at `revision`: not ended yet when it ended later.
    package func asOf(_ revision: Revision) -> StoredSchedule {
        guard let endedRevision, endedRevision > revision else { return self }
        var copy = self
        copy.endedRevision = nil
        copy.until = nil
        return copy
    }
}

extension StoredTimer {
    package var watermark: Watermark { Watermark(instant: self.due, tie: self.uid) }

    /// Whether the timer has been fired, or left out for having been cancelled, by `cursor`.
    package func isSettled(by cursor: Cursor) -> Bool {
        if let endedRevision, endedRevision <= cursor.revision { return true }
        return self.revision <= cursor.revision && self.watermark <= cursor.delay
    }

    /// The timer as it stood at `revision`: not cancelled yet when it was cancelled later.
    package func asOf(_ revision: Revision) -> StoredTimer {
        guard let endedRevision, endedRevision > revision else { return self }
        var copy = self
        copy.endedRevision = nil
        return copy
    }
}
