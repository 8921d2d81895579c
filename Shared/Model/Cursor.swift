/// A point in the order in which a shard's occurrences are settled: by due instant, then by uid.
///
/// Everything at or before a watermark is settled; nothing after it is.
package struct Watermark: Hashable, Comparable, Sendable {
    /// The due instant (scheduled time plus jitter).
    package var instant: WallInstant
    /// The uid of the last settled schedule or timer at `instant`; `UID.max` when all of it is.
    package var tie: UID

    package init(instant: WallInstant, tie: UID) {
        self.instant = instant
        self.tie = tie
    }

    /// All of `instant` is settled.
    package init(through instant: WallInstant) { self.init(instant: instant, tie: .max) }

    package static let start = Watermark(instant: .distantPast, tie: .zero)

    package static func < (left: Watermark, right: Watermark) -> Bool {
        left.instant == right.instant ? left.tie < right.tie : left.instant < right.instant
    }
}

/// How far a shard's work is settled, durable in its lane's journal.
///
/// A batch says from which cursor to which it leads and is accepted only from exactly there: that
/// compare-and-set, not a lease, keeps a zombie's work from counting.
package struct Cursor: Hashable, Sendable {
    /// Watermark of recurring schedules, all of which are in memory.
    package var cron: Watermark
    /// Watermark of one-shots, which are in memory only up to the loaded horizon.
    package var delay: Watermark
    /// Changes up to this revision are reflected in the two watermarks.
    package var revision: Revision

    package init(cron: Watermark, delay: Watermark, revision: Revision) {
        self.cron = cron
        self.delay = delay
        self.revision = revision
    }

    package static let start = Cursor(cron: .start, delay: .start, revision: .none)
}
