import EscapementModel
import Store

/// Who owned a shard when an occurrence was due, and who took it before the occurrence was settled.
struct ShardOwnership: Hashable, Sendable {
    let shard: ShardID
    let due: WallInstant
    /// The last assignment up to the due instant; `nil` when none is kept.
    let then: AssignmentRecord?
    /// Those until it was settled, oldest first.
    let later: [AssignmentRecord]
    /// The epoch under which it was settled.
    let settledUnder: Epoch

    /// In words; `nil` when the history is older than what is kept, or was written by another clock.
    func finding(now: WallInstant) -> (isOwned: Bool, detail: String, summary: String)? {
        let taker =
            self.later.first { $0.epoch == self.settledUnder && $0.owner != nil }
            ?? self.later.last { $0.owner != nil }
        guard let then = self.then else {
            guard let taker, now.duration(since: self.due) < StoreRules.assignmentRetention else { return nil }
            return (
                false, "shard \(self.shard) had no owner before \(taker.at)",
                "Shard \(self.shard) had no owner before \(taker.at)."
            )
        }
        if let owner = then.owner, then.epoch == self.settledUnder || taker == nil {
            return (
                true, "\(owner) owned shard \(self.shard) since \(then.at), epoch \(then.epoch.rawValue)",
                "\(owner) owned shard \(self.shard) when it was due."
            )
        }
        if let owner = then.owner, let taker, let successor = taker.owner {
            return (
                false,
                "\(owner) owned shard \(self.shard) when it was due and did not settle it; \(successor) took it at "
                    + "\(taker.at), \(Explainer.text(taker.at.duration(since: self.due))) later (\(taker.reason), epoch "
                    + "\(then.epoch.rawValue) to \(taker.epoch.rawValue))",
                "Shard \(self.shard) was \(owner)'s, which did not settle it; \(successor) took it at \(taker.at)."
            )
        }
        guard let taker else {
            return (
                false, "nobody owned shard \(self.shard) since \(then.at)",
                "Shard \(self.shard) had no owner since \(then.at)."
            )
        }
        let gap = Explainer.text(taker.at.duration(since: then.at))
        return (
            false,
            "nobody owned shard \(self.shard) from \(then.at) to \(taker.at): \(gap) (epoch \(then.epoch.rawValue) to "
                + "\(taker.epoch.rawValue))",
            "Shard \(self.shard) had no owner from \(then.at) to \(taker.at)."
        )
    }
}

/// What is known of an occurrence beside its record.
struct RecordedFacts: Sendable {
    /// By the calendar; `nil` when the definition of that time is no longer kept.
    var due: WallInstant?
    /// The version that names it.
    var version: StoredSchedule?
    /// Where it was of interest: for what was late.
    var ownership: ShardOwnership?
    /// Why the store does not have the record, for one from the journal.
    var absence: String?
}
